"""Evaluations for debugging: evaluator.py and the candidate in this process, in the foreground, without a sandbox.

What crosses between them still passes the codec of real evaluations, so what can't cross there fails here as well. Does not
cover anything that a sandbox does: no limit holds, no key is kept from the candidate, and what it patches stays patched.
"""

from __future__ import annotations

import asyncio
import bdb
import contextlib
import importlib
import math
import os
import queue
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

from evaluators.asking import Ask
from evaluators.cascade import Cascade as Cascade
from evaluators.harness import session, wire
from evaluators.pool import Serve, StageJob, refuse
from evaluators.sandbox import Answer, Clock, Failure, Sandbox, Zygote
from evaluators.scoring import Scorer, unload
from evaluators.stage import StageRun
from evolve.errors import EvaluatorError
from evolve.problem import Problem, Stage
from evolve.types import Files, StageOutcome, Status

OURS = tuple(str(Path(__file__).resolve().parents[1] / name) + "/" for name in ("evaluators", "evolve"))
Tell = Callable[[str], None]


class Foreground:
    """A `Pool` without workers. Its user runs on a thread's event loop, the stages in the thread that calls `serve_until`,
    one at a time; `tell` gets the traceback of whatever is raised."""

    slots = 1
    isolation = ""

    def __init__(self, tell: Tell):
        self._tell = tell
        self._scorer: Here | None = None
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    async def start(self, problem: Problem | None = None, measured_on: str = "") -> None: ...

    async def close(self) -> None: ...

    async def run(self, job: StageJob, serve: Serve = refuse) -> StageOutcome:
        loop, outcome = asyncio.get_running_loop(), Future[StageOutcome]()

        def ask(question: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(serve(question), loop).result()  # type: ignore[arg-type]

        self._jobs.put(lambda: outcome.set_result(self._evaluated(job, ask)))
        return await asyncio.wrap_future(outcome)

    def serve_until(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Runs `work` in a thread, and here what it puts to this pool; returns its result."""
        done: Future[Any] = Future()
        done.add_done_callback(lambda _: self._jobs.put(None))
        Thread(target=_settle, args=(done, work), daemon=True).start()
        while (run := self._jobs.get()) is not None:
            run()
        return done.result()

    def _evaluated(self, job: StageJob, ask: Ask) -> StageOutcome:
        try:
            if job.problem.command:
                raise EvaluatorError("--debug: the candidate is a command, which has no place in this process")
            self._scorer = self._scorer or Here(job.problem, self._tell)
            with contextlib.closing(Zygote("bare", job.problem)) as zygote:  # where something is built
                return replace(_Run(self._scorer, zygote, job, ask).run(), isolation="none")
        except EvaluatorError as error:
            return job.failed(Status.EVALUATOR_ERROR, str(error))


def _settle(done: Future[Any], work: Coroutine[Any, Any, Any]) -> None:
    try:
        done.set_result(asyncio.run(work))
    except BaseException as error:  # noqa: BLE001 the thread's edge: raised where the result is taken
        done.set_exception(error)


class Here(Scorer):
    """A scorer that tells the whole traceback of what evaluator.py raises, and ends where a debugger is left."""

    def __init__(self, problem: Problem, tell: Tell):
        self.tell = tell
        self._told: BaseException | None = None
        super().__init__(problem)

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        try:
            with super().guard():
                yield
        except EvaluatorError as error:
            cause = error.__cause__
            if isinstance(cause, bdb.BdbQuit | KeyboardInterrupt):
                raise KeyboardInterrupt from None
            if cause is not None and cause is not self._told:
                self._told = cause
                self.tell(traced(cause))
            raise


class _Run(StageRun):
    """A stage whose clock never ends and whose candidate is here."""

    _scorer: Here

    def __init__(self, scorer: Here, zygote: Zygote, job: StageJob, ask: Ask):
        super().__init__(scorer, zygote, job, ask)
        self._clock = Clock(math.inf, math.inf)

    def _new_sandbox(self) -> Sandbox:
        return InProcess(self._zygote, self._clock, self._answer, self._scorer.tell)


class InProcess(Sandbox):
    """A sandbox that is none: the harness's session is in this process, its folder a temporary one."""

    def __init__(self, zygote: Zygote, clock: Clock, answer: Answer, tell: Tell):
        super().__init__(zygote, clock, answer)
        self._scratch = os.path.realpath(tempfile.mkdtemp(prefix="evolve-debug-"))
        self._channel = Near(self._scratch, answer, tell)  # type: ignore[assignment]

    def _start(self, problem: Problem, stage: Stage, files: Files, memory_mb: int, *, program: bool) -> dict[str, Any]:
        for name in problem.preload:
            importlib.import_module(name)
        session.fix_global_generators()
        return {"data": problem.data, "memory_mb": memory_mb}

    def close(self) -> tuple[float, float, str]:
        unload(self._scratch)
        return super().close()


class Near:
    """The sandbox's end of a channel within this process: `receive` has the session work in its folder until it answers."""

    def __init__(self, folder: str, answer: Answer, tell: Tell):
        self._folder = folder
        self._session = _Session(lambda stub: Far(stub, answer), folder, tell)

    def send(self, message: Any, deadline: float) -> None:
        far = self._session.channel
        far.message = wire.decode(wire.encode(message), far.stub)

    def receive(self, deadline: float) -> Any:
        with contextlib.chdir(self._folder):
            self._session.answer()
        if self._session.channel.fault is not None:
            raise self._session.channel.fault
        return self._session.channel.message

    def close(self) -> None: ...


class Far:
    """The session's end, which puts what is asked of a service to the scorer's side at once."""

    def __init__(self, stub: Callable[[str], Any], answer: Answer):
        self.stub = stub
        self.message: Any = None  # the one on its way
        self.fault: Exception | None = None  # of a service: stands, whatever the candidate makes of it
        self._answer = answer

    def send(self, message: Any) -> None:
        self.message = wire.decode(wire.encode(message))
        if self.message[0] == "service":
            try:
                self.message = wire.decode(wire.encode(self._answer(*self.message[1:])))
            except (Failure, EvaluatorError) as error:
                self.fault = error
                raise

    def receive(self) -> Any:
        return self.message


class _Session(session.Session):
    """The harness's session; it tells the whole traceback of what the candidate raises, and ends where a debugger is left."""

    channel: Far

    def __init__(self, channel: Callable[..., Far], folder: str, tell: Tell):
        super().__init__(channel, folder)
        self._tell = tell

    def _trace(self, error: BaseException) -> str:
        if isinstance(error, bdb.BdbQuit | KeyboardInterrupt):
            raise KeyboardInterrupt from None
        if self.channel.fault is None:
            self._tell(traced(error).replace(self._scratch + "/", ""))
        return super()._trace(error)


def traced(error: BaseException) -> str:
    """Returns an exception's traceback from evaluator.py on: the callers' frames and its own, without those of Evolve."""
    shown = traceback.TracebackException.from_exception(error)
    callers = traceback.extract_stack()
    first = max((i for i, frame in enumerate(callers) if frame.name == "serve_until"), default=len(callers))
    frames = [*callers[first:], *shown.stack]
    shown.stack = traceback.StackSummary.from_list([f for f in frames if not f.filename.startswith(OURS)])
    return "".join(shown.format())
