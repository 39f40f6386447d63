"""Evaluates programs in one forked process, many times faster than a sandbox: for what llm=offline makes of our own programs.

Not covered: all that isolation is for. A candidate shares the process, and modules, with evaluator.py and those before it. One
that is over its CPU time is interrupted; where that fails the process is killed, and forked anew.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import warnings
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from types import SimpleNamespace
from typing import Any

from evaluators.harness import tree
from evaluators.pool import StageJob
from evaluators.sandbox import Failure
from evaluators.scoring import Scorer
from evaluators.stage import StageRun
from evolve.problem import Problem
from evolve.types import Files, StageOutcome, Status

CPU_S, HOLDOUT_CPU_S = 0.5, 10.0
PATIENCE = 20  # times the CPU time, on a clock
MEMORY = 2 << 30
FORK = multiprocessing.get_context("fork")


class Evaluations:
    """One stage of a problem, or its hold-out of so many instances."""

    def __init__(self, problem: Problem, stage: str, holdout: int):
        kept = replace(problem.stage(stage), instances=holdout or None)
        self._problems = replace(problem, stages=(problem.stage(stage),)), replace(problem, stages=(kept,))
        self._process: Any = None

    def run(self, files: Files, holdout: bool = False) -> StageOutcome:
        problem, cpu_s = self._problems[holdout], HOLDOUT_CPU_S if holdout else CPU_S
        job = StageJob(problem=problem, stage=problem.stages[0].name, files=files, holdout=holdout)
        if self._process is None:
            self._pipe, theirs = FORK.Pipe()
            self._process = FORK.Process(target=_serve, args=(theirs, self._problems[0], os.getpid()), daemon=True)
            self._process.start()
            theirs.close()
        self._pipe.send((job, cpu_s))
        try:
            if self._pipe.poll(PATIENCE * cpu_s):
                return self._pipe.recv()  # type: ignore[no-any-return]
            status = Status.TIMEOUT
        except EOFError:
            status = Status.CRASH
        self._process.kill()
        self._process = None
        return StageOutcome(stage=job.stage, status=status)


def _serve(pipe: Connection, problem: Problem, parent: int) -> None:
    tree.die_with_parent(parent)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _interrupt)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    scorer = Scorer(problem)
    while True:
        job, cpu_s = pipe.recv()
        signal.setitimer(signal.ITIMER_PROF, cpu_s, cpu_s)  # again and again, should the first be caught
        try:
            outcome = Inside(scorer, SimpleNamespace(level="none"), job, None).run()  # type: ignore[arg-type]
        except Failure as failure:  # interrupted outside the candidate
            outcome = StageOutcome(stage=job.stage, status=failure.status)
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send(outcome)


def _interrupt(*_: Any) -> None:
    raise Failure(Status.TIMEOUT, "over its time")


class Inside(StageRun):
    """A stage whose candidate is loaded into this process."""

    def _open(self) -> Any:
        if self._sandbox is None:
            self._sandbox = Loaded(self.files[self._job.problem.entry_file or self._job.problem.edit[0]])  # type: ignore
        return self._sandbox


class Loaded:
    """Stands for a sandbox: a candidate's module, called directly."""

    failure = None

    def __init__(self, text: str):
        self._names: dict[str, Any] = {"__name__": "candidate"}
        _guarded(exec, compile(text, "candidate.py", "exec"), self._names)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], spare: Sequence[str]) -> Any:
        return _guarded(self._names[name], *args, **kwargs)

    def close(self) -> tuple[float, float, str]:
        return 0.0, 0.0, ""


def _guarded(function: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except Failure:
        raise
    except Exception as error:  # noqa: BLE001 the border to generated code
        status = Status.MEMORY if isinstance(error, MemoryError) else Status.CRASH
        raise Failure(status, f"{type(error).__name__}: {error}") from None
