"""A simulated language model of known strength: it changes bit strings as a model changes programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.search_quality.landscapes import Landscape

EDITS = 0.7  # bits that a small change flips beyond the first, in the mean
REWRITTEN = 0.15  # share of the bits that a rewrite flips
BORROWS = 0.15  # how often another operator than crossover takes from an inspiration


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """In a share `skill` of its proposals it foresees which of `looks` changes scores best; else it makes the first.

    A share `failures` of its programs does not run; a repair succeeds in a share `mends`. In a share `copies` it returns its
    parent. The search knows none of this.
    """

    skill: float = 0.3
    looks: int = 4
    failures: float = 0.15
    mends: float = 0.6
    copies: float = 0.05

    def __str__(self) -> str:
        return (
            f"a model that foresees the best of {self.looks} changes in {self.skill:.0%} of its proposals; {self.failures:.0%} "
            f"fail, {self.mends:.0%} of repairs succeed, {self.copies:.0%} are their parent again"
        )

    def propose(
        self, landscape: Landscape, operator: str, parent: int, inspirations: Sequence[int], rng: np.random.Generator
    ) -> tuple[int, bool]:
        """Returns a genome, and whether it runs. For `fix` the parent is a genome that did not."""
        if operator == "fix":
            return parent, rng.random() < self.mends
        if rng.random() < self.copies:
            return parent, True
        looks = self.looks if rng.random() < self.skill else 1
        found = [change(operator, parent, inspirations, landscape.bits, rng) for _ in range(looks)]
        return max(found, key=landscape.score) if looks > 1 else found[0], rng.random() >= self.failures


def change(operator: str, parent: int, inspirations: Sequence[int], bits: int, rng: np.random.Generator) -> int:
    """Returns a changed genome: a run of bits from an inspiration, many flips for a rewrite, a few for all else."""
    if inspirations and (operator == "crossover" or rng.random() < BORROWS):
        other = inspirations[int(rng.integers(len(inspirations)))]
        run = (1 << int(rng.integers(1, bits // 2 + 1))) - 1
        return parent ^ (parent ^ other) & turned(run, int(rng.integers(bits)), bits)
    count = 1 + int(rng.poisson(bits * REWRITTEN if operator == "rewrite" else EDITS))
    for bit in rng.integers(bits, size=count).tolist():
        parent ^= 1 << bit
    return parent


def turned(mask: int, by: int, bits: int) -> int:
    """Returns a mask moved round the circle."""
    return (mask << by | mask >> bits - by) & (1 << bits) - 1
