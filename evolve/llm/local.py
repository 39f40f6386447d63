"""A model file on this machine: llama.cpp (package xllamacpp) in a process of its own, behind a port of 127.0.0.1.

Of its own, because loading holds Python's lock for as long as it takes, and a damaged file can end the process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evolve import checks
from evolve.errors import FatalError, ProviderError, UsageError
from evolve.llm.litellm_provider import LiteLLM
from evolve.llm.provider import Provider
from evolve.llm.redact import one_line
from evolve.types import Call, Completion, Prompt

MAGIC = b"GGUF"
FREE = {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0}


class Local(Provider):
    """Serves a .gguf file to this run alone. Loading takes seconds and the memory that the file takes on the disk.

    `concurrency` answers are made side by side, each with `context` tokens for prompt and answer. `threads` null: one for
    each core. No seed is sent: a model that gets the same one says the same again.
    """

    edits = "functions"

    def __init__(
        self,
        model_path: str,
        *,
        concurrency: int = 2,
        evaluation_concurrency: int | None = None,
        attempts: int = 3,
        context: int = 8192,
        threads: int | None = None,
        temperature: float | None = None,
        max_tokens: int = 2048,
        timeout_s: float = 600.0,
    ):
        checks.whole("llm.context", context, 256)
        checks.whole("llm.threads", threads, 1, or_null=True)
        checks.whole("llm.max_tokens", max_tokens, 1, context)
        if not model_path or not isinstance(model_path, str):
            raise UsageError(f"llm.model_path={model_path}: must be a .gguf file")
        self._path = Path(model_path).expanduser()
        self.model = self._path.stem
        self._settings: dict[str, Any] = {
            "model": f"openai/{self.model}", "price": FREE, "temperature": temperature, "max_tokens": max_tokens,
            "timeout_s": timeout_s, "concurrency": concurrency, "evaluation_concurrency": evaluation_concurrency,
            "attempts": attempts,
        }  # fmt: skip
        self._client = LiteLLM(**self._settings)  # checks the rest; `start` makes one that knows the address
        self.take_slots(concurrency, evaluation_concurrency, attempts)
        self.max_tokens = max_tokens
        self._loading = {
            "n_ctx": context * concurrency,
            "n_parallel": concurrency,
            "threads": threads or len(os.sched_getaffinity(0)),
        }
        self._process: Process | None = None

    async def start(self) -> None:
        """Loads the model. Raises FatalError for what is no model file, or too large for this machine."""
        check_file(self._path)
        if find_spec("xllamacpp") is None:
            raise FatalError("llm=local needs a package: pip install 'evolve-engine[local]'")
        words = (sys.executable, "-P", "-m", __name__, json.dumps({"path": str(self._path.resolve()), **self._loading}))
        self._process = await asyncio.create_subprocess_exec(
            *words, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True
        )
        told = await self._told(self._process)
        if "address" not in told:
            remedy = "it is damaged, of an unknown kind, or too large for the memory (llm.context=N takes less)"
            raise FatalError(f"llm.model_path={self._path}: can't be loaded: {remedy}: {one_line(told['error'])}")
        self._client = LiteLLM(**self._settings, api_base=f"{told['address']}/v1")
        await self._client.start()

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        try:
            return replace(await self._client.complete(prompt, call=call), model=self.model)
        except ProviderError:
            if self._process and self._process.returncode is not None:
                ended = f"llama.cpp has ended with {self._process.returncode}"
                raise FatalError(f"llm.model_path={self._path}: {ended}; 'evolve resume' starts it again") from None
            raise

    async def close(self) -> None:
        """Ends the server, which gives the model's memory back."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    @staticmethod
    async def _told(process: Process) -> dict[str, str]:
        assert process.stdout
        async for line in process.stdout:
            if line.startswith(b"{"):
                return json.loads(line)  # type: ignore[no-any-return]
        return {"error": f"the process that loads it ended with {await process.wait()}"}


def check_file(path: Path) -> None:
    """Raises FatalError for what can't be read, or is no model."""
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise FatalError(f"llm.model_path={path}: can't be read ({error.strerror})") from None
    if magic != MAGIC:
        raise FatalError(f"llm.model_path={path}: is no model in the GGUF format")


def serve(path: str, n_ctx: int, n_parallel: int, threads: int) -> None:
    """Serves a model until standard input ends, which it does with whoever started this. Prints the address, or an error."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.hostnames, parameters.port = ["127.0.0.1"], 0
    parameters.n_ctx, parameters.n_parallel = n_ctx, n_parallel
    parameters.cpuparams.n_threads = threads
    parameters.verbosity = -1
    try:
        server = xllamacpp.Server(parameters)
        print(json.dumps({"address": server.listening_address}), flush=True)  # noqa: T201
    except RuntimeError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads it any more
    sys.stdin.read()


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
