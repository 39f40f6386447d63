"""Migration: every so often each island lends references to its best to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evolve import checks
from evolve.errors import UsageError
from evolve.search.island import Island

TOPOLOGIES = ("ring", "full", "star", "random")


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """Every `every` told candidates per island, the best `count` of each are lent along a topology.

    `ring`: to the next island; `full`: to all others; `star`: to the one with the best member, and from it to all others;
    `random`: each to one drawn among the others.
    """

    topology: str = "ring"
    every: int = 25
    count: int = 2

    def __post_init__(self) -> None:
        if self.topology not in TOPOLOGIES:
            raise UsageError(f"selection.migration.topology={self.topology}: known: {', '.join(TOPOLOGIES)}")
        checks.whole("selection.migration.every", self.every, 1)
        checks.whole("selection.migration.count", self.count, 1)

    def moves(self, islands: Sequence[Island], rng: np.random.Generator) -> list[tuple[int, int, tuple[int, ...]]]:
        """Returns (from, to, candidates), all read before any is carried out."""
        tops = [tuple(island.at(rank) for rank in range(min(self.count, len(island)))) for island in islands]
        return [(a, b, tops[a]) for a, b in self._ways(islands, rng) if tops[a]] if len(islands) > 1 else []

    def _ways(self, islands: Sequence[Island], rng: np.random.Generator) -> list[tuple[int, int]]:
        size = len(islands)
        if self.topology == "ring":
            return [(i, (i + 1) % size) for i in range(size)]
        if self.topology == "random":
            return [(i, (i + 1 + int(rng.integers(size - 1))) % size) for i in range(size)]
        pairs = [(a, b) for a in range(size) for b in range(size) if a != b]
        if self.topology == "full":
            return pairs
        hub = min((i for i in range(size) if len(islands[i])), key=lambda i: islands[i].best() or (), default=0)
        return [(a, b) for a, b in pairs if hub in (a, b)]
