"""The archive: a grid over features, each cell keeps its best member (Mouret & Clune 2015, MAP-Elites, arXiv:1504.04909)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evolve.search.member import Member

LENGTH = "length"  # the feature that every candidate has: the logarithm of its text's length
Cell = tuple[int, ...]


class Grid:
    """Keeps the best member of each of `bins` x `bins` x ... cells between the smallest and the largest value seen.

    Without named `features` they are the first member's own, by name, at most two, and its length. A value that widens a
    range moves every elite to its new cell; of those that meet, the better one stays. A missing feature counts as 0.
    """

    def __init__(self, features: Sequence[str], bins: int):
        self._named, self._bins = tuple(features), bins
        self._names = self._named
        self._ranges: list[tuple[float, float]] = []
        self._elites: dict[Cell, Member] = {}
        self._order: list[Cell] = []  # as they were first filled

    def __len__(self) -> int:
        return len(self._elites)

    def at(self, place: int) -> Member:
        """Returns the elite of the place-th cell, in the order in which they were filled."""
        return self._elites[self._order[place]]

    def add(self, member: Member) -> None:
        if not self._ranges:
            self._names = self._named or (*sorted(member.features)[:2], LENGTH)
            self._ranges = [(value, value) for value in self._values(member)]
        wider = [
            (min(low, value), max(high, value))
            for (low, high), value in zip(self._ranges, self._values(member), strict=True)
        ]
        if wider != self._ranges:
            self._ranges, elites = wider, list(self._elites.values())
            self._elites, self._order = {}, []
            for elite in elites:
                self._place(elite)
        self._place(member)

    def remove(self, candidate: int) -> None:
        cell = next((cell for cell, elite in self._elites.items() if elite.id == candidate), None)
        if cell is not None:
            del self._elites[cell]
            self._order.remove(cell)

    def clear(self) -> None:
        self._ranges, self._elites, self._order = [], {}, []

    def _place(self, member: Member) -> None:
        cell = self._cell(member)
        if cell not in self._elites:
            self._order.append(cell)
        elif self._elites[cell].key < member.key:
            return
        self._elites[cell] = member

    def _cell(self, member: Member) -> Cell:
        return tuple(
            min(self._bins - 1, int((value - low) / (high - low) * self._bins)) if high > low else 0
            for value, (low, high) in zip(self._values(member), self._ranges, strict=True)
        )

    def _values(self, member: Member) -> list[float]:
        length = math.log(member.size + 1)
        return [length if name == LENGTH else float(member.features.get(name, 0.0)) for name in self._names]
