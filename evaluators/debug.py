"""Evaluations for debugging: evaluator.py and the candidate in this process, in the foreground, without a sandbox.

What crosses between them still passes the codec of real evaluations, so what can't cross there fails here as well. Does not
cover anything that a sandbox does: no limit holds, no key is kept from the candidate, and what it patches stays patched.
"""

from __future__ import annotations

import asyncio
import bdb
import contextlib
import importlib
import importlib.util
import math
import os
import queue
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

from evaluators.asking import Ask
from evaluators.cascade import Cascade as Cascade
from evaluators.harness import session, tree, wire
from evaluators.pool import Serve, StageJob, refuse
from evaluators.sandbox import Clock, Failure, Zygote
from evaluators.scoring import Scorer
from evaluators.stage import StageRun
from evolve.errors import EvaluatorError
from evolve.problem import Problem
from evolve.types import StageOutcome, Status

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
            return StageOutcome(stage=job.stage, status=Status.EVALUATOR_ERROR, feedback=str(error))


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

    def _open(self) -> Any:
        if self._sandbox is None:
            self._sandbox = here = InProcess(self._answer, self._scorer.tell)  # type: ignore[assignment]
            here.open(self._job.problem, {**self.files, **self._built})
        return self._sandbox


class InProcess:
    """Stands for a `Sandbox`: the candidate's module is one of this process, its folder a temporary one."""

    def __init__(self, answer: Callable[..., list[Any]], tell: Tell):
        self.failure: Failure | None = None
        self._answer, self._tell = answer, tell
        self._fault: EvaluatorError | None = None  # of a service: stands, whatever the candidate makes of it
        self._folder = os.path.realpath(tempfile.mkdtemp(prefix="evolve-debug-"))
        self._module: Any = None

    def open(self, problem: Problem, files: Mapping[str, str | bytes]) -> None:
        for name, content in files.items():
            target = Path(self._folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        if (problem.path / "data").is_dir():
            os.symlink(problem.path / "data", Path(self._folder, "data"))
        sys.path.insert(0, self._folder)
        for name in problem.preload:
            importlib.import_module(name)
        random.seed(0)
        if "numpy.random" in sys.modules:
            sys.modules["numpy"].random.seed(0)
        path = Path(self._folder, problem.entry_file or problem.edit[0])
        spec = importlib.util.spec_from_file_location(session.MODULE, path)
        if spec is None or spec.loader is None:
            raise self._failed(Status.CRASH, f"ImportError: {path.name} is not a Python file")
        self._module = sys.modules[session.MODULE] = importlib.util.module_from_spec(spec)
        self._turn(spec.loader.exec_module, self._module)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            _, _, args, kwargs = wire.decode(wire.encode(["call", name, args, kwargs]), self._stub)
        except wire.TooLarge as error:
            raise EvaluatorError(f"evaluator.py: what it sends to the candidate is too large: {error}") from None
        if not hasattr(self._module, name):
            raise self._failed(Status.CRASH, f"AttributeError: the candidate has no '{name}'")
        returned = self._turn(getattr(self._module, name), *args, **kwargs)
        try:
            return wire.decode(wire.encode(["return", returned]))[1]
        except TypeError as error:
            raise self._failed(Status.INVALID, f"what it returned can't be sent: {error}") from None
        except wire.TooLarge as error:
            raise self._failed(Status.LIMIT, f"what it returned is too large: {error}") from None
        except wire.WireError as error:
            raise self._failed(Status.CRASH, f"sent a malformed message: {error}") from None

    def close(self) -> tuple[float, float, str]:
        sys.path[:] = [path for path in sys.path if path != self._folder]
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", "")).startswith(self._folder + "/"):
                del sys.modules[name]
        tree.remove(self._folder)
        return 0.0, 0.0, ""

    def _turn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Runs the candidate's code in its folder."""
        if self.failure:
            raise self.failure
        try:
            with contextlib.chdir(self._folder):
                returned = function(*args, **kwargs)
        except (Failure, EvaluatorError, KeyboardInterrupt):
            raise
        except bdb.BdbQuit:
            raise KeyboardInterrupt from None
        except BaseException as error:  # the border to the candidate: what it raised is a fact
            if self._fault is None:
                self._tell(traced(error).replace(self._folder + "/", ""))
                own = [frame for frame in traceback.extract_tb(error.__traceback__) if self._folder in frame.filename]
                text = "".join(traceback.format_list(own[-5:]) + traceback.format_exception_only(error))
                status = Status.MEMORY if isinstance(error, MemoryError) else Status.CRASH
                raise self._failed(status, text.replace(self._folder + "/", "").rstrip()) from error
        if self._fault is not None:
            raise self._fault
        return returned

    def _failed(self, status: Status, reason: str) -> Failure:
        self.failure = self.failure or Failure(status, reason)
        return self.failure

    def _stub(self, name: str) -> Callable[..., Any]:
        def service(*args: Any, **kwargs: Any) -> Any:
            try:
                _, *question = wire.decode(wire.encode(["service", name, args, kwargs]))
                kind, value = wire.decode(wire.encode(self._answer(*question)))
            except EvaluatorError as error:
                self._fault = error
                raise
            if kind == "raised":
                raise session.ServiceError(value)
            return value

        return service


def traced(error: BaseException) -> str:
    """Returns an exception's traceback from evaluator.py on: the callers' frames and its own, without those of Evolve."""
    shown = traceback.TracebackException.from_exception(error)
    callers = traceback.extract_stack()
    first = max((i for i, frame in enumerate(callers) if frame.name == "serve_until"), default=len(callers))
    frames = [*callers[first:], *shown.stack]
    shown.stack = traceback.StackSummary.from_list([f for f in frames if not f.filename.startswith(OURS)])
    return "".join(shown.format())
