"""The pool: the members of an island that are compared with one another; bounded, so that comparing many costs the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sortedcontainers import SortedList

from evolve.search.member import Key, Member

SIZE = 128
NOTHING = (float("-inf"), float("-inf"), 0)


class Pool:
    """Holds at most `size` members. The island's best and the best of each instance and objective never leave it; of the rest
    the one that ranks last does. `children` counts how many were asked for of members that had any."""

    def __init__(self, size: int = SIZE):
        self._size = size
        self._members: dict[int, Member] = {}
        self._ranking: SortedList[Key] = SortedList()
        self._holders: list[
            tuple[float, float, int]
        ] = []  # of each column: -violation, value, whose; of equals the first
        self._places: dict[int, int] = {}  # member -> row of the matrix
        self._free = list(range(size, -1, -1))
        self._ids = np.zeros(size + 1, np.int64)
        self._matrix: NDArray[np.float64] | None = None  # a row per member, NaN where there is none
        self.children: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        """Yields the members, best first."""
        return (self._members[candidate] for _, _, candidate in self._ranking)

    def get(self, candidate: int) -> Member | None:
        return self._members.get(candidate)

    def wins(self, candidate: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns the ids of those that are better than a member somewhere, and on how many columns each is."""
        if candidate not in self._places or self._matrix is None or self._matrix.shape[1] < 2:
            return self._ids[:0], self._ids[:0]
        wins = np.add.reduce(self._matrix > self._matrix[self._places[candidate]], axis=1, dtype=np.int64)
        some = wins.nonzero()[0]
        return self._ids[some], wins[some]

    def columns(self, members: list[Member]) -> NDArray[np.float64]:
        """Returns a row for each of some members that are known column by column."""
        assert self._matrix is not None
        return self._matrix[[self._places[member.id] for member in members]]

    def knows(self, member: Member) -> bool:
        """Says whether a member has a value on as many columns as any ever had."""
        return member.id in self._places

    def had_child(self, candidate: int) -> None:
        if candidate in self._members:
            self.children[candidate] = self.children.get(candidate, 0) + 1

    def add(self, member: Member) -> None:
        key, columns = member.key, member.columns
        if len(self._members) >= self._size and key > self._ranking[-1] and not self._leads(member, columns):
            return  # it would be the one to leave
        self._members[member.id] = member
        self._ranking.add(key)
        self._note(member, columns)
        if len(self._members) > self._size:
            kept = {self._ranking[0][2], *(holder for _, _, holder in self._holders)}
            last = next((key for key in reversed(self._ranking) if key[2] not in kept), None)
            if last is not None:
                self._drop(self._members[last[2]])

    def remove(self, candidate: int) -> None:
        member = self._members.get(candidate)
        if member is None:
            return
        self._drop(member)
        if any(holder == candidate for _, _, holder in self._holders):
            self._holders = []
            for other in self._members.values():
                self._hold(other.columns, other)

    def clear(self) -> None:
        self.__init__(self._size)  # type: ignore[misc]

    def _leads(self, member: Member, columns: tuple[float, ...]) -> bool:
        """Says whether a member would be the best of some column."""
        feasible = -member.violation
        known = zip(columns, self._holders, strict=False)
        return len(columns) > len(self._holders) or any((feasible, value) > best[:2] for value, best in known)

    def _note(self, member: Member, columns: tuple[float, ...]) -> None:
        if self._matrix is None or len(columns) > self._matrix.shape[1]:
            self._matrix = np.full((self._size + 1, len(columns)), np.nan)
            self._places, self._free = {}, list(range(self._size, -1, -1))
        if len(columns) == self._matrix.shape[1]:
            place = self._places[member.id] = self._free.pop()
            self._matrix[place] = columns
            self._ids[place] = member.id
        self._hold(columns, member)

    def _hold(self, columns: tuple[float, ...], member: Member) -> None:
        feasible = -member.violation
        self._holders.extend([NOTHING] * (len(columns) - len(self._holders)))
        for place, value in enumerate(columns):
            if (feasible, value) > self._holders[place][:2]:
                self._holders[place] = (feasible, value, member.id)

    def _drop(self, member: Member) -> None:
        del self._members[member.id]
        self._ranking.remove(member.key)
        self.children.pop(member.id, None)
        place = self._places.pop(member.id, None)
        if place is not None:
            assert self._matrix is not None
            self._matrix[place], self._ids[place] = np.nan, 0
            self._free.append(place)
