"""Choosers of parent, inspirations and operator: small strategies, composed in YAML, that only read the island."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evolve import checks
from evolve.errors import UsageError
from evolve.search.island import Island

OPERATORS = ("diff", "rewrite", "functions", "crossover", "fix", "simplify", "refine", "best_of")
CONDITIONAL = ("crossover", "fix")  # need an inspiration, or a near miss
PYTHON_ONLY = ("functions",)
MECHANICAL = ("diff", "rewrite", "crossover")  # what means something to a proposer that reads no prose


class ParentSelector(Protocol):
    def parent(self, island: Island, rng: np.random.Generator) -> int:
        """Returns one member of an island that is not empty."""


class InspirationSelector(Protocol):
    def inspirations(self, island: Island, parent: int, better: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Returns members other than the parent, perhaps none; the island's first `better` ones score more than it."""


class OperatorSelector(Protocol):
    def operator(self, possible: Callable[[str], bool], rng: np.random.Generator) -> str:
        """Returns how the next candidate is to be made, by an operator that is possible."""

    def only(self, known: Collection[str], instead: str = "diff") -> OperatorSelector:
        """Returns a selector that gives the turns of operators that are not known to another one."""

    def weighing(self, name: str, weight: float) -> OperatorSelector:
        """Returns a selector with another weight of one of its operators. Raises UsageError for one that it lacks."""

    def may_draw(self, name: str) -> bool:
        """Says whether an operator can be drawn at all."""


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
        mine = island.vectors.get(parent)
        if mine is None:
            return {}
        others = sorted(c for c in island.vectors if c != parent and c not in chosen)
        wins = {c: sum(a > b for a, b in zip(island.vectors[c], mine, strict=False)) for c in others}
        return {c: count for c, count in wins.items() if count}


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedOperators:
    """Draws an operator by weight, among those that are possible."""

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if name not in OPERATORS:
                raise UsageError(f"selection.operators.weights.{name}: no such operator; known: {', '.join(OPERATORS)}")
            checks.number(f"selection.operators.weights.{name}", weight, 0)
        if not any(weight > 0 for name, weight in self.weights.items() if name not in CONDITIONAL):
            raise UsageError(
                "selection.operators.weights: diff, rewrite or another that is always possible must be above 0"
            )

    def only(self, known: Collection[str], instead: str = "diff") -> WeightedOperators:
        folded: dict[str, float] = {instead: 0.0}
        for name, weight in self.weights.items():
            into = name if name in known else instead
            folded[into] = folded.get(into, 0.0) + weight
        return WeightedOperators(weights=folded)

    def weighing(self, name: str, weight: float) -> WeightedOperators:
        if name not in self.weights:
            raise UsageError(f"weight {name}: not an operator of this run, which has {', '.join(self.weights)}")
        return WeightedOperators(weights={**self.weights, name: weight})

    def may_draw(self, name: str) -> bool:
        return self.weights.get(name, 0.0) > 0

    def operator(self, possible: Callable[[str], bool], rng: np.random.Generator) -> str:
        usable = [(name, weight) for name, weight in self.weights.items() if weight > 0 and possible(name)]
        total = sum(weight for _, weight in usable)
        drawn = rng.random() * total
        for name, weight in usable:
            drawn -= weight
            if drawn < 0:
                return name
        return usable[-1][0]
