"""Runs a candidate that is a command: once per call (batch), or kept and asked line by line (session); and builds one.

A command is a child of the candidate's process, within the same bounds. JSON on its pipes may hold NaN and Infinity.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from . import tree, wire

PYTHON = "python"  # stands for the candidate's interpreter
BUILT_MB = 40  # of files that a build may leave
MESSAGES = 3_000  # characters of a compiler's messages


class Fault(Exception):
    """Raised for what a command did wrong; the text says what."""


class Exited(Exception):
    """Raised when a command ended that should have answered, or with an exit code that is not 0."""

    def __init__(self, code: int):
        super().__init__(f"exit code {code}")
        self.code = code


# ---------------------------------------------------------------- what crosses, as text


def to_text(value: Any) -> str:
    """Returns text as it is, all else as JSON, arrays as lists. Raises TypeError for bytes."""
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Any) -> str:
    """Returns a value as JSON in one line. Raises TypeError for what JSON has no form for."""
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be given to a command, which reads text or JSON")


# ---------------------------------------------------------------- running


class Command:
    """A command of a candidate, run in the current folder. `service` makes a callable of a service's name."""

    def __init__(self, argv: Sequence[str], memory_mb: int, service: Callable[[str], Callable[..., Any]]):
        self._argv = argv
        self._memory_mb = memory_mb
        self._service = service
        self._kept: subprocess.Popen[bytes] | None = None

    def call(self, name: str, text: str) -> Any:
        """Runs it with the text as its input, or, given a name, writes the text as a line to the one that is kept."""
        return self._asked(text) if name else self._ran(text)

    def _ran(self, text: str) -> Any:
        with tempfile.TemporaryFile(dir=".") as given, tempfile.TemporaryFile(dir=".") as output:
            given.write(text.encode())
            given.seek(0)
            code = start(self._argv, self._memory_mb, stdin=given, stdout=output).wait()
            if self._kept is None:
                tree.end_strangers()
            if code:
                raise Exited(code)
            output.seek(0)
            printed = output.read().decode("utf-8", "replace")
        try:
            return json.loads(printed)
        except (ValueError, RecursionError):
            return printed

    def _asked(self, line: str) -> Any:
        self._write(line)
        while True:
            kind, value, answer = _parsed(self._read())
            if kind == "return":
                return value
            if kind == "raise":
                raise Fault(str(value))
            self._write(self._served(str(value), answer))

    def _served(self, name: str, question: Mapping[str, Any]) -> str:
        """Asks the scorer's side; returns the answer as a line, what it refuses as well."""
        args, kwargs = question.get("args", []), question.get("kwargs", {})
        try:
            return to_json({"return": self._service(name)(*args, **kwargs)})
        except Exception as error:  # noqa: BLE001 a border: the candidate is told
            return to_json({"raise": str(error)})

    def _write(self, line: str) -> None:
        pipes = self._process()
        try:
            pipes.stdin.write(line.encode() + b"\n")  # type: ignore[union-attr]
            pipes.stdin.flush()  # type: ignore[union-attr]
        except OSError:
            raise Exited(pipes.wait()) from None

    def _read(self) -> bytes:
        process = self._process()
        line: bytes = process.stdout.readline(wire.LIMIT + 1)  # type: ignore[union-attr]
        if len(line) > wire.LIMIT:
            raise wire.TooLarge(f"a line of more than {wire.LIMIT:,} bytes")
        if not line.endswith(b"\n"):
            raise Exited(process.wait())
        return line

    def _process(self) -> subprocess.Popen[bytes]:
        if self._kept is None:
            self._kept = start(self._argv, self._memory_mb, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._kept


def _parsed(line: bytes) -> tuple[str, Any, Mapping[str, Any]]:
    """Returns what kind of answer a line is, its value, and all of it."""
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        answer = None
    kinds = [kind for kind in ("return", "raise", "service") if isinstance(answer, dict) and kind in answer]
    if len(kinds) != 1:
        raise Fault(
            'printed a line that is no answer (one JSON object with "return", "raise" or "service"): '
            + repr(line[:200].decode("utf-8", "replace"))
        )
    return kinds[0], answer[kinds[0]], answer


def start(argv: Sequence[str], memory_mb: int, **streams: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, with which all that it left is found.

    What its memory may be is counted by what it can write to, since many runtimes reserve more.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20,) * 2)

    program = [sys.executable, "-B"] if argv[0] == PYTHON else [argv[0]]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        [*program, *argv[1:]], preexec_fn=limit, start_new_session=True, **streams
    )


# ---------------------------------------------------------------- building


def build(argv: Sequence[str], memory_mb: int) -> dict[str, Any]:
    """Runs a build in the current folder; returns its exit code, its messages, and the files that are new or changed."""
    before = dict(_stats())
    with tempfile.TemporaryFile(dir=".") as output:
        code = start(
            argv,
            memory_mb,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ).wait()
        tree.end_strangers()
        messages = _trimmed(output)
    changed = [name for name, facts in _stats() if before.get(name) != facts]
    size = sum(os.stat(name).st_size for name in changed)
    if size > BUILT_MB << 20:
        raise Fault(f"the build left files of {size / 2**20:.0f} MB; at most {BUILT_MB} MB")
    return {
        "code": code,
        "messages": messages,
        "files": {} if code else {name: Path(name).read_bytes() for name in changed},
    }


def _stats() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields the plain files beneath the current folder, with what changes when they do."""
    for folder, _, names in os.walk("."):
        for path in (os.path.normpath(os.path.join(folder, name)) for name in names):
            facts = os.lstat(path)
            if os.path.isfile(path) and not os.path.islink(path):
                yield path, (facts.st_ino, facts.st_mtime_ns, facts.st_size, facts.st_mode)


def _trimmed(output: IO[bytes]) -> str:
    """Returns the beginning of what was printed and, where it is long, its end: the first message counts most."""
    output.seek(0)
    text = output.read().decode("utf-8", "replace").replace(f"{os.getcwd()}/", "").strip()
    if len(text) <= MESSAGES:
        return text
    return f"{text[: 2 * MESSAGES // 3]}\n[...]\n{text[-MESSAGES // 3 :]}"
