"""The candidate's own process: loads its files and answers calls until it is killed."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import command, tree, wire
from .guard import Guard

MODULE = "candidate"
PROGRAMS = (b"#!", b"\x7fELF")  # how files begin that can be run
CHANNEL_FD = 3
TEXT = 2_000  # characters of an error's text


class ServiceError(Exception):
    """Raised in the candidate when a service refuses a call; a candidate may catch it."""


def become_candidate(
    channel: int, log: int, guard: Guard, limits: Mapping[str, int], scratch: str, fresh: bool
) -> NoReturn:
    """Turns a fork of the zygote into the candidate's process, with a `fresh` interpreter or this one; never returns."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.dup2(channel, CHANNEL_FD, inheritable=fresh)  # whatever had that number here belongs to the zygote
        for number in (signal.SIGXFSZ, *tree.ENDS):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(scratch)
        os.environ.update(HOME=scratch, TMPDIR=scratch)
        guard.confine(limits, scratch)
        os.closerange(CHANNEL_FD + 1, 4096)
        if fresh:
            os.execv(sys.executable, guard.command("session", scratch))
        serve(scratch)
    except BaseException:  # noqa: BLE001 the edge of the process: nothing may return into the zygote's loop
        traceback.print_exc()
    finally:
        os._exit(1)


def main() -> NoReturn:
    """Serves as a fresh process; the argument is the scratch folder."""
    os.set_inheritable(CHANNEL_FD, False)
    scratch = sys.argv[1]
    del sys.argv[1:]
    serve(scratch)


def serve(scratch: str) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # what it printed outlives a kill
    fix_global_generators()
    sock = socket.socket(fileno=CHANNEL_FD)
    session = Session(lambda stub: wire.Channel(sock, service=stub), scratch)
    while True:
        session.answer()


def fix_global_generators() -> None:
    """Gives every candidate the same start, whatever the zygote or earlier candidates drew."""
    random.seed(0)
    if "numpy.random" in sys.modules:
        sys.modules["numpy"].random.seed(0)


class Session:
    """One conversation: `load` first, then `call`s, or one `build`; each answered once.

    Answers are `return`, `raised`, `exited` (a command), `refused` and `too_large`.
    """

    def __init__(self, channel: Callable[[Callable[[str], Any]], Any], scratch: str):
        self.channel = channel(self._stub)
        self._scratch = scratch
        self._module: Any = None
        self._command: command.Command | None = None
        self._reserve: bytes | None = bytes(1 << 20)  # room to say that memory ran out

    def answer(self) -> None:
        """Receives one message and answers it."""
        answers: dict[str, Callable[..., Any]] = {"load": self._load, "build": self._build, "call": self._call}
        kind, *rest = self.channel.receive()
        self._reply(*self._outcome(answers[kind], rest))

    def _load(self, files: dict[str, str | bytes], told: Mapping[str, Any]) -> None:
        """Puts the files into the scratch folder and imports one of them, or notes the command."""
        self._place(files, told)
        if not told["command"]:
            return self._import(told["file"])
        tree.adopt_orphans()
        self._command = command.Command(told["command"], told["memory_mb"], self._stub)

    def _build(self, files: dict[str, str | bytes], told: Mapping[str, Any]) -> dict[str, Any]:
        self._place(files, told)
        tree.adopt_orphans()
        return command.build(told["command"], told["memory_mb"])

    def _place(self, files: dict[str, str | bytes], told: Mapping[str, Any]) -> None:
        """Writes the files; `data` is shown beside them."""
        for name, content in files.items():
            target = Path(self._scratch, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            raw = content if isinstance(content, bytes) else content.encode()
            mode = 0o755 if raw.startswith(PROGRAMS) else 0o644  # when made: not every level lets it be changed
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
                file.write(raw)
        if told["data"]:
            os.symlink(told["data"], "data")

    def _import(self, path: str) -> None:
        sys.path.insert(0, self._scratch)
        spec = importlib.util.spec_from_file_location(MODULE, Path(self._scratch, path))
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is not a Python file")
        self._module = sys.modules[MODULE] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self._module)

    def _call(self, name: str, args: list[Any], kwargs: dict[str, Any], spare: Sequence[str] = ()) -> Any:
        """Calls a function; of the keywords, those in `spare` where it names them."""
        if self._command:
            return self._command.call(name, *args)
        if not hasattr(self._module, name):
            raise AttributeError(f"the candidate has no '{name}'")
        function = getattr(self._module, name)
        if spare:
            taken = _named(function)
            kwargs = {key: value for key, value in kwargs.items() if key not in spare or key in taken}
        return function(*args, **kwargs)

    def _outcome(self, function: Callable[..., Any], args: list[Any]) -> tuple[Any, ...]:
        try:
            return "return", function(*args)
        except command.Exited as error:
            return "exited", error.code
        except command.Fault as error:
            return "raised", "Fault", 0, _text(str(error))
        except wire.TooLarge as error:
            return "too_large", f"what it printed is too large: {error}"
        except BaseException as error:  # noqa: BLE001 the border to untrusted code: what it raised is the answer
            self._reserve = None
            return "raised", _kind(error), _errno(error), self._trace(error)

    def _reply(self, *message: Any) -> None:
        try:
            self.channel.send(message)
        except TypeError as error:
            self.channel.send(["refused", f"what it returned can't be sent: {error}"])
        except wire.TooLarge as error:
            self.channel.send(["too_large", f"what it returned is too large: {error}"])
        except MemoryError:
            self._reserve = None
            self.channel.send(["raised", "MemoryError", 0, "MemoryError: what it returned does not fit a second time"])

    def _trace(self, error: BaseException) -> str:
        return _text(own_frames(error, self._scratch))

    def _stub(self, name: str) -> Callable[..., Any]:
        def service(*args: Any, **kwargs: Any) -> Any:
            self.channel.send(["service", name, args, kwargs])
            kind, value = self.channel.receive()
            if kind == "raised":
                raise ServiceError(value)
            return value

        service.__name__ = name
        return service


def own_frames(error: BaseException, folder: str) -> str:
    """Formats an exception with its frames in a folder's files, with paths as seen from there."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder)]
    lines = traceback.format_list(own[-5:]) + traceback.format_exception_only(error)
    return "".join(lines).replace(f"{folder}/", "")


def _named(function: Callable[..., Any]) -> Collection[str]:
    """Returns the parameters that a function names."""
    import inspect  # which few problems need

    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # not one of Python's
        return ()


def _kind(error: BaseException) -> str:
    """Returns the name of the kind of fault: that of memory for all that are one."""
    return "MemoryError" if isinstance(error, MemoryError) else type(error).__name__


def _errno(error: BaseException) -> int:
    number = error.errno if isinstance(error, OSError) else None
    return number if isinstance(number, int) else 0


def _text(text: str) -> str:
    return text[-TEXT:].encode("utf-8", "replace").decode()
