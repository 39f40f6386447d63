"""Meters: how busy a pool's slots were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Meter:
    """Integrates how many slots of a pool are busy over time."""

    def __init__(self, slots: int, clock: Callable[[], float], busy_s: float = 0.0):
        self.slots = slots
        self.busy = 0
        self._clock = clock
        self._busy_s = busy_s
        self._since = clock()

    @contextmanager
    def occupied(self) -> Iterator[None]:
        self._move(+1)
        try:
            yield
        finally:
            self._move(-1)

    def busy_s(self) -> float:
        """Returns slot-seconds spent busy so far."""
        self._move(0)
        return self._busy_s

    def _move(self, step: int) -> None:
        now = self._clock()
        self._busy_s += self.busy * (now - self._since)
        self._since = now
        self.busy += step


def utilisation(busy_s: float, slots: int, wall_s: float) -> float:
    """Returns the share (0 to 1) of the slots' time that was used."""
    return min(1.0, busy_s / (slots * wall_s)) if slots and wall_s > 0 else 0.0
