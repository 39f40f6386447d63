"""Rungs: the steps 1, 3, 9, ... at which stages that report are compared. Imports nothing: workers look at them too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

ETA = 3  # the distance of two rungs, and of how many values one goes on


def rung(step: float) -> int:
    """Returns the highest rung that a step has reached, 0 for none."""
    reached = 0
    at = 1
    while at <= step:
        reached, at = at, at * ETA
    return reached


def rungs(curve: Iterable[tuple[float, float]]) -> Iterator[tuple[int, float]]:
    """Yields the rungs that a curve of (step, value) reaches, each with its first value there."""
    last = 0
    for step, value in curve:
        if (reached := rung(step)) > last:
            last = reached
            yield reached, value
