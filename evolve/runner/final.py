"""The final: when a noisy run has ended its best are compared once more, on fresh draws, by sequential halving
(Karnin, Koren & Somekh 2013, "Almost optimal exploration in multi-armed bandits", algorithm 2)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from evolve.runner.budget import Budget
from evolve.types import StageOutcome, Status, means, standard_error

FINALISTS = 8
SHARE = 0.05  # of a run's evaluations
FIRST = 1_000_000  # the replicate from which its draws are counted: no part of the search saw them


def searching(budget: Budget) -> Budget:
    """Returns the budget that is left to the search."""
    kept = None if budget.evaluations is None else budget.evaluations - math.ceil(SHARE * budget.evaluations)
    return replace(budget, evaluations=kept)


def share(spent: int, budget: Budget) -> int:
    """Returns how many evaluations the final has, where the search used so many: all finalists twice, unless a budget of
    evaluations has less left."""
    wanted = max(2 * FINALISTS, math.ceil(SHARE * spent / (1 - SHARE)))
    return wanted if budget.evaluations is None else max(0, min(budget.evaluations - spent, wanted))


async def hold(
    measure: Callable[[int, int], Awaitable[StageOutcome | None]], finalists: Sequence[int], evaluations: int
) -> None:
    """Evaluates finalists, each round the better half of the last one; who fails is out.

    `measure(candidate, replicate)` returns None where nothing more can be had. Of more finalists than the evaluations
    suffice for the first take part.
    """
    left, replicate, used = list(finalists)[: max(1, evaluations // 2)], FIRST, 0
    rounds = max(1, math.ceil(math.log2(len(left))))
    found: dict[int, list[StageOutcome]] = {candidate: [] for candidate in left}
    for _ in range(rounds):
        for _ in range(min(max(1, evaluations // rounds // len(left)), (evaluations - used) // len(left))):
            for candidate in left:
                outcome = await measure(candidate, replicate)
                if outcome is None:
                    return
                found[candidate].append(outcome)
            replicate, used = replicate + 1, used + len(left)
        if not all(found[candidate] for candidate in left):
            return
        left = [candidate for candidate in left if all(o.score is not None for o in found[candidate])]
        left = sorted(left, key=lambda c: -_mean(found[c]))[: math.ceil(len(left) / 2)]
        if len(left) < 2:
            return


def winner(rows: Sequence[Any]) -> int | None:
    """Returns who came through all rounds with the best mean; None where there was no final, or everybody failed in it."""
    return max(_standing(rows), default=(0, 0.0, 0))[2] or None


def result(rows: Sequence[Any]) -> dict[str, Any] | None:
    """Returns what the winner came to on fresh draws: candidate, n, score, stderr and the means of its metrics."""
    found = winner(rows)
    if found is None:
        return None
    mine = [row for row in rows if row["candidate"] == found]
    scores = [row["score"] for row in mine]
    return {
        "candidate": found,
        "n": len(mine),
        "score": sum(scores) / len(scores),
        "stderr": standard_error(scores) if len(scores) > 1 else None,
        "metrics": means([{k: v for k, v in row["metrics"].items() if v is not None} for row in mine]),
        "finalists": len({row["candidate"] for row in rows}),
    }


def _standing(rows: Sequence[Any]) -> list[tuple[int, float, int]]:
    """Returns (evaluations, mean score, candidate) of those that never failed."""
    by_candidate: dict[int, list[Any]] = {}
    for row in rows:
        by_candidate.setdefault(row["candidate"], []).append(row["score"] if row["status"] == Status.OK else None)
    ok = {candidate: scores for candidate, scores in by_candidate.items() if None not in scores}
    return [(len(scores), sum(scores) / len(scores), candidate) for candidate, scores in ok.items()]


def _mean(outcomes: Sequence[StageOutcome]) -> float:
    return sum(outcome.score or 0.0 for outcome in outcomes) / len(outcomes)
