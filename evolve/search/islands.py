"""What moves between islands: ring migration and the reset of the weakest (Romera-Paredes et al. 2023, FunSearch)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve import checks
from evolve.search.island import Island


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """Every `every` told candidates per island, the best `count` of each island are lent to the next one."""

    every: int = 25
    count: int = 2

    def __post_init__(self) -> None:
        checks.whole("selection.migration.every", self.every, 1)
        checks.whole("selection.migration.count", self.count, 1)

    def moves(self, islands: Sequence[Island]) -> list[tuple[int, int, tuple[int, ...]]]:
        """Returns (from, to, candidates), all read before any is carried out."""
        size = len(islands)
        tops = [tuple(island.at(rank) for rank in range(min(self.count, len(island)))) for island in islands]
        return [(i, (i + 1) % size, top) for i, top in enumerate(tops) if top and size > 1]


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
        order = sorted(islands, key=lambda island: (island.best_score(), -island.index))
        half = len(islands) // 2
        weakest, survivors = order[:half], [island for island in order[half:] if len(island)]
        ripe = sorted((i for i in weakest if i.own >= self.minimum), key=lambda island: island.index)
        if not survivors:
            return []
        return [(island.index, survivors[int(rng.integers(len(survivors)))].at(0)) for island in ripe]
