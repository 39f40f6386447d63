"""The worker's side of the sandbox: one zygote, one candidate process at a time, clocks for its turns, a watch on its tree.

docs/isolation.md says what each level covers and what it does not. At no level: work in threads between the candidate's
turns is not on its clock, only on its CPU limit.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import IO, Any

from evaluators import gpu
from evaluators.environment import clean_environment
from evaluators.harness import tree, wire
from evaluators.harness.container import DATA, SCRATCH, SCRATCH_FILES, SCRATCH_MB
from evaluators.harness.guard import PROCESSES, started
from evaluators.isolation import HARNESS, NO_PROBLEM, plan
from evaluators.watch import PERIOD_S, Watch, pids_of, resident_mb
from evolve.errors import EvaluatorError
from evolve.problem import Problem, Stage
from evolve.types import Files, Status

PRELOAD_S = 60.0
DYING_S = 0.3  # from the end of a process's channel to its own
END_S = 5.0  # how long the end of a tree may take
FILE_MB = 64
BUILD_MEMORY_MB = 2000  # compilers need it, whatever a candidate may have
OPEN_FILES = 256
LOG_TAIL = 2_000
OUT_OF_MEMORY = ("std::bad_alloc", "MemoryError", "out of memory", "Cannot allocate memory")  # as commands print it
LIMIT_ERRORS = {
    errno.EAGAIN: f"started more than {PROCESSES} processes and threads",
    errno.EFBIG: f"wrote or printed more than {FILE_MB} MB",
    errno.ENOSPC: f"wrote more than {SCRATCH_MB} MB or {SCRATCH_FILES:,} files into its folder",
    errno.EDQUOT: f"wrote more than {SCRATCH_MB} MB into its folder",
    errno.EMFILE: f"opened more than {OPEN_FILES} files",
}
LOST_ZYGOTE = "took down the process that had started it"


Built = Mapping[str, bytes]
"""What a build left: files that are new or changed."""

Answer = Callable[[str, list[Any], dict[str, Any]], list[Any]]
"""Answers what a candidate asks of a service: (name, args, kwargs) -> message."""


class Failure(Exception):
    """Raised when a candidate failed: the status, and a reason that its proposer can use."""

    def __init__(self, status: Status, reason: str):
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Clock:
    """The time of a stage: `timeout_s` for the candidate's own turns, `wall_s` for everything."""

    def __init__(self, timeout_s: float, wall_s: float):
        self.timeout_s = timeout_s
        self.turn_s = 0.0
        self._asked, self._asked_s, self._longest_s = 0, 0.0, 0.0
        self.began = time.monotonic()
        self._end = self.began + wall_s
        self._turn = self.began
        self._wall_s = wall_s

    def start_turn(self) -> float:
        """Starts a turn; returns the deadline that it must meet."""
        self._turn = time.monotonic()
        return min(self._turn + self.timeout_s - self.turn_s, self._end)

    def stop_turn(self) -> None:
        """Stops the clock; doing so again changes nothing."""
        now = time.monotonic()
        self.turn_s += now - self._turn
        self._turn = now

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Takes the time of a block (a wait for the runner) out of `wall_s`; it must lie between the candidate's turns."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._end += time.monotonic() - began

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Notes what a block takes of `wall_s`: a service that the candidate called."""
        left_s = self._end - time.monotonic()
        try:
            yield
        finally:
            seconds = left_s - (self._end - time.monotonic())
            self._asked += 1
            self._asked_s += seconds
            self._longest_s = max(self._longest_s, seconds)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.began

    @property
    def left_s(self) -> float:
        return min(self.timeout_s - self.turn_s, self._end - time.monotonic())

    def overrun(self) -> Exception:
        """Returns what to raise at the deadline: whoever used most of wall_s is at fault, the candidate for its turns, and for
        the services that it called, unless one call alone took most of their time."""
        if self.turn_s >= self.timeout_s:
            return Failure(Status.TIMEOUT, f"not done after timeout_s={self.timeout_s:g} in its own turns")
        if self.turn_s >= self._wall_s / 2:
            return Failure(Status.TIMEOUT, f"not done after wall_s={self._wall_s:g}, most of it in its own turns")
        if self._longest_s < self._asked_s / 2 and self.turn_s + self._asked_s >= self._wall_s / 2:
            asked = f"{self._asked:,} calls of services"
            return Failure(
                Status.TIMEOUT, f"not done after wall_s={self._wall_s:g}, most of it in {asked} that it made"
            )
        return EvaluatorError(f"the stage took longer than wall_s={self._wall_s:g}, most of it in evaluator.py")


class Zygote:
    """The exec'd process that has a problem's `preload` in memory and forks candidates. Started by the first `spawn`."""

    def __init__(self, level: str, problem: Problem = NO_PROBLEM):
        self.level = level
        self.base_mb = 0.0  # what it holds, and every candidate shares
        self._problem = problem
        self._uid = os.geteuid()  # of candidates; the plan says another one where there is
        self._home = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._serial = 0

    def start(self) -> None:
        """Starts it without waiting for it."""
        self.close()
        self._home = tempfile.mkdtemp(prefix="evolve-zygote-")
        os.chmod(self._home, 0o711)  # a candidate of another user finds its scratch folder, not the names of others
        told = plan(self.level, self._problem, self._home)
        self._uid = told["uid"]
        devices = gpu.visible(gpu.assigned()) if told["devices"] else {}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *told["python"],
                    *started(HARNESS, "__main__", told["library"]),
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                env={**self._problem.env, **clean_environment(self._home, trusted=False), **devices},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control = ours
        ours.send(wire.encode(["start", told]))

    def wait_ready(self) -> None:
        """Waits for the preload. Raises EvaluatorError where a module named there can't be imported, or the level be had."""
        reply = self._receive(PRELOAD_S)
        if reply is None or reply[0] != "ready":
            self.close()
            names = ", ".join(self._problem.preload)
            raise EvaluatorError(reply[1] if reply else f"preload: {names}: the process died or hung")
        assert self._process is not None
        holders = pids_of(self._process.pid, contained=False) if self.level == "strict" else [self._process.pid]
        self.base_mb = max(map(resident_mb, holders), default=0.0)

    def pids(self) -> list[int]:
        """Returns the candidate's processes, as they are numbered here."""
        process = self._process  # asked for by another thread than the one that ends it
        return [] if process is None else pids_of(process.pid, contained=self.level == "strict")

    def new_scratch(self) -> str:
        """Returns a new folder for a candidate's files; at *strict* the zygote has one."""
        if self.level == "strict":
            return ""
        scratch = tempfile.mkdtemp(prefix="candidate-", dir=self._home)
        if self._uid != os.geteuid():
            os.chown(scratch, self._uid, self._uid)
        return scratch

    def ensure(self) -> None:
        """Starts it where it is not there."""
        if self._process is None or self._process.poll() is not None:
            self.start()
            self.wait_ready()

    def spawn(self, limits: Mapping[str, int], scratch: str, channel: int, log: int, fresh: bool) -> int:
        """Forks a candidate's process; returns its serial number. Call `ensure` before."""
        assert self._control is not None
        self._serial += 1
        packet = wire.encode(["spawn", self._serial, dict(limits), scratch, fresh])
        socket.send_fds(self._control, [packet], [channel, log])
        return self._serial

    def end(self, serial: int) -> tuple[int, float, float] | None:
        """Ends the candidate's tree; returns exit code, CPU seconds, peak MB, or None where the zygote itself is gone."""
        with contextlib.suppress(OSError):
            if self._control is not None and self._process is not None:
                self._process.send_signal(signal.SIGCONT)  # a candidate may have stopped it
                self._control.send(wire.encode(["end", serial]))
        report = self._receive(END_S)
        if report is None or report[:2] != ["ended", serial]:
            self.close(grace_s=0.0)
            return None
        return int(report[2]), float(report[3]), float(report[4])

    def reported(self, within_s: float) -> bool:
        """Says whether it tells, within that time, that the candidate's process is gone."""
        return bool(select.select([self.fileno()], [], [], within_s)[0])

    def fileno(self) -> int:
        """The descriptor that becomes readable when a candidate's process died unasked, or the zygote did."""
        return -1 if self._control is None else self._control.fileno()

    def close(self, grace_s: float = END_S) -> None:
        """Ends it; it takes its candidate along, if it does so within `grace_s`."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
            tree.end_strangers()  # where it could not
        if self._home:
            tree.remove(self._home)
            self._home = ""

    def _receive(self, timeout_s: float) -> list[Any] | None:
        if self._control is None:
            return None
        self._control.settimeout(timeout_s)
        try:
            packet = self._control.recv(1 << 16)
        except OSError:
            return None
        finally:
            self._control.settimeout(None)
        return list(wire.decode(packet)) if packet else None


class Sandbox:
    """One candidate's process with its scratch folder; made by `open`, ended by `close`."""

    def __init__(self, zygote: Zygote, clock: Clock, answer: Answer):
        self._zygote = zygote
        self._clock = clock
        self._answer = answer
        self._failure: Failure | None = None
        self._report: tuple[int, float, float] | None = None
        self._serial = 0
        self._channel: wire.Channel | None = None
        self._log: IO[bytes] | None = None
        self._scratch = ""
        self._watch: Watch | None = None
        self._fault: Failure | None = None  # what the watch found
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._look_on, daemon=True)

    def open(self, problem: Problem, stage: Stage, files: Files, built: Built) -> None:
        """Starts the process and loads the entry's file, or what a command needs. Raises Failure."""
        told = self._start(problem, stage, files, stage.memory_mb, program=bool(problem.command))
        told |= {"command": list(problem.command), "file": problem.entry_file or problem.edit[0]}
        self._turn(["load", {**files, **built}, told])

    def build(self, problem: Problem, stage: Stage, files: Files, run: Sequence[str]) -> tuple[int, str, Built]:
        """Runs a build; returns its exit code, its messages and what it left. Raises Failure."""
        told = self._start(problem, stage, files, max(stage.memory_mb, BUILD_MEMORY_MB), program=True)
        done = self._turn(["build", dict(files), told | {"command": list(run)}])
        match done:
            case {"code": int(code), "messages": str(messages), "files": dict(left)} if all(
                type(content) is bytes for content in left.values()
            ):
                return code, messages, left
        raise Failure(Status.CRASH, "sent something that is no answer to a build")

    def _start(self, problem: Problem, stage: Stage, files: Files, memory_mb: int, *, program: bool) -> dict[str, Any]:
        """Starts the process; returns what its harness is told. A program's memory is limited there."""
        data = problem.data
        _check_names(files, taken="data" if data else "")
        self._zygote.ensure()
        self._scratch = self._zygote.new_scratch()
        self._log = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 lives as long as this
        cpu_s = self._clock.timeout_s * max(1.0, stage.cpus) + 1
        reserving = program or stage.profile == "gpu"  # drivers reserve more than there is
        limits = {
            "memory_mb": 0 if reserving else memory_mb,
            "cpu_s": math.ceil(cpu_s),
            "file_mb": FILE_MB,
            "files": OPEN_FILES,
        }
        ours, theirs = socket.socketpair()
        with theirs:
            fresh = stage.profile != "python" and not program
            self._serial = self._zygote.spawn(limits, self._scratch, theirs.fileno(), self._log.fileno(), fresh)
        self._watch = Watch(self._zygote.pids, memory_mb, self._zygote.base_mb, cpu_s, self._scratch or None)
        self._channel = wire.Channel(ours, watch=self._zygote.fileno())
        self._watching.start()
        return {"data": DATA if data and self._zygote.level == "strict" else data, "memory_mb": memory_mb}

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], spare: Sequence[str] = ()) -> Any:
        """Calls a function of the candidate, with `spare` keywords where it names them; returns data.

        Raises Failure; after the first one, that one again.
        """
        return self._turn(["call", name, args, kwargs, *([spare] if spare else [])])

    @property
    def failure(self) -> Failure | None:
        """The first failure: it stands, whatever `drive` made of the exception."""
        return self._failure

    def close(self) -> tuple[float, float, str]:
        """Ends the process and all it started; returns CPU seconds, peak MB and the end of what it printed."""
        self._over.set()
        if self._watching.is_alive():
            self._watching.join()
        report = self._ended() if self._serial else (0, 0.0, 0.0)
        self._failure = self._failure or self._fault
        if report is None and self._failure is None:
            self._failure = self._died()  # after it had answered well
        _, cpu_s, memory_mb = report or (0, 0.0, 0.0)
        memory_mb = max(memory_mb, self._watch.peak_mb if self._watch else 0.0)
        tail = ""
        if self._channel is not None:
            self._channel.close()
        if self._log is not None:
            tail = end_of(self._log).replace(f"{self._scratch or SCRATCH}/", "")  # a place that is another each time
            self._log.close()
        if self._scratch:
            tree.remove(self._scratch)
        return cpu_s, memory_mb, tail

    def _turn(self, message: list[Any]) -> Any:
        if self._failure is not None:
            raise self._failure
        try:
            return self._converse(message)
        except Failure as failure:
            self._failure = failure
            raise

    def _converse(self, message: list[Any]) -> Any:
        while True:
            match self._exchange(message):
                case ["return", value]:
                    return value
                case ["service", str(name), list(args), dict(kwargs)]:
                    with self._clock.serving():
                        message = self._answer(name, args, kwargs)
                case ["raised", str(kind), int(number), str(trace)]:
                    raise _raised(kind, number, trace)
                case ["exited", int(code)] if abs(code) < 256:
                    raise self._exited(code)
                case ["refused", str(text)]:
                    raise Failure(Status.INVALID, text)
                case ["too_large", str(text)]:
                    raise Failure(Status.LIMIT, text)
                case _:
                    raise Failure(Status.CRASH, "sent something that is no answer to the call")

    def _exchange(self, message: list[Any]) -> Any:
        assert self._channel is not None, "open first"
        if self._clock.left_s <= 0:  # also where the next message is there already
            raise self._clock.overrun()
        deadline = self._clock.start_turn()
        try:
            self._send(message, deadline)
            return self._channel.receive(deadline)
        except TimeoutError:
            self._clock.stop_turn()
            raise self._clock.overrun() from None
        except wire.TooLarge as error:
            raise Failure(Status.LIMIT, f"what it sent is too large: {error}") from None
        except wire.Closed:
            raise self._died("closed its channel before it answered") from None
        except wire.Interrupted:
            raise self._died() from None
        except wire.WireError as error:
            raise Failure(Status.CRASH, f"sent a malformed message: {error}") from None
        finally:
            self._clock.stop_turn()

    def _look_on(self) -> None:
        """Looks at the candidate's processes now and then, whoever's turn it is; kills them where they are over a limit."""
        assert self._watch is not None
        while not self._over.wait(PERIOD_S):
            if fault := self._watch.look():
                self._fault = self._fault or Failure(*fault)
                tree.kill(self._zygote.pids())

    def _send(self, message: list[Any], deadline: float) -> None:
        assert self._channel is not None
        try:
            self._channel.send(message, deadline)
        except wire.TooLarge as error:
            raise EvaluatorError(f"evaluator.py: what it sends to the candidate is too large: {error}") from None

    def _exited(self, code: int) -> Failure:
        """Says why a command is gone; what it printed tells whether memory ran out."""
        printed = "" if self._log is None else end_of(self._log)
        if code and any(words in printed for words in OUT_OF_MEMORY):
            return Failure(Status.MEMORY, f"ran out of memory (exit code {code})")
        return _death(code, 0.0, self._clock)

    def _ended(self) -> tuple[int, float, float] | None:
        if self._report is None:
            self._report = self._zygote.end(self._serial)
        return self._report

    def _died(self, alive: str = "") -> Failure:
        """Says why there is no answer; `alive` is the reason where the process was there until it was ended here."""
        lives = bool(alive) and not self._zygote.reported(DYING_S)
        report = self._ended()
        if self._fault is not None:
            return self._fault
        if report is None:
            return Failure(Status.CRASH, LOST_ZYGOTE)
        code, cpu_s, _ = report
        if lives:
            return Failure(Status.CRASH, alive)
        return _death(code, cpu_s, self._clock)


def _death(code: int, cpu_s: float, clock: Clock) -> Failure:
    """Says why a process is gone that should have answered."""
    if code >= 0:
        return Failure(Status.CRASH, f"its process exited with code {code} before it answered")
    name = signal.Signals(-code).name
    if -code == signal.SIGXCPU or (-code == signal.SIGKILL and cpu_s > clock.timeout_s):
        return Failure(Status.TIMEOUT, f"used more CPU than timeout_s={clock.timeout_s:g} allows")
    if -code == signal.SIGXFSZ:
        return Failure(Status.LIMIT, f"wrote or printed more than {FILE_MB} MB")
    return Failure(Status.CRASH, f"its process died of {name} before it answered")


def _raised(kind: str, number: int, trace: str) -> Failure:
    """Returns what a candidate's own word for its failure stands for."""
    text = trace.rstrip() or kind
    if kind == "MemoryError":
        return Failure(Status.MEMORY, text)
    if kind == "RuntimeError" and "can't start new thread" in trace:
        number = errno.EAGAIN
    limit = LIMIT_ERRORS.get(number)
    return Failure(Status.LIMIT, f"{limit}\n{text}") if limit else Failure(Status.CRASH, text)


def _check_names(files: Files, taken: str) -> None:
    """Refuses names that lead out of the folder, and such as can't be beside one another."""
    paths = {name: PurePosixPath(name) for name in files}
    folders = {folder for path in paths.values() for folder in path.parents}
    if len(set(paths.values())) < len(paths):
        raise Failure(Status.INVALID, "two of its files have the same name in other words")
    for name, path in paths.items():
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise Failure(Status.INVALID, f"the file name {name!r} leaves the candidate's folder")
        if path.parts[0] == taken:
            raise Failure(Status.INVALID, f"the file name {name!r} is in the place of the problem's {taken}/")
        if path in folders:
            raise Failure(Status.INVALID, f"{name!r} can't be both a file and a folder of others")
    try:
        for name, text in files.items():
            (name + text).encode()
    except UnicodeEncodeError as error:
        raise Failure(Status.INVALID, f"the file {name!r} can't be written: {error}") from None


def end_of(log: IO[bytes]) -> str:
    """Returns the end of what was printed."""
    size = os.fstat(log.fileno()).st_size
    raw = os.pread(log.fileno(), LOG_TAIL, max(0, size - LOG_TAIL))
    return raw.decode("utf-8", "replace").strip()
