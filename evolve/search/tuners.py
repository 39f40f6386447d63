"""Tuners: numeric search over a candidate's constants, in coordinates from 0 to 1 along each one's range.

Hill climbing: (1+lambda) evolution strategy with the success rule, Rechenberg 1973; here on few coordinates at a time.
CMA-ES: Hansen 2016, arXiv:1604.00772, by the `cma` package.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from evolve.source import PARSING

Point = tuple[float, ...]
METHODS = ("hill", "cma")
STEP, GROWTH = 0.15, 1.5  # of hill climbing: the first step, and its change with a success
TARGET = 0.25  # the share of batches with a success at which the step stays
FEW = 1.5  # coordinates that a step changes on average
SIGMA = 0.1  # of CMA-ES
CMA_POPULATION = 6


class Tuner(Protocol):
    """Asks for points in batches. A batch is told as a whole, its scores (higher is better, `-inf` for a failure) in its order.

    Which results came first makes no difference, and the same generator asks for the same points.
    """

    def ask(self) -> list[Point]: ...

    def tell(self, scores: Sequence[float]) -> None: ...


class HillClimbing:
    """Steps from the best point so far; the step grows with success and shrinks without."""

    def __init__(self, start: Point, score: float, rng: np.random.Generator, batch: int = 2):
        self._best, self._score, self._rng, self._size = np.array(start), score, rng, batch
        self._step = STEP
        self._batch: list[Point] = []

    def ask(self) -> list[Point]:
        self._batch = [self._neighbour() for _ in range(self._size)]
        return self._batch

    def _neighbour(self) -> Point:
        size = len(self._best)
        moved = self._rng.random(size) < FEW / size
        moved[self._rng.integers(size)] = True
        found = self._best + moved * self._rng.normal(0.0, self._step, size)
        return tuple(map(float, np.clip(found, 0.0, 1.0)))

    def tell(self, scores: Sequence[float]) -> None:
        best = max(range(len(scores)), key=lambda i: scores[i])
        better = scores[best] > self._score
        if better:
            self._best, self._score = np.array(self._batch[best]), scores[best]
        self._step *= GROWTH if better else GROWTH ** (-TARGET / (1 - TARGET))


class CMA:
    """CMA-ES within the unit cube. It sees ranks alone, so that a failure is just the worst."""

    def __init__(self, start: Point, rng: np.random.Generator):
        load("cma")
        self._strategy = importlib.import_module("cma").CMAEvolutionStrategy(
            list(start),
            SIGMA,
            {
                "bounds": [0.0, 1.0],
                "seed": math.nan,  # leaves numpy's global generator alone
                "randn": lambda *shape: rng.standard_normal(shape),
                "popsize": CMA_POPULATION,
                "verbose": -10,  # says nothing, reads no file of signals
            },
        )
        self._batch: list[Any] = []

    def ask(self) -> list[Point]:
        self._batch = self._strategy.ask()
        return [tuple(float(x) for x in np.clip(point, 0.0, 1.0)) for point in self._batch]

    def tell(self, scores: Sequence[float]) -> None:
        self._strategy.tell(self._batch, [float(sum(other > score for other in scores)) for score in scores])


def load(method: str) -> None:
    """Imports what a method needs. The first time that takes seconds: to be called in a thread where others wait."""
    if method == "cma":
        with PARSING:  # which guards the filters of warnings
            warnings.filterwarnings("ignore", module="cma")  # it wants matplotlib for its plots
        importlib.import_module("cma")


def tuner(method: str, start: Point, score: float, rng: np.random.Generator) -> Tuner:
    """Returns a tuner by its name. CMA-ES has nothing to adapt in a single coordinate, which the other one climbs."""
    return CMA(start, rng) if method == "cma" and len(start) > 1 else HillClimbing(start, score, rng)
