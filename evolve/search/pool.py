"""The pool: the members of an island that are compared with one another; bounded, so that comparing many costs the same."""

from __future__ import annotations

from collections.abc import Iterator

from sortedcontainers import SortedList

from evolve.search.member import Key, Member

SIZE = 128


class Pool:
    """Holds at most `size` members. The island's best and the best of each instance and objective never leave it; of the rest
    the one that ranks last does."""

    def __init__(self, size: int = SIZE):
        self._size = size
        self._members: dict[int, Member] = {}
        self._ranking: SortedList[Key] = SortedList()
        self._holders: list[Member] = []  # the best of each column, of equals the first
        self.children: dict[int, int] = {}  # how many were asked for, of members that had any

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        """Yields the members, best first."""
        return (self._members[candidate] for _, _, candidate in self._ranking)

    def get(self, candidate: int) -> Member | None:
        return self._members.get(candidate)

    def add(self, member: Member) -> None:
        self._members[member.id] = member
        self._ranking.add(member.key)
        self._hold(member)
        if len(self._members) > self._size:
            self._drop_last()

    def had_child(self, candidate: int) -> None:
        if candidate in self._members:
            self.children[candidate] = self.children.get(candidate, 0) + 1

    def remove(self, candidate: int) -> None:
        member = self._members.pop(candidate, None)
        if member is None:
            return
        self.children.pop(candidate, None)
        self._ranking.remove(member.key)
        if any(holder.id == candidate for holder in self._holders):
            self._holders = []
            for other in self:
                self._hold(other)

    def clear(self) -> None:
        self._members.clear()
        self._ranking.clear()
        self._holders.clear()
        self.children.clear()

    def _hold(self, member: Member) -> None:
        for place, value in enumerate(member.columns):
            if place == len(self._holders):
                self._holders.append(member)
            elif (-member.violation, value) > (-self._holders[place].violation, self._holders[place].columns[place]):
                self._holders[place] = member

    def _drop_last(self) -> None:
        kept = {self._ranking[0][2], *(holder.id for holder in self._holders)}
        last = next((key for key in reversed(self._ranking) if key[2] not in kept), None)
        if last is not None:
            del self._members[last[2]]
            self.children.pop(last[2], None)
            self._ranking.remove(last)
