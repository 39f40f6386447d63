"""An island: a sub-population ranked by score. Migration puts references to others' candidates into it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from sortedcontainers import SortedList

from evolve.search.grid import Grid
from evolve.search.member import Key, Member
from evolve.search.pool import Pool

RECENT = 32  # how many of the newest members inspirations may come from
NEAR_MISSES = 8


class Island:
    """The `ok` candidates of one island, best first; equals rank by id, older first.

    `asked` and `own` count the candidates asked for this island, and those told, since it was founded (failures too);
    migrants don't count. `founders` are those it began with, `held` the parent of its last proposal. `near_misses` are failed
    children of good parents, oldest first. `pool` has what is known of the best members, `grid` is its archive where its
    strategy wants one. `gain` is what it recently brought.
    """

    def __init__(self, index: int, grid: Grid | None = None):
        self.index = index
        self.asked = 0
        self.own = 0
        self.gain = 0.0
        self.held = 0
        self.founders: list[int] = []
        self.recent: deque[int] = deque(maxlen=RECENT)
        self.near_misses: deque[int] = deque(maxlen=NEAR_MISSES)
        self.pool = Pool()
        self.grid = grid
        self._ranking: SortedList[Key] = SortedList()

    def __len__(self) -> int:
        return len(self._ranking)

    def __iter__(self) -> Iterator[int]:
        return (candidate for _, _, candidate in self._ranking)

    def keys(self) -> Iterator[Key]:
        return iter(self._ranking)

    def add(self, member: Member, new: bool = False) -> None:
        """Adds a member, or a reference to another island's; adding it again changes nothing. O(log n).

        `new` says that it can't be here already, which saves looking.
        """
        key = member.key
        if new or key not in self._ranking:
            self._ranking.add(key)
            self.recent.append(member.id)
            self.pool.add(member)
            if self.grid is not None:
                self.grid.add(member)

    def remove(self, key: Key) -> bool:
        """Removes a member (or reference) that ranks by that key; says whether there was one."""
        if key not in self._ranking:
            return False
        self._ranking.remove(key)
        if key[2] in self.recent:
            self.recent.remove(key[2])
        self.pool.remove(key[2])
        if self.grid is not None:
            self.grid.remove(key[2])
        return True

    def judged_anew(self, candidate: int, ok: bool) -> None:
        """Lets nobody be a parent as what it no longer is: who is ok is no near miss, who is not is no founder."""
        if ok and candidate in self.near_misses:
            self.near_misses.remove(candidate)
        if not ok and candidate in self.founders:
            self.founders.remove(candidate)
        if not ok and self.held == candidate:
            self.held = 0

    def at(self, rank: int) -> int:
        """Returns the candidate of a rank; 0 is the best."""
        return int(self._ranking[rank][2])

    def rank(self, key: Key) -> int:
        """Returns how many members rank before that key."""
        return int(self._ranking.bisect_left(key))

    def best(self) -> Key | None:
        """Returns the key of the best member, None on an empty island."""
        return self._ranking[0] if self._ranking else None

    def clear(self) -> None:
        """Empties the island; the candidates stay in the population."""
        for part in (self._ranking, self.recent, self.near_misses, self.pool, self.founders):
            part.clear()
        if self.grid is not None:
            self.grid.clear()
        self.asked = self.own = self.held = 0
        self.gain = 0.0
