"""Resets: the weaker half of the islands begins anew from the best of the others (Romera-Paredes et al. 2023, FunSearch)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve import checks
from evolve.search.island import Island

NOBODY = (math.inf, math.inf, 0)  # ranks an empty island last


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetWeakest:
    """Every `every` told candidates per island, the weaker half is emptied and refounded by a survivor's best.

    No island is reset before it has had `minimum` candidates of its own (FunSearch, Methods: "the m/2 islands ...").
    """

    every: int = 400
    minimum: int = 200

    def __post_init__(self) -> None:
        checks.whole("selection.reset.every", self.every, 1)
        checks.whole("selection.reset.minimum", self.minimum, 1)

    def resets(self, islands: Sequence[Island], rng: np.random.Generator) -> list[tuple[int, int]]:
        """Returns (island, founder): which islands to empty, and the candidate that founds each anew."""
        order = sorted(islands, key=lambda island: (island.best() or NOBODY, island.index), reverse=True)
        half = len(islands) // 2
        weakest, survivors = order[:half], [island for island in order[half:] if len(island)]
        ripe = sorted((i for i in weakest if i.own >= self.minimum), key=lambda island: island.index)
        if not survivors:
            return []
        return [(island.index, survivors[int(rng.integers(len(survivors)))].at(0)) for island in ripe]
