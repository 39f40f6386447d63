"""Referee of cap sets: asks for the priorities of all points of F_3^n at once, builds the cap greedily, counts it.

Source of the problem: FunSearch (Romera-Paredes et al. 2023, doi:10.1038/s41586-023-06924-6). The set is built here, from
numbers alone, so it is a cap whatever they are. Not covered: a program that holds a known cap as a table (the hold-out,
other n, shows that), and one that sees all points before it answers (a joint rule is as good as a pointwise one).
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import product
from typing import Any

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

SMALL_N = 4  # n of the quick first stage
LARGEST_N = 8
KNOWN = {1: 2, 2: 4, 3: 9, 4: 20, 5: 45, 6: 112, 7: 236, 8: 512}  # optimal up to 6


def instances(stage: Stage, rng: np.random.Generator, n: int) -> list[Instance]:
    """Returns the dimensions to fill: at most 4 in `small`, the neighbours of n in `holdout`, else n."""
    if not 1 <= n <= LARGEST_N:
        raise ValueError(f"param.n={n}: must be from 1 to {LARGEST_N}")
    sizes = {"small": [min(n, SMALL_N)], "holdout": [n + 1, max(n - 1, 1)]}.get(stage.name, [n])
    return [Instance(size, name=f"n={size}") for size in sizes]


@cache
def points(n: int) -> np.ndarray:
    """Returns all vectors of F_3^n in the order of counting, as rows of digits; read-only."""
    rows = np.array(list(product(range(3), repeat=n)), dtype=np.int64)
    rows.flags.writeable = False
    return rows


# ---------------------------------------------------------------- the priorities


def drive(instance: Instance, candidate: Any) -> np.ndarray:
    """Returns the priority of each point. It is asked twice, the second time backwards: a function gives the same."""
    n, rows = instance.input, points(instance.input)
    elements = rows.tolist()
    first = parse(candidate.priorities(rows.tolist(), n), elements)
    again = parse(candidate.priorities(rows[::-1].tolist(), n), elements[::-1])[::-1]
    if (changed := np.flatnonzero(first != again)).size:
        i = int(changed[0])
        raise Invalid(
            f"the priority of {tuple(elements[i])} was {first[i]:.9g} and then {again[i]:.9g}; "
            "it must follow from the element and n alone"
        )
    return first


def parse(output: Any, elements: list[list[int]]) -> np.ndarray:
    """Returns the priorities as an array. Raises Invalid unless they are one finite real number per element."""
    if isinstance(output, list | tuple):
        output = _from_list(output, elements)
    if type(output) is not np.ndarray:
        raise Invalid(f"a value of type {type(output).__name__} came back; there must be one priority per element")
    if output.dtype.kind not in "fiu":
        raise Invalid(f"an array of {output.dtype} came back; priorities must be real numbers")
    if output.shape != (len(elements),):
        raise Invalid(f"priorities of shape {output.shape} came back; the shape must be ({len(elements)},)")
    finite = np.isfinite(output)
    if not finite.all():
        bad = int(finite.argmin())
        raise Invalid(f"the priority of {tuple(elements[bad])} is {output[bad]}; it must be finite")
    return output.astype(np.float64)


def _from_list(output: list[Any] | tuple[Any, ...], elements: list[list[int]]) -> np.ndarray:
    if len(output) != len(elements):
        raise Invalid(f"{len(output)} priorities came back for {len(elements)} elements")
    for element, value in zip(elements, output, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise Invalid(f"the priority of {tuple(element)} is of type {type(value).__name__}; return a real number")
    try:
        return np.array(output, dtype=np.float64)
    except OverflowError:
        raise Invalid("a priority is too large for a float") from None


# ---------------------------------------------------------------- the cap


def build(priorities: np.ndarray, n: int) -> list[int]:
    """Returns the cap's points by number: the highest priority first, of equals the first, each if no line forbids it.

    Three distinct points of F_3^n are on a line if they sum to zero, so two of the cap forbid the third, -(x + y).
    """
    space, powers = points(n), 3 ** np.arange(n)[::-1]
    forbidden = np.zeros(len(space), dtype=bool)
    cap: list[int] = []
    for point in np.argsort(-priorities, kind="stable").tolist():
        if not forbidden[point]:
            forbidden[-(space[cap] + space[point]) % 3 @ powers] = True
            cap.append(point)
    return cap


def score(instance: Instance, output: np.ndarray) -> Result:
    """Returns the size of the cap that greedy choice by these priorities builds."""
    n = instance.input
    cap = build(output, n)
    chosen = points(n)[cap]
    distinct = len(np.unique(output)) / len(output)
    symmetry = {"negation": _kept(chosen, -chosen % 3), "reversal": _kept(chosen, chosen[:, ::-1])}
    return Result(
        metrics={"size": float(len(cap))},
        feedback=_feedback(n, chosen, output, symmetry),
        features={"mean_support": float(np.mean(chosen > 0)), "distinct_priorities": distinct, **symmetry},
    )


def _kept(chosen: np.ndarray, image: np.ndarray) -> float:
    """Returns the share of the cap that lies in its image."""
    rows = set(map(tuple, image.tolist()))
    return sum(tuple(row) in rows for row in chosen.tolist()) / len(chosen)


def _feedback(n: int, chosen: np.ndarray, priorities: np.ndarray, symmetry: dict[str, float]) -> str:
    here = Counter((chosen > 0).sum(axis=1).tolist())
    there = Counter((points(n) > 0).sum(axis=1).tolist())
    by_support = ", ".join(f"{k}: {here[k]} of {there[k]}" for k in range(n + 1))
    kept = ", ".join(f"{share:.0%} under {name}" for name, share in symmetry.items())
    best = f", the best known {KNOWN[n]}" if n in KNOWN else ""
    return (
        f"n = {n}: a cap of {len(chosen)} points{best}. Zero priorities give {2**n}.\n"
        f"Points chosen by their number of digits other than 0: {by_support}.\n"
        f"{len(np.unique(priorities))} distinct priorities for {len(priorities)} points. The cap keeps {kept}."
    )
