"""Selectors of a parent by rank: small strategies, composed in YAML, that only read the island; O(log n) each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from evolve import checks
from evolve.search.grid import Grid
from evolve.search.island import Island


class ParentSelector(Protocol):
    def parent(self, island: Island, rng: np.random.Generator) -> int:
        """Returns one member of an island that is not empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """Draws the parent's rank r = 1, 2, ... with density proportional to r^-exponent (Lange et al. 2025, ShinkaEvolve, 3.1).

    A rank r of n has the probability of the interval [r, r + 1) under that density on [1, n + 1): one draw, O(1).
    Exponent 0 is uniform; a larger one is greedier.
    """

    exponent: float = 2.0

    def __post_init__(self) -> None:
        checks.number("selection.parents.exponent", self.exponent, 0)

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        return island.at(self.rank(len(island), rng.random()))

    def rank(self, size: int, u: float) -> int:
        """Returns the rank (from 0) at the quantile u of [0, 1) among `size` members."""
        power = 1.0 - self.exponent
        if abs(power) < 1e-9:
            drawn = (size + 1.0) ** u
        else:
            drawn = (1.0 + u * ((size + 1.0) ** power - 1.0)) ** (1.0 / power)
        return min(size, int(drawn)) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Tournament:
    """Draws `size` members, with replacement, and takes the best (Goldberg & Deb 1991, tournament selection)."""

    size: int = 3

    def __post_init__(self) -> None:
        checks.whole("selection.parents.size", self.size, 1)

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        return island.at(int(rng.integers(len(island), size=self.size).min()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Refine:
    """Makes `samples` children of one parent, then goes on with the best member: 1 is sequential refinement, more is best-of-n
    (the baselines of arXiv:2602.16805)."""

    samples: int = 1

    def __post_init__(self) -> None:
        checks.whole("selection.parents.samples", self.samples, 1)

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        return island.held if island.held and island.asked % self.samples else island.at(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Founders:
    """Draws one of those that the island began with: independent sampling from the initial program (arXiv:2602.16805)."""

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        return island.founders[int(rng.integers(len(island.founders)))] if island.founders else island.at(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapElites:
    """Draws the elite of a cell, uniformly (Mouret & Clune 2015, arXiv:1504.04909, MAP-Elites).

    `features` are names of the problem's own or `length`; none means the problem's first two and the length.
    """

    features: list[str] = field(default_factory=list)
    bins: int = 10

    def __post_init__(self) -> None:
        checks.whole("selection.parents.bins", self.bins, 2, 1000)

    def grid(self) -> Grid:
        return Grid(self.features, self.bins)

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        assert island.grid is not None  # the search gives its islands one
        return island.grid.at(int(rng.integers(len(island.grid)))).id if len(island.grid) else island.at(0)
