"""The cascade: a candidate runs through a problem's stages in order, the cheap ones first, until one does not pass."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from evaluators import machine
from evaluators.pool import Pool, Serve, StageJob, refuse
from evolve import checks
from evolve.errors import EvolveError, ProblemError, UsageError
from evolve.problem import LEVELS, Problem
from evolve.types import HOLDOUT, Evaluation, Files, StageOutcome, Status

OnStage = Callable[[StageOutcome], Awaitable[None] | None]
TRIES = 2  # of a stage that other hardware measured
WORKER_START_S = 1.0  # about what it costs to cut a running stage short; one that fails sooner is let end


class Cascade:
    """Evaluates candidates on a pool. `isolation` is the least level that is wanted, `auto` what the pool has; `local` says
    that the workers are on this machine, so that what it lacks is known without asking them."""

    def __init__(self, pool: Pool, isolation: str = "auto", queue: int | None = None, *, local: bool = False):
        checks.whole("evaluator.queue", queue, 1, or_null=True)
        if isolation not in ("auto", *LEVELS):
            raise UsageError(f"evaluator.isolation={isolation}: must be one of auto, {', '.join(reversed(LEVELS))}")
        self._pool = pool
        self._queue = queue
        self._wanted = isolation
        self._local = local
        self._measured_on = ""

    @property
    def slots(self) -> int:
        """How many stages run at once."""
        return self._pool.slots

    @property
    def queue(self) -> int:
        """How many candidates may wait for a slot before no more are asked for."""
        return self._queue or 2 * self.slots

    @property
    def isolation(self) -> str:
        """The level of the workers; known after `start`."""
        return self._pool.isolation

    def missing(self, problem: Problem) -> list[str]:
        """Returns what the problem requires and this machine lacks; elsewhere the pool's `start` finds out."""
        return machine.missing(problem) if self._local else []

    async def start(self, problem: Problem | None = None, measured_on: str = "") -> None:
        """Starts the workers. `measured_on` is the model, of the problem's `comparable_on`, that a stored run was measured on.

        Raises EvolveError where the machine, or every node, has another one, or its isolation is weaker than what is asked for.
        """
        self._measured_on = measured_on
        if problem is not None and self._local and (reason := self._unlike(problem, machine.node_class())):
            raise EvolveError(f"problem={problem.name}: {reason}; resume it on such a machine, or start a new run")
        await self._pool.start(problem, measured_on)
        self._check_isolation(problem)

    def _check_isolation(self, problem: Problem | None) -> None:
        here = self.isolation
        if self._wanted != "auto" and _weaker(here, self._wanted):
            raise UsageError(
                f"evaluator.isolation={self._wanted} is not available here, the workers have {here}; "
                f"use evaluator.isolation={here}, or another machine"
            )
        if problem is not None and problem.isolation and _weaker(here, problem.isolation):
            raise ProblemError(
                f"{problem.path}/problem.yaml: isolation: {problem.isolation}, but the workers have {here} "
                f"(evaluator.isolation={self._wanted}); run it where {problem.isolation} is to be had"
            )

    async def close(self) -> None:
        await self._pool.close()

    async def evaluate(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int = 0,
        thresholds: Mapping[str, float] | None = None,
        draw_seed: int = 0,
        done: Sequence[StageOutcome] = (),
        on_stage: OnStage | None = None,
        serve: Serve = refuse,
    ) -> Evaluation:
        """Runs the stages until one fails or scores less than its threshold; the last finished stage ranks.

        `thresholds` maps a stage to the least score (higher is better) that passes it. Outcomes in `done` stand and are not
        run again. `on_stage` is called after each stage that ran, and awaited where it is a coroutine function. `serve`
        answers what the evaluation asks while it runs.
        """
        stored = {(outcome.stage, outcome.replicate): outcome for outcome in done}
        passed: list[Evaluation] = []
        for stage in problem.stages:
            job = StageJob(problem=problem, stage=stage.name, files=files, draw_seed=draw_seed, candidate=candidate)
            jobs = [replace(job, replicate=replicate) for replicate in range(stage.replicates)]
            found = Evaluation.of(await self._replicates(jobs, stored, on_stage, serve))
            if found.status is not Status.OK:
                return _whole(passed, found)
            least = (thresholds or {}).get(stage.name)
            if least is not None and (found.score is None or found.score < least):
                return _whole(passed, found, Status.REJECTED, _rejection(problem, stage.name, found, least))
            passed.append(found)
        reason = problem.beyond_bound(found.metrics)
        return _whole(passed[:-1], found, *((Status.SUSPECT, reason) if reason else ()))

    async def measure(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int = 0,
        draw_seed: int = 0,
        replicate: int = 0,
        holdout: bool = False,
        stage: str = "",
        only: str = "",
        serve: Serve = refuse,
    ) -> StageOutcome:
        """Runs one stage alone, the last by default: as one more replicate, on the hold-out's instances, on one instance."""
        job = StageJob(
            problem=_held_out(problem) if holdout else problem,
            stage=stage or problem.stages[-1].name,
            files=files,
            draw_seed=draw_seed,
            candidate=candidate,
            replicate=replicate,
            holdout=holdout,
            only=only,
        )
        return await self._run(job, serve)

    async def _replicates(
        self,
        jobs: Sequence[StageJob],
        stored: Mapping[tuple[str, int], StageOutcome],
        on_stage: OnStage | None,
        serve: Serve,
    ) -> list[StageOutcome]:
        """Runs replicates at once, up to the first that fails; tells them in their order, so that equal runs tell the same."""
        tasks = {
            j.replicate: asyncio.create_task(self._run(j, serve)) for j in jobs if (j.stage, j.replicate) not in stored
        }
        outcomes: list[StageOutcome] = []
        try:
            for job in jobs:
                if job.replicate not in tasks:
                    outcomes.append(stored[job.stage, job.replicate])
                else:
                    outcomes.append(await tasks[job.replicate])
                    if on_stage is not None and inspect.isawaitable(called := on_stage(outcomes[-1])):
                        await called
                if outcomes[-1].status is not Status.OK:
                    if outcomes[-1].seconds < WORKER_START_S:
                        await asyncio.gather(*tasks.values())
                    break
            return outcomes
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _run(self, job: StageJob, serve: Serve) -> StageOutcome:
        name = HOLDOUT if job.holdout else job.stage
        for _ in range(TRIES):
            outcome = await self._pool.run(job, serve)
            outcome = replace(
                outcome, stage=name, replicate=job.replicate, isolation=outcome.isolation or self.isolation
            )
            self._measured_on = self._measured_on or outcome.node_class.get(
                job.problem.comparable_on, ""
            )  # by the first
            reason = self._unlike(job.problem, outcome.node_class)
            if not reason:
                return outcome
        return replace(outcome, status=Status.INFRA, score=None, metrics={}, feedback=reason)

    def _unlike(self, problem: Problem, node_class: Mapping[str, str]) -> str:
        """Says what is other hardware than the run's, "" where it may be compared (or has none: no GPU in a stage before)."""
        found = node_class.get(problem.comparable_on, "")
        if not found or not self._measured_on or found == self._measured_on:
            return ""
        return (
            f"comparable_on: {problem.comparable_on}: the run is measured on '{self._measured_on}', this is '{found}'"
        )


def _weaker(level: str, than: str) -> bool:
    return LEVELS.index(level) < LEVELS.index(than)


def _held_out(problem: Problem) -> Problem:
    """Returns the problem with as many instances in its last stage as are kept for the end, and time for them."""
    *before, last = problem.stages
    factor = max(1.0, problem.holdout / (last.instances or 1))
    timeout_s, wall_s = factor * last.timeout_s, factor * last.wall_s
    last = replace(last, instances=problem.holdout, timeout_s=timeout_s, wall_s=wall_s)
    return replace(problem, stages=(*before, last))


def _rejection(problem: Problem, stage: str, found: Evaluation, least: float) -> str:
    """Says in the objective's own direction and unit what was missing."""
    sign = problem.objectives[problem.objective]
    got, needed = sign * (found.score or 0.0), sign * least
    reason = f"stage '{stage}': {problem.objective} {got:g} does not reach {needed:g}"
    return f"{reason}\n{found.feedback}".rstrip()


def _whole(passed: list[Evaluation], last: Evaluation, status: Status | None = None, feedback: str = "") -> Evaluation:
    """Sums up: metrics are those of the last stage that measured any, the score only stands with status ok."""
    measured = next((found for found in (last, *reversed(passed)) if found.metrics), last)
    stands = status is None and last.status is Status.OK
    return replace(
        last,
        status=status or last.status,
        score=last.score if stands else None,
        stderr=last.stderr if stands else None,
        metrics=measured.metrics,
        features=measured.features,
        feedback=feedback or last.feedback,
        stages=tuple(outcome for found in (*passed, last) for outcome in found.stages),
    )
