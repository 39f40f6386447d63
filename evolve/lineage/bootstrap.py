"""Bootstrap: medians over seeds, the band that holds the seeds, and the interval of a difference.

Percentile intervals (Efron 1979, Annals of Statistics 7, https://doi.org/10.1214/aos/1176344552).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
RESAMPLES, PART = 10_000, 500
LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A difference of medians with its interval; `low` and `high` are None where one seed alone gives none."""

    difference: float
    low: float | None
    high: float | None
    paired: bool


def bands(values: Array) -> tuple[Array, Array, Array]:
    """Returns the median of the rows and the band that holds at least 95 % of them: of under 40 rows, all."""
    ordered = np.sort(values, axis=0)
    outside = int((1 - LEVEL) / 2 * len(values))
    return median(values.T), ordered[outside], ordered[len(values) - 1 - outside]


def bootstrap_difference(a: Sequence[float] | Array, b: Sequence[float] | Array, paired: bool) -> Difference:
    """Returns the median of a less that of b (paired: the median of the differences) with its 95 % interval.

    The same input gives the same interval. Infinite values are runs that failed. Raises ValueError for what can't be
    compared.
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if not len(first) or not len(second) or (paired and len(first) != len(second)):
        raise ValueError(f"{len(first)} and {len(second)} values: give one or more of each, of pairs equally many")
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("values must be numbers, not NaN; a run that failed is -inf or inf, whichever is worse")
    rng = np.random.default_rng(0)
    if paired:
        gaps = _less(first, second)
        estimate, many = median(gaps), _medians(gaps, rng)
    else:
        estimate = _less(median(first), median(second))
        many = _less(_medians(first, rng), _medians(second, rng))
    ordered, outside = np.sort(many), int((1 - LEVEL) / 2 * RESAMPLES)
    alone = min(len(first), len(second)) < 2
    low, high = (None, None) if alone else (float(ordered[outside]), float(ordered[-1 - outside]))
    return Difference(difference=float(estimate), low=low, high=high, paired=paired)


def _medians(values: Array, rng: np.random.Generator) -> Array:
    """Returns the medians of resamples, drawn in parts that fit in memory."""
    parts = (rng.integers(len(values), size=(PART, len(values))) for _ in range(RESAMPLES // PART))
    return np.concatenate([median(values[part]) for part in parts])


def _less(a: Array, b: Array) -> Array:
    """Returns a - b, 0 where they are equal, infinite ones too."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(a == b, 0.0, a - b)


def median(values: Array) -> Array:
    """Returns the median along the last axis; the middle between -inf and inf is 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        found = np.median(values, axis=-1)
    return np.where(np.isnan(found), 0.0, found)
