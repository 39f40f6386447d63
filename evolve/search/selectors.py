"""Choosers of parent, inspirations and operator: small strategies, composed in YAML, that only read the island."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evolve import checks
from evolve.errors import UsageError
from evolve.search.island import Island


class ParentSelector(Protocol):
    def parent(self, island: Island, rng: np.random.Generator) -> int:
        """Returns one member of an island that is not empty."""


class InspirationSelector(Protocol):
    def inspirations(self, island: Island, parent: int, rank: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Returns members other than the parent, whose rank is given; fewer, or none, on a small island."""


class OperatorSelector(Protocol):
    def operator(self, inspirations: Sequence[int], rng: np.random.Generator) -> str:
        """Returns how the next candidate is to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """Draws the parent's rank r = 1, 2, ... with density proportional to r^-exponent (Lange et al. 2025, ShinkaEvolve, 3.1).

    A rank r of n has the probability of the interval [r, r + 1) under that density on [1, n + 1): one draw, O(1).
    Exponent 0 is uniform; a larger one is greedier.
    """

    exponent: float = 1.0

    def __post_init__(self) -> None:
        checks.number("selection.parent.exponent", self.exponent, 0)

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
class BetterAndRecent:
    """Draws one member that ranks before the parent and one of the newest, uniformly."""

    def inspirations(self, island: Island, parent: int, rank: int, rng: np.random.Generator) -> tuple[int, ...]:
        chosen = []
        if rank > 0:
            chosen.append(island.at(int(rng.integers(rank))))
        recent = [candidate for candidate in island.recent if candidate != parent and candidate not in chosen]
        if recent:
            chosen.append(recent[int(rng.integers(len(recent)))])
        return tuple(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedOperators:
    """Draws an operator by weight; crossover needs an inspiration."""

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        known = ("diff", "rewrite", "crossover")
        for name, weight in self.weights.items():
            if name not in known:
                raise UsageError(f"selection.operators.weights.{name}: no such operator; known: {', '.join(known)}")
            checks.number(f"selection.operators.weights.{name}", weight, 0)
        if not self.weights.get("diff", 0) + self.weights.get("rewrite", 0) > 0:
            raise UsageError("selection.operators.weights: diff or rewrite must have a weight above 0")

    def operator(self, inspirations: Sequence[int], rng: np.random.Generator) -> str:
        usable = [(name, w) for name, w in self.weights.items() if w > 0 and (inspirations or name != "crossover")]
        total = sum(weight for _, weight in usable)
        drawn = rng.random() * total
        for name, weight in usable:
            drawn -= weight
            if drawn < 0:
                return name
        return usable[-1][0]
