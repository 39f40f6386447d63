"""An island: a sub-population ranked by score. Migration puts references to others' candidates into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sortedcontainers import SortedList

RECENT = 32  # how many of the newest members inspirations may come from


class Island:
    """The `ok` candidates of one island, best first; equal scores rank by id, older first.

    `own` counts the candidates asked for this island and told since it was founded (failures too); migrants don't count.
    """

    def __init__(self, index: int):
        self.index = index
        self.own = 0
        self.recent: deque[int] = deque(maxlen=RECENT)
        self._ranking: SortedList[tuple[float, int]] = SortedList()

    def __len__(self) -> int:
        return len(self._ranking)

    def __iter__(self) -> Iterator[int]:
        return (candidate for _, candidate in self._ranking)

    def add(self, candidate: int, score: float) -> None:
        """Adds a member, or a reference to another island's; adding it again changes nothing. O(log n)."""
        entry = (-score, candidate)
        if entry not in self._ranking:
            self._ranking.add(entry)
            self.recent.append(candidate)

    def remove(self, candidate: int, score: float) -> bool:
        """Removes a member (or reference) of that score; says whether there was one."""
        if (-score, candidate) not in self._ranking:
            return False
        self._ranking.remove((-score, candidate))
        return True

    def at(self, rank: int) -> int:
        """Returns the candidate of a rank; 0 is the best."""
        return int(self._ranking[rank][1])

    def rank(self, candidate: int, score: float) -> int:
        """Returns how many members rank before a candidate of that score."""
        return int(self._ranking.bisect_left((-score, candidate)))

    def best_score(self) -> float:
        return -float(self._ranking[0][0]) if self._ranking else float("-inf")

    def clear(self) -> None:
        """Empties the island; the candidates stay in the population."""
        self._ranking.clear()
        self.recent.clear()
        self.own = 0
