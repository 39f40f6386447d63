"""The pools' side of a worker program: starts it, hands it a job, replaces it. Synchronous; one thread per `Slot`.

A worker is ended by SIGKILL to its process group; its zygote, in a session of its own, then ends the candidate's tree and
leaves. Does not cover: a zygote that its candidate has stopped or killed in that moment leaves the candidate's children.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import platform
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import IO, Any

from evaluators.environment import clean_environment, python
from evaluators.harness import tree, wire
from evaluators.pool import Question, StageJob
from evaluators.sandbox import end_of
from evaluators.worker import MESSAGE
from evolve.errors import EvolveError, ProviderError
from evolve.types import StageOutcome, Status

START_S = 60.0  # for a worker to import, and to load a problem with its preloads
GRACE_S = 5.0  # beyond a stage's wall_s: a last message may take some seconds to decode, a tree to end
DEATHS = 2  # a candidate that takes down so many workers is quarantined

Ask = Callable[[Question], Any]
"""Answers an evaluation's question, in the thread that runs the job. Raises EvolveError to refuse."""


class WorkerDied(Exception):
    """Raised when a worker's process is gone or its channel broken."""


class Worker:
    """One worker process and the channel to it; the thread that makes it must outlive it."""

    def __init__(self, isolation: str) -> None:
        self._isolation = isolation
        self.level = ""  # known once it is ready
        self._home = tempfile.mkdtemp(prefix=tree.WORKER)
        os.chmod(self._home, 0o711)  # candidates of another user have folders in it
        self._log: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 lives as long as this
        fcntl.fcntl(self._log, fcntl.F_SETFL, os.O_APPEND)  # so that emptying it leaves no hole
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [*python(), "-m", "evaluators.worker", str(os.getpid()), isolation],
                env=clean_environment(self._home, trusted=True),
                cwd=self._home,
                stdin=theirs.fileno(),
                stdout=self._log.fileno(),
                stderr=self._log.fileno(),
                start_new_session=True,
            )
        self._channel = wire.Channel(ours, limit=MESSAGE)

    def wait_ready(self) -> None:
        """Waits until the program has started. Raises WorkerDied, with what it printed, and EvolveError for its isolation."""
        try:
            _, self.level, faults = self._channel.receive(time.monotonic() + START_S)
        except (wire.WireError, TimeoutError) as error:
            raise WorkerDied(f"a worker did not start ({error}):\n{self.printed()}") from None
        reasons = "; ".join(f"{level}: {fault}" for level, fault in faults.items() if fault)
        if not self.level or (self._isolation == "auto" and self.level == "bare"):
            raise EvolveError(
                f"evaluator.isolation={self._isolation}: can't be had on {platform.node()} ({reasons}); "
                "write evaluator.isolation=bare to run candidates that you trust without a sandbox"
            )

    def run(self, job: StageJob, ask: Ask) -> StageOutcome:
        """Runs a job. Raises WorkerDied, and TimeoutError when evaluator.py is over its time; is of no use after either.

        `ask` answers what the evaluation asks meanwhile; the stage's time stands still while it does.
        """
        os.ftruncate(self._log.fileno(), 0)
        wall_s = job.problem.stage(job.stage).wall_s
        deadline, took = time.monotonic() + START_S, f"more than {START_S:g} s to load"
        try:
            self._channel.send(pickle.dumps(job), deadline)
            while (message := self._channel.receive(deadline))[0] != "outcome":
                now = time.monotonic()
                if message[0] == "began":
                    deadline, took = now + wall_s + GRACE_S, f"longer than wall_s={wall_s:g}"
                else:
                    self._channel.send(_answer(ask, message[1]))
                    deadline += time.monotonic() - now
        except wire.WireError as error:
            raise WorkerDied(f"{error}\n{self.printed()}".strip()) from None
        except TimeoutError:
            raise TimeoutError(f"evaluator.py took {took}\n{self.printed()}".strip()) from None
        return _outcome(message[1])

    def kill(self) -> None:
        """Ends the process and, through its zygote, the candidate. May be called from another thread than `run`."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Ends it and removes its files."""
        self.kill()
        self._process.wait()
        self._channel.close()
        self._log.close()
        tree.remove(self._home)

    def printed(self) -> str:
        """Returns the end of what the worker and evaluator.py printed during this job."""
        return end_of(self._log)


class Slot:
    """A place for one evaluation at a time: a worker that is replaced when it dies or hangs."""

    def __init__(self, isolation: str = "auto") -> None:
        self._isolation = isolation
        self._worker: Worker | None = None

    def start(self) -> str:
        """Starts a worker unless one is there; returns its level of isolation. Raises WorkerDied, EvolveError."""
        return self._live().level

    def run(self, job: StageJob, ask: Ask, stopped: Callable[[], bool] = lambda: False) -> StageOutcome:
        """Runs a job to its outcome, on a fresh worker where the first one dies. Raises WorkerDied once `stopped`."""
        for _ in range(DEATHS):
            try:
                worker = self._live()
            except WorkerDied as error:
                return job.failed(Status.INFRA, str(error))
            try:
                if stopped():
                    raise WorkerDied("stopped")
                return worker.run(job, ask)
            except TimeoutError as error:
                self.close()
                return job.failed(Status.EVALUATOR_ERROR, str(error))
            except WorkerDied as error:
                self.close()
                reason = str(error)
                if stopped():
                    raise
        return job.failed(Status.CRASH, f"took down the worker that ran it, {DEATHS} times: {reason}")

    def kill(self) -> None:
        """Kills the present worker, from any thread; a `run` in progress sees it die."""
        worker = self._worker
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _live(self) -> Worker:
        if self._worker is None:
            self._worker = Worker(self._isolation)
            try:
                self._worker.wait_ready()
            except (WorkerDied, EvolveError):
                self.close()
                raise
        return self._worker


def _answer(ask: Ask, question: dict[str, Any]) -> list[Any]:
    try:
        return ["answer", ask(question)]
    except EvolveError as error:
        status = Status.INFRA if isinstance(error, ProviderError) else Status.EVALUATOR_ERROR
        return ["refused", str(error), status.value]


def _outcome(fields: dict[str, Any]) -> StageOutcome:
    curve = tuple((step, value) for step, value in fields["curve"])
    known = {"status": Status(fields["status"]), "instances": tuple(fields["instances"]), "curve": curve}
    return StageOutcome(**{**fields, **known})
