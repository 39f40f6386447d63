"""Referee of circle packing: parses n discs strictly, repairs rounding, decides feasibility exactly, sums the radii.

Source of the problem: AlphaEvolve (Novikov et al. 2025, arXiv:2506.13131), B.12. Nothing that the candidate says about
its own packing is used. Not covered: whether the same program gives the packing again (time limits, random seeds);
so the judged discs are kept as the artifact `packing.json`.
"""

from __future__ import annotations

import json
import math
from itertools import combinations
from typing import Any

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

SMALL_N = 10  # n of the quick first stage
SHRINKS = (0.0, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12)  # the repair: the first that makes the packing feasible
TOUCH = 1e-6  # two discs, or a disc and a wall, nearer than this count as in contact
DENOMINATOR = 2**1074  # a multiple of the denominator of every finite float64

Disc = tuple[float, float, float]


def instances(stage: Stage, rng: np.random.Generator, n: int) -> list[Instance]:
    """Returns the numbers of discs to pack: at most 10 in `small`, other sizes in `holdout`, else n."""
    if n < 1:
        raise ValueError(f"param.n={n}: must be at least 1")
    if stage.name == "small":
        sizes = [min(n, SMALL_N)]
    elif stage.name == "holdout":
        sizes = [n + 1 + 3 * k for k in range(stage.instances or 3)]
    else:
        sizes = [n]
    return [Instance(size, name=f"n={size}") for size in sizes]


def score(instance: Instance, output: Any) -> Result:
    """Returns the sum of the repaired radii. Raises Invalid for anything that is not a packing."""
    discs, shrink = repair(parse(output, instance.input))
    geometry = Geometry(discs)
    return Result(
        metrics={"sum_radii": math.fsum(r for _, _, r in discs)},
        feedback=geometry.feedback(shrink),
        features={
            "contacts": float(geometry.contacts),
            "distinct_radii": float(geometry.distinct_radii),
            "symmetry_error": geometry.symmetry_error,
        },
        artifacts={"packing.json": json.dumps(discs)},
    )


# ---------------------------------------------------------------- parsing


def parse(output: Any, n: int) -> list[Disc]:
    """Returns the discs of a list of n rows of three real numbers, or of a real array of shape (n, 3)."""
    if type(output) is np.ndarray:
        _check_array(output, (n, 3), "pack returned an array")
        output = output.tolist()
    if not isinstance(output, list | tuple):
        raise Invalid(f"pack returned {_kind(output)}; return {n} rows [x, y, r]")
    if len(output) != n:
        raise Invalid(f"pack returned {len(output)} rows; return {n}, one per disc")
    return [_disc(row, i) for i, row in enumerate(output)]


def _check_array(array: np.ndarray, shape: tuple[int, ...], what: str) -> None:
    if array.dtype.kind not in "fiu":
        raise Invalid(f"{what} of {array.dtype}; it must hold real numbers")
    if array.shape != shape:
        raise Invalid(f"{what} of shape {array.shape}; it must be {shape}")


def _disc(row: Any, i: int) -> Disc:
    if type(row) is np.ndarray:
        _check_array(row, (3,), f"row {i} is an array")
        row = row.tolist()
    if not isinstance(row, list | tuple) or len(row) != 3:
        raise Invalid(f"row {i} is {_kind(row)}; it must be three numbers [x, y, r]")
    x, y, r = (_number(value, f"{name} of disc {i}") for name, value in zip("xyr", row, strict=True))
    if r < 0.0:
        raise Invalid(f"disc {i} has the negative radius {r!r}")
    return x, y, r


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise Invalid(f"{what} is {_kind(value)}; it must be a real number")
    try:
        number = float(value)
    except OverflowError:
        raise Invalid(f"{what} is too large for a float") from None
    if not math.isfinite(number):
        raise Invalid(f"{what} is {number}; it must be finite")
    return number


def _kind(value: Any) -> str:
    length = f" of length {len(value)}" if isinstance(value, list | tuple | dict | str) else ""
    return f"a value of type {type(value).__name__}{length}"


# ---------------------------------------------------------------- feasibility, exact


def repair(discs: list[Disc]) -> tuple[list[Disc], float]:
    """Returns the feasible discs and what is taken off every radius: the smallest sufficient of SHRINKS.

    Raises Invalid, naming the worst fault, if even the largest does not suffice. No radius falls below 0.
    """
    for shrink in SHRINKS:
        repaired = [(x, y, max(r - shrink, 0.0)) for x, y, r in discs]
        outside, overlapping = faults(repaired)
        if not outside and not overlapping:
            return repaired, shrink
    raise Invalid(_explain(discs, outside, overlapping))


def faults(discs: list[Disc]) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns the discs that leave the square and the pairs that overlap, decided in integers without rounding."""
    exact = [tuple(_scaled(value) for value in disc) for disc in discs]
    outside = [i for i, (x, y, r) in enumerate(exact) if not (r <= min(x, y) and max(x, y) + r <= DENOMINATOR)]
    overlapping = [
        (i, j)
        for (i, (x, y, r)), (j, (u, v, s)) in combinations(enumerate(exact), 2)
        if (x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2
    ]
    return outside, overlapping


def _scaled(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * (DENOMINATOR // denominator)


def _explain(discs: list[Disc], outside: list[int], overlapping: list[tuple[int, int]]) -> str:
    if outside:
        depth, i = max((_protrusion(discs[i]), i) for i in outside)
        return f"disc {i} leaves the square by {depth:.2g} ({len(outside)} of {len(discs)} discs leave it)"
    depth, i, j = max((_overlap(discs[i], discs[j]), i, j) for i, j in overlapping)
    pairs = math.comb(len(discs), 2)
    return f"discs {i} and {j} overlap by {depth:.2g} ({len(overlapping)} of {pairs} pairs overlap)"


def _protrusion(disc: Disc) -> float:
    x, y, r = disc
    return max(r - x, r - y, x + r - 1.0, y + r - 1.0)


def _overlap(a: Disc, b: Disc) -> float:
    return a[2] + b[2] - math.dist(a[:2], b[:2])


# ---------------------------------------------------------------- what a reader wants to know


class Geometry:
    """Measures a feasible packing in floats: contacts, gaps, holes, symmetry. Ranks nothing."""

    def __init__(self, discs: list[Disc]):
        self.discs = np.array(discs)
        self.centres, self.radii = self.discs[:, :2], self.discs[:, 2]
        self.walls = np.hstack([self.centres, 1.0 - self.centres]) - self.radii[:, None]
        distances = np.linalg.norm(self.centres[:, None] - self.centres[None], axis=2)
        self.gaps = distances - self.radii[:, None] - self.radii[None]
        np.fill_diagonal(self.gaps, np.inf)

    @property
    def contacts(self) -> int:
        """Counts touching pairs and touched walls."""
        return int((self.gaps < TOUCH).sum() // 2 + (self.walls < TOUCH).sum())

    @property
    def distinct_radii(self) -> int:
        """Counts radii that differ by more than TOUCH from the next smaller one."""
        return 1 + int((np.diff(np.sort(self.radii)) > TOUCH).sum())

    @property
    def symmetry_error(self) -> float:
        """Returns the mean distance in (x, y, r) to the image under the best of the square's seven symmetries."""
        return min(float(np.mean(self._to_nearest(image))) for image in self._images())

    def _images(self) -> list[np.ndarray]:
        x, y = self.centres.T
        turned = [(x, 1 - y), (1 - x, y), (1 - x, 1 - y), (y, x), (y, 1 - x), (1 - y, x), (1 - y, 1 - x)]
        return [np.column_stack([u, v, self.radii]) for u, v in turned]

    def _to_nearest(self, image: np.ndarray) -> np.ndarray:
        return np.linalg.norm(self.discs[:, None] - image[None], axis=2).min(axis=1)

    def room(self) -> np.ndarray:
        """Returns by how much each disc could grow where it stands, the others unchanged."""
        return np.maximum(np.minimum(self.gaps.min(axis=1), self.walls.min(axis=1)), 0.0)

    def largest_hole(self) -> Disc:
        """Returns about the largest disc that fits between the others, from a grid of 51 x 51 points."""
        ticks = np.linspace(0.0, 1.0, 51)
        points = np.array([(x, y) for x in ticks for y in ticks])
        to_discs = np.linalg.norm(points[:, None] - self.centres[None], axis=2) - self.radii
        free = np.minimum(to_discs.min(axis=1), np.hstack([points, 1.0 - points]).min(axis=1))
        best = int(free.argmax())
        return float(points[best, 0]), float(points[best, 1]), float(free[best])

    def feedback(self, shrink: float) -> str:
        """Returns three to five lines: the sum, what touches, what is loose, where room is wasted."""
        n, radii = len(self.radii), self.radii
        touching = (self.gaps < TOUCH).sum(axis=1) + (self.walls < TOUCH).sum(axis=1)
        x, y, hole = self.largest_hole()
        lines = [
            f"n = {n}: sum of radii {math.fsum(radii):.8f}; smallest {radii.min():.6f}, largest {radii.max():.6f}, "
            f"{self.distinct_radii} distinct.",
            f"{self.contacts} contacts; {int((touching < 3).sum())} discs touch fewer than 3 neighbours or walls "
            "and can move.",
            self._loose_line(),
            f"Waste: {1.0 - math.pi * float(radii @ radii):.1%} of the square is uncovered; the largest hole "
            f"takes a disc of radius about {hole:.3f} at ({x:.2f}, {y:.2f}).",
        ]
        if shrink:
            lines.append(f"Repair: {shrink:.0e} was taken off every radius.")
        return "\n".join(line for line in lines if line)

    def _loose_line(self) -> str:
        room = self.room()
        loose = [i for i in np.argsort(-room, kind="stable") if room[i] > TOUCH]
        if not loose:
            return ""
        worst = "; ".join(
            f"disc {i} at ({x:.3f}, {y:.3f}), r = {r:.4f}, by {room[i]:.4f}"
            for i, (x, y, r) in ((i, self.discs[i]) for i in loose[:3])
        )
        return f"{len(loose)} discs touch nothing and could grow where they stand: {worst}."
