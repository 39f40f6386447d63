"""The portfolio: islands differ in strategy, and proposals go where they recently brought something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve import checks
from evolve.errors import UsageError
from evolve.search.island import Island


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Draws the next proposal's island: `floor` for each, the rest in proportion to its gain.

    An island's gain is what its candidates added to its best, divided by the run's best score, each later candidate of the
    island discounting it by `decay`. While nobody has gained anything all are equal.
    """

    floor: float = 0.05
    decay: float = 0.95

    def __post_init__(self) -> None:
        checks.number("selection.portfolio.floor", self.floor, 0)
        checks.number("selection.portfolio.decay", self.decay, 0)
        if self.decay > 1:
            raise UsageError(f"selection.portfolio.decay={self.decay}: must be from 0 to 1")

    def island(self, islands: Sequence[Island], rng: np.random.Generator) -> Island:
        """Returns one of some islands."""
        total = sum(island.gain for island in islands)
        floor = min(self.floor, 1 / len(islands))
        free = 1 - floor * len(islands)
        drawn = rng.random()
        for island in islands:
            share = island.gain / total if total > 0 else 1 / len(islands)
            drawn -= floor + free * share
            if drawn < 0:
                return island
        return islands[-1]

    def gained(self, island: Island, before: float, score: float, best: float) -> float:
        """Returns an island's gain after a candidate of that score, where its best was `before` and the run's is `best`."""
        return self.decay * island.gain + max(0.0, score - before) / max(abs(best), 1e-12)
