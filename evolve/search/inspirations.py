"""Inspirations: which members a proposal is shown beside its parent."""

from __future__ import annotations

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
        chosen = [island.at(int(rng.integers(better)))] if better > 0 else []
        others, wins = island.pool.wins(parent)
        if chosen:
            wins[others == chosen[0]] = 0
        upto = wins.cumsum()
        if upto.size and upto[-1]:
            return (*chosen, int(others[upto.searchsorted(rng.random() * upto[-1], side="right")]))
        recent = [candidate for candidate in island.recent if candidate != parent and candidate not in chosen]
        if recent:
            chosen.append(recent[int(rng.integers(len(recent)))])
        return tuple(chosen)
