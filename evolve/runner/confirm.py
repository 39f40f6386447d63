"""The second look at a candidate that is about to be the best: two evaluations of it must agree.

Where the same program on the same instances must score the same (`deterministic`, draw `fixed`), any difference makes it
`suspect`. Otherwise the two may differ by chance: by up to 4 standard errors of the instances' metrics where both have enough
of them, and the mean of both stands. Such a candidate then races the best: it is evaluated again and again until its mean falls
behind, or it has been evaluated as often as the best and once more (Hutter et al. 2011, doi:10.1007/978-3-642-25566-3_40, SMAC,
`Intensify`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from evolve.problem import Problem, same_value
from evolve.types import Evaluation, StageOutcome, Status, standard_error

STANDARD_ERRORS = 4.0
TRIES = 2
LEAST = 5  # instances on both sides, or their scatter says too little
MOST = 32  # evaluations of one candidate in races
OURS = (Status.INFRA, Status.EVALUATOR_ERROR)  # says nothing about the candidate


def is_due(evaluation: Evaluation, best: float | None) -> bool:
    """Says whether a result is about to be the best."""
    return evaluation.status is Status.OK and evaluation.score is not None and (best is None or evaluation.score > best)


async def confirmed(
    measure: Callable[[int], Awaitable[StageOutcome]],
    problem: Problem,
    evaluation: Evaluation,
    *,
    stored: Sequence[StageOutcome] = (),
    on_stage: Callable[[StageOutcome], None] = lambda outcome: None,
    best: Best | None = None,
) -> Evaluation:
    """Evaluates the last stage once more, and again where that ended as `infra`; returns what stands then.

    `measure` runs the stage as the replicate of that number. What is in `stored` is not run again; each new outcome is given
    to `on_stage` at once. `best` is whom the candidate races where scores are noisy.
    """
    before = [outcome for outcome in evaluation.stages if outcome.stage == evaluation.stages[-1].stage]
    known = list(stored)

    async def next_one(place: int) -> StageOutcome:
        if place == len(known):
            known.append(await measure(len(before) + len(known)))
            on_stage(known[-1])
        return known[place]

    again = [await next_one(0)]
    while again[-1].status is Status.INFRA and len(again) < TRIES:
        again.append(await next_one(len(again)))
    found = _judged(problem, evaluation, before, again[-1])
    while problem.noisy and best is not None and found.status is Status.OK and best.still_races(found):
        again.append(await next_one(len(again)))
        found = _judged(problem, found, _measured(before, again[:-1]), again[-1])
    return replace(found, stages=(*evaluation.stages, *again))


def _measured(before: Sequence[StageOutcome], again: Sequence[StageOutcome]) -> list[StageOutcome]:
    return [outcome for outcome in (*before, *again) if outcome.status is Status.OK]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best so far: its mean score over `n` evaluations."""

    score: float
    n: int

    def still_races(self, challenger: Evaluation) -> bool:
        """Says whether a challenger, so far ahead, has been evaluated less often than who would take the best's place."""
        return (challenger.score or 0.0) > self.score and challenger.n < min(MOST, self.n + 1)


def _judged(
    problem: Problem, evaluation: Evaluation, before: Sequence[StageOutcome], again: StageOutcome
) -> Evaluation:
    repeatable = problem.deterministic and problem.stage(again.stage).draw == "fixed"
    if again.status in OURS:
        return _without_score(evaluation, again.status, again.feedback)
    if again.status is not Status.OK:
        reason = f"evaluated once more, the same program ended as {again.status}: {_last_line(again.feedback)}"
    elif repeatable:
        reason = _unequal(problem, evaluation, again)
    else:
        reason = _too_far(problem, before, again)
    if reason:
        return _without_score(evaluation, Status.SUSPECT, reason)
    if repeatable:
        return evaluation
    both = replace(Evaluation.of([*before, again]), feedback=evaluation.feedback)
    beyond = problem.beyond_bound(both.metrics)
    return _without_score(both, Status.SUSPECT, beyond) if beyond else both


def _unequal(problem: Problem, evaluation: Evaluation, again: StageOutcome) -> str:
    first, second = evaluation.score or 0.0, again.score or 0.0
    if same_value(first, second):
        return ""
    sign, name = problem.objectives[problem.objective], problem.objective
    return (
        f"two evaluations disagree: {name} {sign * first:.12g}, then {sign * second:.12g}; the same program must score the "
        "same (seed what is random), unless problem.yaml says deterministic: false"
    )


def _too_far(problem: Problem, before: Sequence[StageOutcome], again: StageOutcome) -> str:
    name = problem.objective
    first, second = ([v for o in outcomes for v in _values(o, name)] for outcomes in (before, [again]))
    if min(len(first), len(second)) < LEAST:
        return ""
    means = [sum(values) / len(values) for values in (first, second)]
    error = math.hypot(standard_error(first), standard_error(second))
    if same_value(*means) or abs(means[0] - means[1]) <= STANDARD_ERRORS * error:
        return ""
    return (
        f"two evaluations disagree: {name} {means[0]:.6g} over {len(first)} instances, then {means[1]:.6g} over "
        f"{len(second)}, more than {STANDARD_ERRORS:g} standard errors ({error:.3g}) apart"
    )


def _values(outcome: StageOutcome, name: str) -> list[float]:
    return [float(row["metrics"][name]) for row in outcome.instances if name in row.get("metrics", {})]


def _without_score(evaluation: Evaluation, status: Status, feedback: str) -> Evaluation:
    return replace(evaluation, status=status, score=None, stderr=None, feedback=feedback)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


def stage_scores(evaluation: Evaluation) -> dict[str, float]:
    """Returns each stage's mean score; none of a stage whose score is in doubt."""
    scores: dict[str, list[float]] = {}
    for outcome in evaluation.stages:
        if outcome.score is not None:
            scores.setdefault(outcome.stage, []).append(outcome.score)
    if evaluation.status is Status.SUSPECT:
        scores.pop(evaluation.stages[-1].stage, None)
    return {stage: sum(found) / len(found) for stage, found in scores.items()}
