"""Progress: the best so far of a run over the candidates, evaluations, dollars and seconds that it used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evolve.lineage.bootstrap import Array
from evolve.lineage.run import Run

AXES = ("candidates", "evaluations", "usd", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Progress:
    """The best score so far when each candidate was told, by the newest scores: higher is better, -inf before the first.

    `used` has what was used by then, `total` by the whole run, on each axis; usd are NaN where a price is unknown. What a
    candidate used counts when it is told.
    """

    best: Array
    used: Mapping[str, Array]
    total: Mapping[str, float]

    def at(self, axis: str, amounts: Array) -> Array:
        """Returns the best when so much was used."""
        place = np.searchsorted(self.used[axis], amounts, side="right")
        return np.concatenate([[-np.inf], self.best])[place]


def progress(run: Run) -> Progress:
    """Reads a run's progress from its rows."""
    row = run.row()
    told, spent = run.store.progress(run.run_id)
    order = {one["candidate"]: place for place, one in enumerate(told)}
    steps = {name: np.zeros(len(told) + 1) for name in spent}  # the last place is for candidates in flight
    for name, amounts in spent.items():
        for candidate, amount in amounts.items():
            steps[name][order.get(candidate, len(told))] += np.nan if amount is None else amount
    used = {
        "candidates": np.cumsum([*(one["asked"] for one in told), 0.0]),
        "evaluations": np.cumsum(steps["evaluations"] + steps["trials"]),
        "usd": np.cumsum(steps["usd"]),
        "seconds": seconds([one["at"] for one in told], row["created_at"], row["wall_s"], row["lease_epoch"]),
    }
    best = np.maximum.accumulate([-np.inf if one["score"] is None else one["score"] for one in told] or [-np.inf])
    return Progress(
        best=best[: len(told)],
        used={axis: amounts[: len(told)] for axis, amounts in used.items()},
        total={axis: float(amounts[-1]) for axis, amounts in used.items()},
    )


def seconds(at: Sequence[float], created_at: float, wall_s: float, sessions: int) -> Array:
    """Returns the run's own time at moments by the clock, and at its end.

    Between two sessions it stood still, but rows say only how long it ran in all: what is more is taken from the longest
    gaps, at most one for each resume.
    """
    elapsed = np.maximum.accumulate(np.maximum(np.array([created_at, *at]) - created_at, 0.0))
    gaps, over = np.diff(elapsed), max(elapsed[-1] - wall_s, 0.0)
    for place in np.argsort(-gaps, kind="stable")[: max(sessions - 1, 0)]:
        cut = min(gaps[place], over)
        gaps[place] -= cut
        over -= cut
    own = np.cumsum(gaps)
    return np.append(own, max([wall_s, *own[-1:]]))
