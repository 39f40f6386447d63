"""The local model: a real child process, with a package of the same name that serves the loopback server's answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evolve.config import build, compose
from evolve.errors import FatalError, UsageError
from evolve.llm.local import Local
from evolve.types import Call, Prompt

PROMPT = Prompt(system="s", user="u")
STAND_IN = """
import sys
from pathlib import Path
from types import SimpleNamespace
from tests.llm_server import LLMServer

class CommonParams(SimpleNamespace):
    def __init__(self):
        super().__init__(model=SimpleNamespace(), cpuparams=SimpleNamespace())

class Server:
    def __init__(self, p):
        kind = Path(p.model.path).read_bytes()[4:]
        if kind == b"damaged":
            raise RuntimeError("Failed to init server")
        if kind == b"deadly":
            sys.exit(3)
        said = f"{p.hostnames} {p.port} {p.n_ctx} {p.n_parallel} {p.cpuparams.n_threads}"
        print("loading", flush=True)
        self.server = LLMServer(lambda index, request: said).__enter__()
        self.listening_address = self.server.api_base.removesuffix("/v1")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Puts the stand-in first on the path, of this process and of its children."""
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), root, os.environ.get("PYTHONPATH", "")]))


def model(folder: Path, content: bytes = b"") -> str:
    path = folder / "tiny-q4.gguf"
    path.write_bytes(b"GGUF" + content)
    return str(path)


@pytest.mark.integration
async def test_it_answers_from_a_server_of_its_own_for_nothing(tmp_path, package):
    made = Local(model(tmp_path), concurrency=3, context=1000, threads=1, max_tokens=100)
    await made.start()
    try:
        answer = await made.complete(PROMPT, call=Call(id=1))
        assert answer.text == "['127.0.0.1'] 0 3000 3 1"
        assert (answer.model, answer.cost_usd, made.ceiling_usd(PROMPT)) == ("tiny-q4", 0.0, 0.0)
        made._process.kill()
        await made._process.wait()
        with pytest.raises(FatalError, match=r"llama\.cpp has ended with -9; 'evolve resume' starts it again"):
            await made.complete(PROMPT, call=Call(id=2))
    finally:
        await made.close()


async def test_it_ends_with_who_started_it(tmp_path, package):
    code = (
        "import asyncio, os, signal\nfrom evolve.llm import local\n"
        "class Client(local.LiteLLM):\n    async def start(self): pass\nlocal.LiteLLM = Client\n"
        f"made = local.Local({model(tmp_path)!r})\n"
        "async def main():\n    await made.start()\n    print(made._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\nasyncio.run(main())"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)
    child = Path(f"/proc/{int(done.stdout)}/cmdline")
    until = time.monotonic() + 10
    while child.exists() and child.read_bytes() and time.monotonic() < until:
        await asyncio.sleep(0.01)
    assert not child.exists() or not child.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"damaged", "can't be loaded: it is damaged, .*: Failed to init server$"),
        (b"deadly", "that loads it ended with 3$"),
    ],
)
async def test_a_file_that_can_t_be_loaded_is_one_line(tmp_path, package, content, message):
    made = Local(model(tmp_path, content))
    with pytest.raises(
        FatalError, match=rf"^llm\.model_path=.*tiny-q4\.gguf: {message}" if content == b"damaged" else message
    ):
        await made.start()
    await made.close()


async def test_what_is_no_model_is_told_before_anything_is_loaded(tmp_path):
    (tmp_path / "x.gguf").write_text("junk")
    with pytest.raises(FatalError, match=r"x\.gguf: is no model in the GGUF format"):
        await Local(str(tmp_path / "x.gguf")).start()
    with pytest.raises(FatalError, match=r"y\.gguf: can't be read \(No such file"):
        await Local(str(tmp_path / "y.gguf")).start()


async def test_without_the_package_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("evolve.llm.local.find_spec", lambda name: None)
    with pytest.raises(FatalError, match=r"pip install 'evolve-engine\[local\]'"):
        await Local(model(tmp_path)).start()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"context": 10}, "llm.context=10: must be"),
        ({"threads": 0}, "llm.threads=0: must be"),
        ({"max_tokens": 9000}, "llm.max_tokens=9000: must be a whole number from 1 to 8192"),
        ({"concurrency": 0}, "llm.concurrency=0: must be"),
        ({"temperature": "hot"}, "llm.temperature=hot: must be"),
        ({"model_path": 3}, "llm.model_path=3: must be a .gguf file"),
    ],
)
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(UsageError, match=message):
        Local(**{"model_path": "m.gguf"} | setting)


def test_the_command_line_makes_one():
    made = build(compose(["llm=local", "llm.model_path=/m/qwen.q4.gguf", "llm.concurrency=1"])).provider
    assert (made.model, made.concurrency, made.evaluation_concurrency) == ("qwen.q4", 1, 1)
