"""A member: what the search knows of an `ok` candidate when strategies compare it with others."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

Key = tuple[float, float, int]


class Member(NamedTuple):
    """An `ok` candidate. Higher `score`, `vector` (on each instance) and `objectives` are better; `violation` is 0 or more.

    `size` is the length of its text in characters, `features` are the coordinates that the problem gave it.
    """

    id: int
    score: float
    violation: float = 0.0
    vector: tuple[float, ...] = ()
    objectives: tuple[float, ...] = ()
    features: Mapping[str, float] = MappingProxyType({})
    size: int = 0

    @property
    def key(self) -> Key:
        """What ranks it: feasible before infeasible, those by how much they violate; then by score; then the older."""
        return self.violation, -self.score, self.id

    @property
    def columns(self) -> tuple[float, ...]:
        """What it is compared on, value by value."""
        return (*self.vector, *self.objectives) or (self.score,)
