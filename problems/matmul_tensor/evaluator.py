"""Referee of matrix multiplication schemes: parses the factors, multiplies them out in whole numbers, counts the terms.

Source of the problem: AlphaEvolve (Novikov et al. 2025, arXiv:2506.13131), appendix A. Factors are returned times 2, so that
halves are whole; all sums are of int64 that can't wrap (see `difference`). Not covered: a program that holds known schemes as
tables (the hold-out, other shapes, shows that), and schemes with other entries than halves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

SMALLEST, LARGEST = 2, 5  # of n, m and p
MOST_ENTRY = 16  # of an entry as it is returned, times 2
# best known numbers of terms, for entries in halves of Gaussian integers; the order of n, m, p does not matter
KNOWN = {(2, 2, 2): 7, (2, 2, 3): 11, (2, 3, 3): 15, (3, 3, 3): 23, (2, 4, 5): 32, (4, 4, 4): 48, (5, 5, 5): 93}
LADDER = tuple(KNOWN)
NAMES = ("u", "v", "w")

Shape = tuple[int, int, int]


def instances(stage: Stage, rng: np.random.Generator, n: int, m: int, p: int) -> list[Instance]:
    """Returns the shapes: (2, 2, 2) in `small`, two neighbours of the shape on the ladder in `holdout`, else (n, m, p)."""
    for name, size in (("n", n), ("m", m), ("p", p)):
        if not SMALLEST <= size <= LARGEST:
            raise ValueError(f"param.{name}={size}: must be from {SMALLEST} to {LARGEST}")
    if stage.name == "small":
        shapes = [LADDER[0]]
    elif stage.name == "holdout":
        shapes = _neighbours((n, m, p))
    else:
        shapes = [(n, m, p)]
    return [Instance(list(shape), name="x".join(map(str, shape))) for shape in shapes]


def _neighbours(shape: Shape) -> list[Shape]:
    """Returns the rungs below and above a shape, by volume, but for the shape itself."""
    rest = [rung for rung in LADDER if rung != tuple(sorted(shape))]
    below = [rung for rung in rest if math.prod(rung) <= math.prod(shape)]
    above = [rung for rung in rest if math.prod(rung) > math.prod(shape)]
    return below[-1:] + above[:1]


def drive(instance: Instance, candidate: Any) -> Any:
    """Returns what `decompose(n, m, p)` returns."""
    return candidate.decompose(*instance.input)


def score(instance: Instance, output: Any) -> Result:
    """Returns the cost of a scheme: its number of terms if it is exact, else more than any exact one.

    An inexact one costs n m p, and the sum of the squared errors of the tensor, and one for each term beyond the best known.
    """
    n, m, p = shape = tuple(instance.input)
    factors = parse(output, shape)
    errors = difference(factors, shape)
    terms = factors[0].shape[1]
    error = int((errors**2).sum()) / 64
    known = KNOWN.get(tuple(sorted(shape)), 0)
    partial = n * m * p + error + max(terms - known, 0)
    entries = np.concatenate(factors).ravel()
    return Result(
        metrics={"cost": float(partial if error else terms), "terms": float(terms), "error": error},
        feedback=_feedback(shape, factors, errors, error),
        features={
            "terms": float(terms),
            "zeros": float(np.mean(entries == 0)),
            "halves": float(np.mean(entries % 2)),
            "imaginary": float(np.mean(np.concatenate(factors)[..., 1] != 0)),
        },
        artifacts={"scheme.json": json.dumps([factor.tolist() for factor in factors])},
    )


# ---------------------------------------------------------------- parsing


def parse(output: Any, shape: Shape) -> list[np.ndarray]:
    """Returns the three factors, times 2, as int64 arrays of shape (rows, terms, 2): real and imaginary parts.

    Each may come as nested lists or as an array of integers, or of floats that are whole, of shape (rows, terms) or
    (rows, terms, 2).
    """
    n, m, p = shape
    if type(output) is np.ndarray or not isinstance(output, list | tuple) or len(output) != 3:
        length = f" of length {len(output)}" if isinstance(output, list | tuple | dict | str) else ""
        raise Invalid(
            f"decompose returned a value of type {type(output).__name__}{length}; return three factors u, v, w"
        )
    factors = [
        _factor(value, name, rows, n * m * p)
        for value, name, rows in zip(output, NAMES, (n * m, m * p, p * n), strict=True)
    ]
    counts = [factor.shape[1] for factor in factors]
    if len(set(counts)) != 1:
        raise Invalid(
            f"u, v, w have {counts[0]}, {counts[1]} and {counts[2]} columns; they must have one for each term"
        )
    return factors


def _factor(value: Any, name: str, rows: int, most: int) -> np.ndarray:
    if isinstance(value, list | tuple):
        value = _from_lists(value, name, rows, most)
    if type(value) is not np.ndarray:
        raise Invalid(f"{name} is a value of type {type(value).__name__}; it must be an array of whole numbers")
    if value.dtype.kind not in "iuf":
        raise Invalid(f"{name} is an array of {value.dtype}; it must hold whole numbers")
    if value.ndim not in (2, 3) or value.shape[0] != rows or (value.ndim == 3 and value.shape[2] != 2):
        raise Invalid(f"{name} has the shape {value.shape}; it must be ({rows}, terms) or ({rows}, terms, 2)")
    if not 1 <= value.shape[1] <= most:
        raise Invalid(f"{name} has {value.shape[1]} columns; there must be 1 to {most} terms (n m p)")
    fits = (value >= -MOST_ENTRY) & (value <= MOST_ENTRY) & (value == np.rint(value))  # NaN fits nothing
    if not fits.all():
        at = tuple(int(i) for i in np.argwhere(~fits)[0])
        raise Invalid(
            f"{name}[{', '.join(map(str, at))}] is {value[at]}; entries are returned times 2, whole numbers from "
            f"-{MOST_ENTRY} to {MOST_ENTRY}"
        )
    whole = value.astype(np.int64)
    return whole if whole.ndim == 3 else np.stack([whole, np.zeros_like(whole)], axis=2)


def _from_lists(rows: Sequence[Any], name: str, count: int, most: int) -> np.ndarray:
    """Returns nested lists as a float array. Raises Invalid for what is not rectangular or no numbers."""
    if len(rows) != count:
        raise Invalid(f"{name} has {len(rows)} rows; it must have {count}")
    flat = []
    for i, row in enumerate(rows):
        row = row.tolist() if type(row) is np.ndarray else row
        if not isinstance(row, list | tuple) or len(row) > most:
            raise Invalid(f"row {i} of {name} is no list of at most {most} entries (n m p)")
        flat += row
    pairs = [entry for entry in flat if isinstance(entry, list | tuple)]
    if pairs and (len(pairs) < len(flat) or any(len(pair) != 2 for pair in pairs)):
        raise Invalid(f"{name} mixes numbers and pairs; its entries must be all numbers, or all [real, imaginary]")
    for entry in (value for pair in pairs for value in pair) if pairs else flat:
        if isinstance(entry, bool) or not isinstance(entry, int | float | np.integer | np.floating):
            raise Invalid(f"{name} has an entry of type {type(entry).__name__}; entries must be whole numbers")
    if len({len(row) for row in rows}) != 1:
        raise Invalid(f"{name} has rows of different lengths")
    try:
        return np.array(rows, dtype=np.float64)
    except OverflowError:
        raise Invalid(
            f"{name} has an entry that is too large; entries are from -{MOST_ENTRY} to {MOST_ENTRY}"
        ) from None


# ---------------------------------------------------------------- the tensor, in whole numbers


def target(shape: Shape) -> np.ndarray:
    """Returns the tensor of the product of an n x m by an m x p matrix, (n m, m p, p n): 1 at [i m + j, j p + k, k n + i]."""
    n, m, p = shape
    tensor = np.zeros((n * m, m * p, p * n), dtype=np.int64)
    for i, j, k in np.ndindex(n, m, p):
        tensor[i * m + j, j * p + k, k * n + i] = 1
    return tensor


def difference(factors: list[np.ndarray], shape: Shape) -> np.ndarray:
    """Returns 8 times (the sum of the terms, less the tensor), (n m, m p, p n, 2): real and imaginary parts.

    No sum leaves int64: a part of a term is at most 4 * 16^3 = 2^14, 125 terms less than 2^21, squares less than 2^42, and
    there are 2 * 25^3 < 2^15 of them.
    """
    (a, b), (c, d), (e, f) = (np.moveaxis(factor, 2, 0) for factor in factors)

    def summed(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.einsum("ar,br,cr->abc", x, y, z)

    real = summed(a, c, e) - summed(a, d, f) - summed(b, c, f) - summed(b, d, e)
    imaginary = summed(a, c, f) + summed(a, d, e) + summed(b, c, e) - summed(b, d, f)
    return np.stack([real - 8 * target(shape), imaginary], axis=3)


# ---------------------------------------------------------------- what a reader wants to know


def _feedback(shape: Shape, factors: list[np.ndarray], errors: np.ndarray, error: float) -> str:
    n, m, p = shape
    terms = factors[0].shape[1]
    known = KNOWN.get(tuple(sorted(shape)))
    best = f", best known {known}" if known else ""
    lines = [f"<{n},{m},{p}>: {terms} terms (standard {n * m * p}{best})."]
    if error:
        wrong = errors.any(axis=3)
        ones = target(shape) == 1
        lines[0] += f" Not exact: the squared error is {error:.9g}."
        lines.append(
            f"{int(wrong.sum())} of {wrong.size} entries of the tensor are wrong: {int((wrong & ones).sum())} of the "
            f"{n * m * p} ones, {int((wrong & ~ones).sum())} of the zeros; by at most {np.abs(errors).max() / 8:g}."
        )
    else:
        lines[0] += " Exact."
    entries = np.concatenate(factors)
    idle = int((np.stack([(factor == 0).all(axis=(0, 2)) for factor in factors]).any(axis=0)).sum())
    lines.append(
        f"Entries: {np.mean((entries == 0).all(axis=2)):.0%} are 0, {np.mean((entries % 2).any(axis=2)):.0%} have halves, "
        f"{np.mean(entries[..., 1] != 0):.0%} are not real; the largest is {np.abs(entries).max() / 2:g}."
        + (f" {idle} terms are 0 and may go." if idle else "")
    )
    return "\n".join(lines)
