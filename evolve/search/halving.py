"""Early stops: asynchronous successive halving (ASHA; Li et al., 2020, https://arxiv.org/abs/1810.05934, algorithm 2).

Rungs lie at the steps 1, 3, 9, ...; a stage goes on from a rung where its value is among the best third of those seen there so
far. Unlike the paper's, a stage that was stopped is not taken up again when the others turn out worse.
"""

from __future__ import annotations

from dataclasses import dataclass

from sortedcontainers import SortedList

from evolve.rungs import ETA, rung

LEAST = 2 * ETA  # nothing is stopped at a rung before so many values are known there


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why a stage ends at a rung: it takes `needed` (higher is better) to be among the best of `seen` values."""

    needed: float
    seen: int


class Halving:
    """Keeps the values (higher is better) that stages reached at their rungs, and says who stops."""

    def __init__(self, least: int = LEAST):
        self._least = least
        self._seen: dict[tuple[str, int], SortedList] = {}

    def observe(self, stage: str, step: float, value: float) -> Stop | None:
        """Takes a value at a rung; returns why the stage stops there, or None to go on. Equal values go on."""
        values = self._seen.setdefault((stage, rung(step)), SortedList())
        values.add(value)
        if len(values) < self._least:
            return None
        needed = values[-max(1, len(values) // ETA)]
        return Stop(needed=needed, seen=len(values)) if value < needed else None
