"""An island: a sub-population ranked by score. Migration puts references to others' candidates into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sortedcontainers import SortedList

Vector = tuple[float, ...]

RECENT = 32  # how many of the newest members inspirations may come from
POOL = 64  # members whose scores on each instance are kept
NEAR_MISSES = 8


class Island:
    """The `ok` candidates of one island, best first; equal scores rank by id, older first.

    `own` counts the candidates asked for this island and told since it was founded (failures too); migrants don't count.
    `near_misses` are failed children of good parents, oldest first. `vectors` has the scores of the best members on each
    instance, higher is better.
    """

    def __init__(self, index: int):
        self.index = index
        self.own = 0
        self.recent: deque[int] = deque(maxlen=RECENT)
        self.near_misses: deque[int] = deque(maxlen=NEAR_MISSES)
        self.vectors: dict[int, Vector] = {}
        self._pool: SortedList[tuple[float, int]] = SortedList()
        self._ranking: SortedList[tuple[float, int]] = SortedList()

    def __len__(self) -> int:
        return len(self._ranking)

    def __iter__(self) -> Iterator[int]:
        return (candidate for _, candidate in self._ranking)

    def add(self, candidate: int, score: float, vector: Vector = ()) -> None:
        """Adds a member, or a reference to another island's; adding it again changes nothing. O(log n)."""
        entry = (-score, candidate)
        if entry not in self._ranking:
            self._ranking.add(entry)
            self.recent.append(candidate)
            if len(vector) > 1:
                self._keep(candidate, score, vector)

    def remove(self, candidate: int, score: float) -> bool:
        """Removes a member (or reference) of that score; says whether there was one."""
        if (-score, candidate) not in self._ranking:
            return False
        self._ranking.remove((-score, candidate))
        if candidate in self.recent:
            self.recent.remove(candidate)
        if candidate in self.vectors:
            del self.vectors[candidate]
            self._pool.remove((-score, candidate))
        return True

    def _keep(self, candidate: int, score: float, vector: Vector) -> None:
        """Keeps a vector; beyond POOL of them, whoever ranks last loses its."""
        self.vectors[candidate] = vector
        self._pool.add((-score, candidate))
        if len(self._pool) > POOL:
            del self.vectors[self._pool.pop()[1]]

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
        self.near_misses.clear()
        self.vectors.clear()
        self._pool.clear()
        self.own = 0
