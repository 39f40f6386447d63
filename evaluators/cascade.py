"""The cascade: a candidate runs through a problem's stages in order, the cheap ones first, until one does not pass."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence

from evaluators.pool import Pool, Serve, StageJob, refuse
from evolve.errors import UsageError
from evolve.problem import Problem
from evolve.types import Evaluation, Files, StageOutcome, Status

ISOLATION = ("auto", "strict", "guarded", "bare")
OnStage = Callable[[StageOutcome], Awaitable[None] | None]


class Cascade:
    """Evaluates candidates on a pool."""

    def __init__(self, pool: Pool, isolation: str = "auto"):
        if isolation not in ISOLATION:
            raise UsageError(f"evaluator.isolation={isolation}: must be one of {', '.join(ISOLATION)}")
        self._pool = pool

    @property
    def isolation(self) -> str:
        """The level that all workers have; known after `start`."""
        return self._pool.isolation

    @property
    def slots(self) -> int:
        """How many stages run at once."""
        return self._pool.slots

    async def start(self, problem: Problem | None = None) -> None:
        await self._pool.start(problem)

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
        outcomes: list[StageOutcome] = []
        stored = {outcome.stage: outcome for outcome in done}
        for stage in problem.stages:
            job = StageJob(problem=problem, stage=stage.name, files=files, draw_seed=draw_seed, candidate=candidate)
            outcomes.append(stored.get(stage.name) or await self._run(job, on_stage, serve))
            if outcomes[-1].status is not Status.OK:
                return _evaluation(outcomes[-1].status, outcomes, outcomes[-1].feedback)
            least = (thresholds or {}).get(stage.name)
            if least is not None and not _passes(outcomes[-1], least):
                return _evaluation(Status.REJECTED, outcomes, _rejection(problem, outcomes[-1], least))
        return _evaluation(Status.OK, outcomes, outcomes[-1].feedback)

    async def _run(self, job: StageJob, on_stage: OnStage | None, serve: Serve) -> StageOutcome:
        outcome = await self._pool.run(job, serve)
        if on_stage is not None and inspect.isawaitable(called := on_stage(outcome)):
            await called
        return outcome


def _passes(outcome: StageOutcome, least: float) -> bool:
    return outcome.score is not None and outcome.score >= least


def _rejection(problem: Problem, outcome: StageOutcome, least: float) -> str:
    """Says in the objective's own direction and unit what was missing."""
    sign = problem.objectives[problem.objective]
    got, needed = sign * (outcome.score or 0.0), sign * least
    reason = f"stage '{outcome.stage}': {problem.objective} {got:g} does not reach {needed:g}"
    return f"{reason}\n{outcome.feedback}".rstrip()


def _evaluation(status: Status, outcomes: list[StageOutcome], feedback: str) -> Evaluation:
    """Sums up: metrics are those of the last stage that measured any, the score only stands with status ok."""
    measured = next((o for o in reversed(outcomes) if o.metrics), outcomes[-1])
    return Evaluation(
        status=status,
        score=outcomes[-1].score if status is Status.OK else None,
        metrics=measured.metrics,
        feedback=feedback,
        features=measured.features,
        stages=tuple(outcomes),
    )
