"""Operators: how a candidate is made from its parent; drawn by weight among those that are possible."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from evolve import checks
from evolve.errors import UsageError

OPERATORS = ("diff", "rewrite", "functions", "crossover", "fix", "simplify", "refine", "best_of")
CONDITIONAL = ("crossover", "fix")  # need an inspiration, or a near miss
# drawn by nobody: `initial` where there is no parent, `explore` where the search came to a stand (evolve.search.stagnation)
PYTHON_ONLY = ("functions",)
MECHANICAL = ("diff", "rewrite", "crossover")  # what means something to a proposer that reads no prose


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
        """Returns a selector that gives the turns of operators that are not known to another one."""
        folded: dict[str, float] = {instead: 0.0}
        for name, weight in self.weights.items():
            into = name if name in known else instead
            folded[into] = folded.get(into, 0.0) + weight
        return WeightedOperators(weights=folded)

    def weighing(self, name: str, weight: float) -> WeightedOperators:
        """Returns a selector with another weight of one of its operators. Raises UsageError for one that it lacks."""
        if name not in self.weights:
            raise UsageError(f"weight {name}: not an operator of this run, which has {', '.join(self.weights)}")
        return WeightedOperators(weights={**self.weights, name: weight})

    def may_draw(self, name: str) -> bool:
        """Says whether an operator can be drawn at all."""
        return self.weights.get(name, 0.0) > 0

    def operator(self, possible: Callable[[str], bool], rng: np.random.Generator) -> str:
        """Returns how the next candidate is to be made, by an operator that is possible."""
        usable = [(name, weight) for name, weight in self.weights.items() if weight > 0 and possible(name)]
        total = sum(weight for _, weight in usable)
        drawn = rng.random() * total
        for name, weight in usable:
            drawn -= weight
            if drawn < 0:
                return name
        return usable[-1][0]
