"""Referee of the first autocorrelation inequality: parses the heights strictly, scores the step function in whole numbers.

Source of the problem: AlphaEvolve (Novikov et al. 2025, arXiv:2506.13131), B.1. The convolution is one product of big
numbers (Kronecker's substitution), so nothing underflows or rounds until the last division. Not covered: whether the same
program gives the heights again (time limits, random seeds); so they are kept as the artifact `heights.json`.
"""

from __future__ import annotations

import json
import math
from decimal import MAX_EMAX, Context, Decimal, Inexact, localcontext
from typing import Any

import numpy as np

from evolve.problem import Instance, Invalid, Result

MOST_STEPS = 20_000
BITS = 64  # heights are rounded to whole multiples of 2^-64 of the power of two above the largest
NEAR = 0.99  # of its maximum: where the autoconvolution counts as active


def score(instance: Instance, output: Any) -> Result:
    """Returns 2n max(a*a) / (sum a)^2 of the heights a. Raises Invalid for anything that is no step function."""
    heights = parse(output)
    whole = scaled(heights)
    squared = autoconvolution(whole)
    value = 2 * len(whole) * max(squared) / sum(whole) ** 2  # of whole numbers: rounded once, correctly
    shape = Shape(whole, squared)
    return Result(
        metrics={"ratio": value},
        feedback=shape.feedback(value),
        features={
            "active": shape.active,
            "zeros": shape.zeros,
            "centre": shape.centre,
            "log2_steps": math.log2(len(whole)),
        },
        artifacts={"heights.json": json.dumps(heights)},
    )


# ---------------------------------------------------------------- parsing


def parse(output: Any) -> list[float]:
    """Returns the heights of a list of real numbers, or of a real array of one dimension; not negative, not all zero."""
    if type(output) is np.ndarray:
        if output.dtype.kind not in "fiu":
            raise Invalid(f"heights returned an array of {output.dtype}; it must hold real numbers")
        if output.ndim != 1:
            raise Invalid(f"heights returned an array of shape {output.shape}; it must have one dimension")
        _check_count(len(output))
        output = output.tolist()
    if not isinstance(output, list | tuple):
        raise Invalid(f"heights returned a value of type {type(output).__name__}; return a list of numbers")
    _check_count(len(output))
    heights = [_height(value, i) for i, value in enumerate(output)]
    if not any(heights):
        raise Invalid("all heights are 0; the function must have a positive integral")
    return heights


def _check_count(count: int) -> None:
    if not 1 <= count <= MOST_STEPS:
        raise Invalid(f"heights returned {count} steps; return 1 to {MOST_STEPS:,}")


def _height(value: Any, i: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise Invalid(f"height {i} is of type {type(value).__name__}; it must be a real number")
    try:
        height = float(value)
    except OverflowError:
        raise Invalid(f"height {i} is too large for a float") from None
    if not math.isfinite(height) or height < 0.0:
        raise Invalid(f"height {i} is {height!r}; it must be finite and not negative")
    return height


# ---------------------------------------------------------------- the score, exact


def scaled(heights: list[float]) -> list[int]:
    """Returns the heights as whole numbers up to 2^BITS, the largest above half of that: the score knows no scale.

    What is at least 2^-11 of the largest is kept to the last bit; what is smaller is rounded, to 0 at the end.
    """
    shift = BITS - math.frexp(max(heights))[1]
    return [round(math.ldexp(height, shift)) for height in heights]


def autoconvolution(whole: list[int]) -> list[int]:
    """Returns the 2n - 1 sums of a_i a_j over i + j = k, read off the square of one big number that holds all heights.

    `decimal` multiplies in quasi-linear time (20,000 steps: 0.1 s), and raises if it ever had to round.
    """
    width = len(str(len(whole) * max(whole) ** 2))  # digits that hold any such sum
    places = 2 * len(whole) * width
    with localcontext(Context(prec=places, Emax=MAX_EMAX, traps=[Inexact])):
        number = Decimal("".join(f"{height:0{width}d}" for height in whole))
        digits = f"{number * number:f}".zfill(places)
    return [int(digits[k : k + width]) for k in range(width, places, width)]


# ---------------------------------------------------------------- what a reader wants to know


def _shares(whole: list[int]) -> np.ndarray:
    most = max(whole)
    return np.array([number / most for number in whole])


class Shape:
    """Measures a step function and its autoconvolution in floats. Ranks nothing."""

    def __init__(self, whole: list[int], squared: list[int]):
        self.heights = _shares(whole)
        self.squared = _shares(squared)

    @property
    def active(self) -> float:
        """Returns the share of the autoconvolution's positions that lie within 1 % of its maximum."""
        return float(np.mean(self.squared >= NEAR))

    @property
    def zeros(self) -> float:
        """Returns the share of steps below a thousandth of the highest."""
        return float(np.mean(self.heights < 1e-3))

    @property
    def centre(self) -> float:
        """Returns where the function balances, from 0 (left end) to 1."""
        places = (np.arange(len(self.heights)) + 0.5) / len(self.heights)
        return float(places @ self.heights / self.heights.sum())

    def feedback(self, value: float) -> str:
        """Returns three lines: the value, where the autoconvolution is high and low, how the heights lie."""
        n, peak = len(self.heights), int(self.squared.argmax())
        tenths = ", ".join(f"{part.max():.2f}" for part in np.array_split(self.squared, 10) if part.size)
        parts = ", ".join(f"{part.mean():.3f}" for part in np.array_split(self.heights, 10) if part.size)
        return (
            f"{n} steps: {value:.9f}. The autoconvolution is highest at position {peak} of 0..{2 * n - 2}; "
            f"{self.active:.0%} of its positions are within 1 % of that.\n"
            f"Its maximum in each tenth of its support, as a share of the highest: {tenths}. Flat is good.\n"
            f"Mean height in each tenth, as a share of the highest step: {parts}. {self.zeros:.0%} of the steps are about 0."
        )
