"""Landscapes of bit strings whose optimum is known: one rugged (NK), one neutral (royal road). A genome is an int."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np


class Landscape(Protocol):
    """`score` is the share of the optimum's; `parts` are what it is made of, and stand for scores on instances."""

    bits: int

    def score(self, genome: int) -> float: ...

    def parts(self, genome: int) -> list[float]: ...


class NK:
    """The NK model (Kauffman and Levin 1987): each bit's contribution depends on itself and the next K, in a circle.

    Rugged: a change of one bit draws K + 1 contributions anew. With adjacent neighbours the optimum is found by dynamic
    programming (Wright, Thompson and Zhang 2000, "The computational complexity of N-K fitness functions").
    """

    GROUPS = 8

    def __init__(self, rng: np.random.Generator, *, bits: int, k: int):
        self.bits, self._mask = bits, 2 ** (k + 1) - 1
        self._tables = rng.random((bits, 2 ** (k + 1)))  # by the bits from one on, itself the lowest
        self._rows = self._tables.tolist()  # to look up one number in a list is faster

    def _contributions(self, genome: int) -> list[float]:
        twice = genome | genome << self.bits
        return [row[twice >> i & self._mask] for i, row in enumerate(self._rows)]

    def score(self, genome: int) -> float:
        return sum(self._contributions(genome)) / self.optimum

    def parts(self, genome: int) -> list[float]:
        found, size = self._contributions(genome), self.bits // self.GROUPS
        return [sum(found[i : i + size]) for i in range(0, self.bits, size)]

    @cached_property
    def optimum(self) -> float:
        """The largest sum of contributions: for each first state (K bits), the best way round that ends in it."""
        best = np.where(np.eye(self._tables.shape[1] // 2, dtype=bool), 0.0, -np.inf)  # (first, present state)
        for row in self._tables:
            longer = np.concatenate([best, best], axis=1) + row  # (first state, K + 1 bits)
            best = np.maximum(longer[:, 0::2], longer[:, 1::2])  # the lowest bit is left behind
        return float(best.diagonal().max())


class RoyalRoad:
    """The royal road R1 (Mitchell, Forrest and Holland 1992): the share of blocks that equal the hidden target's.

    Neutral: most changes of a block that is not complete change no score.
    """

    def __init__(self, rng: np.random.Generator, *, bits: int, block: int):
        self.bits, self._block, self.target = bits, block, random_genome(rng, bits)

    def score(self, genome: int) -> float:
        return sum(self.parts(genome)) * self._block / self.bits

    def parts(self, genome: int) -> list[float]:
        wrong, mask = genome ^ self.target, (1 << self._block) - 1
        return [float(not wrong >> i & mask) for i in range(0, self.bits, self._block)]


def random_genome(rng: np.random.Generator, bits: int) -> int:
    return int.from_bytes(rng.bytes(bits // 8 + 1), "little") & (1 << bits) - 1
