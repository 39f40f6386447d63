"""A program of one's own as the model: the prompt on its standard input, the answer from its standard output."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from evolve import checks
from evolve.errors import FatalError, ProviderError, TransientError, UsageError
from evolve.llm.provider import Provider
from evolve.llm.redact import one_line
from evolve.types import Call, Completion, Prompt

MOST_BYTES = 4 * 1024 * 1024  # of an answer
CHUNK = 65_536
TAIL = 4_096  # bytes of the errors that are kept
GRACE_S = 1.0  # for the errors to arrive once the program has ended

POLL_S = 0.01


class Command(Provider):
    """Runs `command` once for each call, in a process group that is killed at the deadline and when the call is cancelled.

    `command` is split as a shell would, or is a list of words; no shell runs it. The program sees this process's
    environment, and EVOLVE_CALL and EVOLVE_CANDIDATE. What it costs is not known.
    """

    model = "command"

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        concurrency: int = 4,
        evaluation_concurrency: int | None = None,
        attempts: int = 3,
        timeout_s: float = 600.0,
    ):
        self.take_slots(concurrency, evaluation_concurrency, attempts)
        checks.number("llm.timeout_s", timeout_s, 0.001)
        self._words = words_of(command)
        self._timeout_s = timeout_s

    async def start(self) -> None:
        if shutil.which(self._words[0]) is None:
            raise FatalError(f"llm.command: {self._words[0]}: no such program; give its path, or install it")

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Runs the program. Raises TransientError where it fails, is late, or says nothing."""
        told = {"EVOLVE_CALL": call.name, "EVOLVE_CANDIDATE": str(call.candidate)}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=os.environ | told, start_new_session=True
            )
        except OSError as error:
            raise FatalError(f"llm.command: {self._words[0]}: can't be run ({error.strerror})") from None
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._answer(process, prompt.text)
        except TimeoutError:
            raise TransientError(f"llm.command: no answer within llm.timeout_s={self._timeout_s:g}") from None
        finally:
            _kill(process)
            await _ended(process)
            process._transport.close()  # type: ignore[attr-defined]  # what was not read keeps it open, past the loop's end
        return Completion(text=text, model=self.model, tokens_in=len(prompt.text) // 4, tokens_out=len(text) // 4)

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns None: what the program spends is not known here."""
        return None

    async def _answer(self, process: Process, prompt: str) -> str:
        assert process.stdin and process.stdout and process.stderr
        errors = bytearray()
        head = asyncio.create_task(_head(process.stdout))
        tail = asyncio.create_task(_tail(process.stderr, errors))
        feed = asyncio.create_task(_feed(process.stdin, prompt))
        ended = asyncio.create_task(_ended(process))
        try:
            await asyncio.wait([ended, head], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                _kill(process)  # children that it left hold its output open
            text = (await head).decode(errors="replace")
            code = await ended
            await asyncio.wait([tail], timeout=GRACE_S)
        finally:
            for task in (head, tail, feed, ended):
                task.cancel()
            await asyncio.gather(head, tail, feed, ended, return_exceptions=True)
        if code or not text.strip():
            last = one_line((errors.decode(errors="replace").strip().splitlines() or [""])[-1])
            how = f"ended with {code}" if code else "said nothing"
            raise TransientError(f"llm.command: {self._words[0]} {how}{f': {last}' if last else ''}")
        return text


def words_of(command: str | Sequence[str]) -> list[str]:
    """Returns the words of a command. Raises UsageError where there are none, or a quote is left open."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except (ValueError, TypeError) as error:
        raise UsageError(f"llm.command={command}: {error}; give a line such as 'python agent.py', or a list") from None
    if not words or not all(isinstance(word, str) and word for word in words):
        raise UsageError(f"llm.command={command}: must be a line such as 'python agent.py', or a list of words")
    return words


async def _head(stream: StreamReader) -> bytes:
    """Reads to the end. Raises ProviderError as soon as it is too much."""
    found = bytearray()
    while piece := await stream.read(CHUNK):
        found += piece
        if len(found) > MOST_BYTES:
            raise ProviderError(f"llm.command: the answer has more than {MOST_BYTES // 1024 // 1024} MB")
    return bytes(found)


async def _tail(stream: StreamReader, kept: bytearray) -> None:
    """Reads to the end and keeps the last of it."""
    while piece := await stream.read(CHUNK):
        kept += piece
        del kept[:-TAIL]


async def _feed(stream: StreamWriter, text: str) -> None:
    """Writes the prompt; a program that does not read it has its reasons."""
    with suppress(OSError):
        stream.write(text.encode(errors="replace"))
        await stream.drain()
        stream.close()
        await stream.wait_closed()


async def _ended(process: Process) -> int:
    """Waits for the end of the process itself; `Process.wait` would wait for all who hold its pipes."""
    while process.returncode is None:
        await asyncio.sleep(POLL_S)
    return process.returncode


def _kill(process: Process) -> None:
    """Kills what is left of the process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
