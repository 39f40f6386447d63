"""A program of one's own as the model: the prompt on its standard input, the answer from its standard output."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO

from evolve import checks
from evolve.errors import FatalError, ProviderError, TransientError, UsageError
from evolve.llm.provider import Provider
from evolve.llm.redact import one_line
from evolve.types import Call, Completion, Prompt

MOST_BYTES = 4 * 1024 * 1024  # of an answer
TAIL = 4_096  # bytes of the errors that are looked at
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
        with TemporaryFile() as given, TemporaryFile() as answer, TemporaryFile() as errors:
            given.write(prompt.text.encode(errors="replace"))
            given.seek(0)
            fcntl.fcntl(errors, fcntl.F_SETFL, os.O_APPEND)  # so that emptying it leaves no hole
            process = self._started(call, given, answer, errors)
            try:
                async with asyncio.timeout(self._timeout_s):
                    while (code := process.poll()) is None:
                        _bound(answer, errors)
                        await asyncio.sleep(POLL_S)
            except TimeoutError:
                raise TransientError(f"llm.command: no answer within llm.timeout_s={self._timeout_s:g}") from None
            finally:
                _kill(process)
            _bound(answer, errors)
            text = _end_of(answer, MOST_BYTES)
            if code or not text.strip():
                last = one_line((_end_of(errors, TAIL).strip().splitlines() or [""])[-1])
                how = f"ended with {code}" if code else "said nothing"
                raise TransientError(f"llm.command: {self._words[0]} {how}{f': {last}' if last else ''}")
        return Completion(text=text, model=self.model, tokens_in=len(prompt.text) // 4, tokens_out=len(text) // 4)

    def _started(self, call: Call, given: IO[bytes], answer: IO[bytes], errors: IO[bytes]) -> subprocess.Popen[bytes]:
        told = {"EVOLVE_CALL": call.name, "EVOLVE_CANDIDATE": str(call.candidate)}
        try:
            return subprocess.Popen(
                self._words, stdin=given, stdout=answer, stderr=errors, env=os.environ | told, start_new_session=True
            )
        except OSError as error:
            raise FatalError(f"llm.command: {self._words[0]}: can't be run ({error.strerror})") from None

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns None: what the program spends is not known here."""
        return None


def words_of(command: str | Sequence[str]) -> list[str]:
    """Returns the words of a command. Raises UsageError where there are none, or a quote is left open."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except (ValueError, TypeError) as error:
        raise UsageError(f"llm.command={command}: {error}; give a line such as 'python agent.py', or a list") from None
    if not words or not all(isinstance(word, str) and word for word in words):
        raise UsageError(f"llm.command={command}: must be a line such as 'python agent.py', or a list of words")
    return words


def _bound(answer: IO[bytes], errors: IO[bytes]) -> None:
    """Keeps the errors small. Raises ProviderError where the answer is too much."""
    if os.fstat(answer.fileno()).st_size > MOST_BYTES:
        raise ProviderError(f"llm.command: the answer has more than {MOST_BYTES // 1024 // 1024} MB")
    if os.fstat(errors.fileno()).st_size > MOST_BYTES:
        os.ftruncate(errors.fileno(), 0)


def _end_of(file: IO[bytes], most: int) -> str:
    size = os.fstat(file.fileno()).st_size
    return os.pread(file.fileno(), most, max(0, size - most)).decode(errors="replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kills what is left of the process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
