"""Inspirations: which members a proposal is shown beside its parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evolve.search.island import Island


class InspirationSelector(Protocol):
    def inspirations(self, island: Island, parent: int, better: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Returns members other than the parent, perhaps none; the island's first `better` ones rank before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoInspirations:
    """Shows the parent alone: for the baselines."""

    def inspirations(self, island: Island, parent: int, better: int, rng: np.random.Generator) -> tuple[int, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BetterAndComplementary:
    """Draws one member that scores more than the parent, and one that wins instances which the parent loses, by how many
    (after Agrawal et al. 2025, GEPA, 3.3: parts of the Pareto front complement one another); where nobody does, or there is
    one instance only, one of the newest members, uniformly."""

    def inspirations(self, island: Island, parent: int, better: int, rng: np.random.Generator) -> tuple[int, ...]:
        chosen = []
        if better > 0:
            chosen.append(island.at(int(rng.integers(better))))
        wins = self._wins(island, parent, chosen)
        if wins:
            drawn = rng.random() * sum(wins.values())
            return (*chosen, next(c for c in wins if (drawn := drawn - wins[c]) < 0 or c == list(wins)[-1]))
        recent = [candidate for candidate in island.recent if candidate != parent and candidate not in chosen]
        if recent:
            chosen.append(recent[int(rng.integers(len(recent)))])
        return tuple(chosen)

    def _wins(self, island: Island, parent: int, chosen: Sequence[int]) -> dict[int, int]:
        """Returns how many instances the parent loses to each other member whose scores are known, in the order of ids."""
        mine = island.pool.get(parent)
        if mine is None or len(mine.vector) < 2:
            return {}
        others = sorted((m for m in island.pool if m.id != parent and m.id not in chosen), key=lambda m: m.id)
        wins = {m.id: sum(a > b for a, b in zip(m.vector, mine.vector, strict=False)) for m in others}
        return {c: count for c, count in wins.items() if count}
