"""Progress: the best so far of a run over the candidates, evaluations, dollars and seconds that it used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from evolve.lineage.bootstrap import Array
from evolve.lineage.run import Run

AXES = ("candidates", "evaluations", "usd", "seconds")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Progress:
    """The best score so far after each change of a score (higher is better, -inf before the first ok one).

    `used` has what was used by then, `total` by the whole run, on each axis; usd are NaN where a price is unknown. What a
    candidate used counts when it is told; its constants' trials when it is tuned, where that is an event of its own.
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
    changes, spent = run.store.progress(run.run_id)
    tuned = {change["candidate"] for change in changes if change["kind"] == "tuned"}
    left = {name: dict(amounts) for name, amounts in spent.items()}
    evaluations, usd = np.zeros(len(changes)), np.zeros(len(changes))
    for place, change in enumerate(changes):
        candidate = change["candidate"]
        evaluations[place] = left["evaluations"].pop(candidate, 0)
        if candidate not in tuned or change["kind"] == "tuned":
            evaluations[place] += left["trials"].pop(candidate, 0)
        usd[place] = _price(left["usd"].pop(candidate, 0.0))
    told = [change["asked"] and change["kind"] == "told" for change in changes]
    used = {
        "candidates": np.cumsum(told, dtype=float),
        "evaluations": np.cumsum(evaluations),
        "usd": np.cumsum(usd),
        "seconds": seconds([change["at"] for change in changes], row["created_at"], row["wall_s"], row["lease_epoch"]),
    }
    total = {axis: float(amounts[-1]) if len(amounts) else 0.0 for axis, amounts in used.items()}
    total["evaluations"] += sum(left["evaluations"].values()) + sum(left["trials"].values())
    total["usd"] += sum(map(_price, left["usd"].values()))
    total["seconds"] = max(total["seconds"], row["wall_s"])
    best = best_so_far([(change["candidate"], change["score"]) for change in changes])
    return Progress(best=best, used=used, total=total)


def best_so_far(changes: Sequence[tuple[int, float | None]]) -> Array:
    """Returns the best score after each change; a candidate that is scored anew counts by its newest score."""
    scores: dict[int, float] = {}

    def changed(best: float, change: tuple[int, float | None]) -> float:
        candidate, score = change
        before = scores.get(candidate, -np.inf)
        scores[candidate] = -np.inf if score is None else score
        fell = before == best > scores[candidate]
        return max(scores.values()) if fell else max(best, scores[candidate])

    return np.array(list(accumulate(changes, changed, initial=-np.inf))[1:])


def seconds(at: Sequence[float], created_at: float, wall_s: float, sessions: int) -> Array:
    """Returns the run's own time at moments by the clock.

    Between two sessions it stood still, but rows say only how long it ran in all: what is more is taken from the longest
    gaps, at most one for each resume.
    """
    elapsed = np.maximum.accumulate(np.maximum(np.array(at, dtype=float) - created_at, 0.0))
    gaps = np.diff(elapsed, prepend=0.0)
    over = max(elapsed[-1] - wall_s, 0.0) if len(elapsed) else 0.0
    for place in np.argsort(-gaps, kind="stable")[: max(sessions - 1, 0)]:
        cut = min(gaps[place], over)
        gaps[place] -= cut
        over -= cut
    return np.cumsum(gaps)


def _price(usd: Any) -> float:
    return np.nan if usd is None else float(usd)
