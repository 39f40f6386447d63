"""`evolve answer`: a folder's calls answered by a model, within a budget, by one process at a time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch
from evolve.cli.answering import Service
from evolve.errors import FatalError, ProviderError, RunError, TransientError, UsageError
from evolve.llm import spool
from evolve.llm.scripted import Scripted
from evolve.llm.spool import Spool
from evolve.runner import calls as calls_module
from evolve.types import Call, Completion, Prompt
from tests.command import SCRIPT, environment, evolve
from tests.llm_server import LLMServer, Reply


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(spool, "POLL_S", 0.002)
    monkeypatch.setattr(calls_module, "BACKOFF_S", 0.0)


def put(folder: Path, *numbers: int) -> None:
    for number in numbers:
        spool.put(folder / f"{number:06}.prompt.md", f"Improve.\n---\nprogram {number}")


def replies(folder: Path) -> dict[int, str]:
    return {int(path.name[:6]): path.read_text() for path in sorted(folder.glob("*.reply.md"))}


def told(folder: Path, number: int) -> dict[str, Any]:
    return json.loads((folder / f"{number:06}.reply.json").read_text())


class Priced(Scripted):
    def ceiling_usd(self, prompt: Prompt) -> float | None:
        return 1.0

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        found = await super().complete(prompt, call=call)
        return Completion(text=found.text, model="m", tokens_in=9, tokens_out=3, cost_usd=0.75)


def echo(prompt: Prompt, call: str) -> str:
    return f"{prompt.system} {prompt.user}"


async def test_what_waits_is_answered_with_what_it_cost(tmp_path, capsys):
    put(tmp_path, 3, 12)
    await Service(tmp_path, Priced(echo), None).serve(once=True)
    assert replies(tmp_path) == {3: "Improve. program 3", 12: "Improve. program 12"}
    assert told(tmp_path, 3) == {"model": "m", "tokens_in": 9, "tokens_out": 3, "cost_usd": 0.75}
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "000003: m, 9 tokens in, 3 out, $0.7500",
        "000012: m, 9 tokens in, 3 out, $0.7500",
        "2 calls answered, cost $1.5000",
    ]


async def test_what_is_answered_already_is_left_alone(tmp_path):
    put(tmp_path, 1, 2)
    spool.put(tmp_path / "000001.reply.md", "by hand")
    provider = Scripted(echo)
    await Service(tmp_path, provider, None).serve(once=True)
    assert replies(tmp_path)[1] == "by hand" and len(provider.calls) == 1


async def test_it_answers_a_run_that_waits(tmp_path):
    asking = Spool(str(tmp_path))
    await asking.start()
    calls = [
        asyncio.create_task(asking.complete(Prompt(system="s", user=f"u{i}"), call=Call(id=i, run="r")))
        for i in range(1, 6)
    ]
    serving = asyncio.create_task(Service(tmp_path, Scripted(echo, concurrency=2), None).serve(once=False))
    assert [(await call).text for call in calls] == [f"s u{i}" for i in range(1, 6)]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_at_most_as_many_are_out_as_the_model_has_slots(tmp_path):
    out, peak = 0, 0

    class Peak(Scripted):
        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            nonlocal out, peak
            out += 1
            peak = max(peak, out)
            await asyncio.sleep(0.01)
            out -= 1
            return await super().complete(prompt, call=call)

    put(tmp_path, *range(9))
    await Service(tmp_path, Peak(echo, concurrency=3), None).serve(once=True)
    assert peak == 3 and len(replies(tmp_path)) == 9


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_the_budget_holds_over_all_that_the_folder_has_cost(tmp_path, concurrency):
    put(tmp_path, *range(1, 10))
    with pytest.raises(
        RunError, match=r"^budget\.usd: 0\.7500 dollars are left, the next call is one of up to 1\.0000"
    ):
        await Service(tmp_path, Priced(echo, concurrency=concurrency), 3.0).serve(once=False)
    assert len(replies(tmp_path)) == 3
    with pytest.raises(RunError, match=r"0\.7500 dollars are left"):
        await Service(tmp_path, Priced(echo), 3.0).serve(once=True)
    assert len(replies(tmp_path)) == 3


async def test_without_a_price_a_budget_is_refused(tmp_path):
    class Unpriced(Scripted):
        def ceiling_usd(self, prompt: Prompt) -> float | None:
            return None

    with pytest.raises(UsageError, match=r"budget\.usd=3: scripted has no known price"):
        await Service(tmp_path, Unpriced(echo), 3.0).serve(once=True)


async def test_what_passes_is_tried_again_and_what_does_not_is_said_in_its_place(tmp_path):
    put(tmp_path, 1, 2)
    left: list[Exception] = [TransientError("503"), ProviderError("refused by a policy")]

    def script(prompt: Prompt, call: str) -> str:
        if left:
            raise left.pop(0)
        return "ok"

    await Service(tmp_path, Scripted(script, concurrency=1), None).serve(once=True)
    assert replies(tmp_path) == {1: "refused by a policy", 2: "ok"}
    waiting = Spool(str(tmp_path)).complete(Prompt(system="Improve.", user="program 1"), call=Call(id=1, run="r"))
    with pytest.raises(ProviderError, match="call 1: refused by a policy"):
        await waiting


async def test_a_fatal_fault_ends_it_and_leaves_no_reply(tmp_path):
    put(tmp_path, 1, 2, 3)

    def locked(prompt: Prompt, call: str) -> str:
        raise FatalError("the key was refused")

    with pytest.raises(RunError, match=r"^the key was refused$"):
        await Service(tmp_path, Scripted(locked, concurrency=2), None).serve(once=False)
    assert replies(tmp_path) == {}


# ---------------------------------------------------------------- the command


COMMAND = ["llm=command", "llm.command=cat"]


def test_the_command_answers_and_ends(tmp_path):
    put(tmp_path, 1)
    done = evolve("answer", str(tmp_path), *COMMAND, "--once", cwd=tmp_path)
    assert done.returncode == 0 and replies(tmp_path) == {1: "Improve.\n---\nprogram 1"}, done.stderr
    assert done.stdout.splitlines() == [
        "000001: command, 5 tokens in, 5 out, price unknown",
        "1 calls answered, cost unknown",
    ]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "llm=offline: can't answer a folder; choose one of llm=litellm, llm=ensemble, llm=local, llm=command"),
        (["llm=spool", "llm.dir=x"], 2, "llm=spool: can't answer a folder"),
        ([*COMMAND, "seed=3"], 2, "seed=3: not a key of this command"),
        ([*COMMAND, "llm.timeout=3"], 2, "llm.timeout=3: no such key; did you mean"),
        ([*COMMAND, "budget.usd=3"], 2, "budget.usd=3: command has no known price"),
        ([*COMMAND, "budget.usd=x"], 2, "budget.usd=x: must be a number"),
        (["llm=command", "llm.command=no-such-agent"], 1, "no-such-agent: no such program"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, words, code, message):
    assert dispatch(["answer", str(tmp_path), *words, "--once"]) == code
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_a_folder_that_is_not_there_is_told(tmp_path, capsys):
    assert dispatch(["answer", str(tmp_path / "nowhere"), *COMMAND]) == 1
    assert "nowhere: no such folder; start the run first" in capsys.readouterr().err


@pytest.mark.integration
def test_two_do_not_serve_one_folder_and_ctrl_c_lets_what_is_out_end(tmp_path):
    put(tmp_path, 1)
    began, go = tmp_path / "began", tmp_path / "go"
    script = f"touch {began}; while [ ! -e {go} ]; do sleep 0.01; done; echo done"
    words = [SCRIPT, "answer", str(tmp_path), "llm=command", f"llm.command=sh -c '{script}'"]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment(PYTHONUNBUFFERED="1"))
    try:
        while not began.exists():
            assert first.poll() is None
            os.sched_yield()
        second = evolve("answer", str(tmp_path), *COMMAND, cwd=tmp_path)
        assert second.returncode == 1 and "another 'evolve answer' is at work here" in second.stderr
        first.send_signal(signal.SIGINT)
        assert first.stdout.readline().startswith("what is asked already is waited for")
        put(tmp_path, 2)
        go.touch()
        assert first.wait(20) == 0 and replies(tmp_path) == {1: "done\n"}
    finally:
        first.kill()
        first.stdout.close()


@pytest.mark.integration
def test_a_key_that_is_refused_is_one_line_without_the_key(tmp_path):
    put(tmp_path, 1)
    key = "kx-93hf82hqwe7"
    with LLMServer([Reply(status=401, message=f"Incorrect API key provided: {key}")]) as server:
        words = ["llm=litellm", "llm.model=openai/test", f"llm.api_base={server.api_base}"]
        done = evolve("answer", str(tmp_path), *words, cwd=tmp_path, OPENAI_API_KEY=key)
    assert done.returncode == 1 and "the key was refused" in done.stderr and done.stderr.count("\n") == 1
    assert not any(key in path.read_text() for path in tmp_path.iterdir()) and key not in done.stdout + done.stderr


@pytest.mark.integration
def test_a_hosted_model_answers_a_folder_within_its_budget(tmp_path):
    put(tmp_path, *range(1, 9))
    price = "llm.price={input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}"
    with LLMServer(lambda index, request: Reply(text="ok", tokens_in=100, tokens_out=100)) as server:
        words = ["llm=litellm", "llm.model=openai/test", f"llm.api_base={server.api_base}", price, "llm.max_tokens=100"]
        done = evolve("answer", str(tmp_path), *words, "budget.usd=1.0", "--once", cwd=tmp_path)
    assert done.returncode == 1 and "dollars are left" in done.stderr
    spent = sum(told(tmp_path, number)["cost_usd"] for number in replies(tmp_path))
    assert 0.5 < spent <= 1.0 and f"cost ${spent:.4f}" in done.stdout
