"""Referee of circle packing: parses n discs strictly, repairs rounding, decides feasibility exactly, sums the radii.

Source of the problem: AlphaEvolve (Novikov et al. 2025, arXiv:2506.13131), B.12; of the rectangle: B.13. Nothing that the
candidate says about its own packing is used. Not covered: whether the same program gives the packing again (time limits,
random seeds); so the judged discs are kept as the artifact `packing.json`.
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
Exact = tuple[int, int, int]  # a disc times DENOMINATOR
Box = tuple[np.ndarray, np.ndarray]  # its lower left and upper right corner


def instances(stage: Stage, rng: np.random.Generator, n: int, container: str) -> list[Instance]:
    """Returns the numbers of discs to pack: at most 10 in `small`, other sizes in `holdout`, else n."""
    if n < 1:
        raise ValueError(f"param.n={n}: must be at least 1")
    if container not in CONTAINERS:
        *others, last = CONTAINERS
        raise ValueError(f"param.container={container}: must be {', '.join(others)} or {last}")
    if stage.name == "small":
        sizes = [min(n, SMALL_N)]
    elif stage.name == "holdout":
        sizes = [n + 1 + 3 * k for k in range(stage.instances or 3)]
    else:
        sizes = [n]
    return [Instance(size, name=f"n={size}") for size in sizes]


def score(instance: Instance, output: Any, container: str) -> Result:
    """Returns the sum of the repaired radii. Raises Invalid for anything that is not a packing."""
    shape = CONTAINERS[container]
    discs, shrink = repair(parse(output, instance.input), shape)
    geometry = Geometry(discs, shape)
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


# ---------------------------------------------------------------- containers


class Square:
    """The unit square: says without rounding who leaves it, and measures in floats.

    What the others override. `word` is its name in a sentence, `turns` whether a quarter turn maps it to itself.
    """

    word, turns = "square", True

    def outside(self, discs: list[Exact]) -> list[int]:
        """Returns the discs that leave the container."""
        return [i for i, (x, y, r) in enumerate(discs) if not (r <= min(x, y) and max(x, y) + r <= DENOMINATOR)]

    def explain(self, discs: list[Disc], outside: list[int]) -> str:
        """Says which disc leaves the container by most."""
        depth, i = max((self._protrusion(discs[i]), i) for i in outside)
        return f"disc {i} leaves the {self.word} by {depth:.2g} ({len(outside)} of {len(discs)} discs leave it)"

    def _protrusion(self, disc: Disc) -> float:
        x, y, r = disc
        return max(r - x, r - y, x + r - 1.0, y + r - 1.0)

    def box(self, discs: np.ndarray) -> Box:
        """Returns the box around the container."""
        return np.zeros(2), np.ones(2)

    def walls(self, points: np.ndarray, box: Box) -> np.ndarray:
        """Returns the distances of points from each wall, shape (points, walls)."""
        low, high = box
        return np.hstack([points - low, high - points])

    def area(self, box: Box) -> float:
        return float(np.prod(box[1] - box[0]))


class Rectangle(Square):
    """Any rectangle of perimeter 4 with sides along the axes, anywhere: the box around all discs counts."""

    word, turns = "rectangle", False

    def outside(self, discs: list[Exact]) -> list[int]:
        """Returns the discs on the sides of their box, where its width + height exceeds 2."""
        sides = [(x - r, y - r, -x - r, -y - r) for x, y, r in discs]
        least = [min(ends) for ends in zip(*sides, strict=True)]
        if -sum(least) <= 2 * DENOMINATOR:
            return []
        return [i for i, ends in enumerate(sides) if any(a == b for a, b in zip(ends, least, strict=True))]

    def explain(self, discs: list[Disc], outside: list[int]) -> str:
        low, high = self.box(np.array(discs))
        width, height = high - low
        return (
            f"the box around the discs is {width:.6g} x {height:.6g}: width + height exceeds 2 by "
            f"{width + height - 2.0:.2g} (discs {', '.join(map(str, outside))} are at its sides)"
        )

    def box(self, discs: np.ndarray) -> Box:
        centres, radii = discs[:, :2], discs[:, 2:]
        return (centres - radii).min(axis=0), (centres + radii).max(axis=0)


class Circle(Square):
    """The circle through the unit square's corners: centre (1/2, 1/2), R = sqrt(1/2); so no packing of the square leaves it."""

    word, R = "circle", math.sqrt(0.5)

    def outside(self, discs: list[Exact]) -> list[int]:
        """Returns the discs for which not d + r <= R, d from the centre. Squared twice, for R and d are roots:

        d + r <= R means r <= R and d^2 <= (R - r)^2, that is, 2 r^2 <= 1, a = 1/2 + r^2 - d^2 >= 0 and a^2 >= 2 r^2.
        """
        unit = DENOMINATOR
        found = []
        for i, (x, y, r) in enumerate(discs):
            a = 2 * unit**2 + (2 * r) ** 2 - (2 * x - unit) ** 2 - (2 * y - unit) ** 2  # times 4 unit^2
            if not (2 * r**2 <= unit**2 and a >= 0 and a**2 >= 32 * (r * unit) ** 2):
                found.append(i)
        return found

    def _protrusion(self, disc: Disc) -> float:
        return math.dist(disc[:2], (0.5, 0.5)) + disc[2] - self.R

    def box(self, discs: np.ndarray) -> Box:
        return np.full(2, 0.5 - self.R), np.full(2, 0.5 + self.R)

    def walls(self, points: np.ndarray, box: Box) -> np.ndarray:
        return self.R - np.linalg.norm(points - 0.5, axis=1)[:, None]

    def area(self, box: Box) -> float:
        return math.pi / 2.0


CONTAINERS = {"square": Square(), "rectangle": Rectangle(), "disc": Circle()}


# ---------------------------------------------------------------- feasibility, exact


def repair(discs: list[Disc], shape: Square) -> tuple[list[Disc], float]:
    """Returns the feasible discs and what is taken off every radius: the smallest sufficient of SHRINKS.

    Raises Invalid, naming the worst fault, if even the largest does not suffice. No radius falls below 0.
    """
    for shrink in SHRINKS:
        repaired = [(x, y, max(r - shrink, 0.0)) for x, y, r in discs]
        outside, overlapping = faults(repaired, shape)
        if not outside and not overlapping:
            return repaired, shrink
    raise Invalid(shape.explain(discs, outside) if outside else _explain(discs, overlapping))


def faults(discs: list[Disc], shape: Square) -> tuple[list[int], list[tuple[int, int]]]:
    """Returns the discs that leave the container and the pairs that overlap, decided in integers without rounding."""
    exact = [(_scaled(x), _scaled(y), _scaled(r)) for x, y, r in discs]
    overlapping = [
        (i, j)
        for (i, (x, y, r)), (j, (u, v, s)) in combinations(enumerate(exact), 2)
        if (x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2
    ]
    return shape.outside(exact), overlapping


def _scaled(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * (DENOMINATOR // denominator)


def _explain(discs: list[Disc], overlapping: list[tuple[int, int]]) -> str:
    depth, i, j = max((_overlap(discs[i], discs[j]), i, j) for i, j in overlapping)
    pairs = math.comb(len(discs), 2)
    return f"discs {i} and {j} overlap by {depth:.2g} ({len(overlapping)} of {pairs} pairs overlap)"


def _overlap(a: Disc, b: Disc) -> float:
    return a[2] + b[2] - math.dist(a[:2], b[:2])


# ---------------------------------------------------------------- what a reader wants to know


class Geometry:
    """Measures a feasible packing in floats: contacts, gaps, holes, symmetry. Ranks nothing."""

    def __init__(self, discs: list[Disc], shape: Square):
        self.discs, self.shape = np.array(discs), shape
        self.centres, self.radii = self.discs[:, :2], self.discs[:, 2]
        self.box = shape.box(self.discs)
        self.walls = shape.walls(self.centres, self.box) - self.radii[:, None]
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
        """Returns the mean distance in (x, y, r) to the best image: by a square's seven symmetries, by a rectangle's three."""
        low, high = self.box
        (x, y), (u, v) = (self.centres - low).T, (high - self.centres).T
        images = [(x, v), (u, y), (u, v)] + [(y, x), (y, u), (v, x), (v, u)] * self.shape.turns
        here = np.column_stack([x, y, self.radii])
        return min(self._distance(here, np.column_stack([*image, self.radii])) for image in images)

    def _distance(self, discs: np.ndarray, image: np.ndarray) -> float:
        return float(np.linalg.norm(discs[:, None] - image[None], axis=2).min(axis=1).mean())

    def room(self) -> np.ndarray:
        """Returns by how much each disc could grow where it stands, the others unchanged."""
        return np.maximum(np.minimum(self.gaps.min(axis=1), self.walls.min(axis=1)), 0.0)

    def largest_hole(self) -> Disc:
        """Returns about the largest disc that fits between the others, from a grid of 51 x 51 points."""
        columns, rows = np.linspace(*self.box, 51).T
        points = np.array([(x, y) for x in columns for y in rows])
        to_discs = np.linalg.norm(points[:, None] - self.centres[None], axis=2) - self.radii
        free = np.minimum(to_discs.min(axis=1), self.shape.walls(points, self.box).min(axis=1))
        best = int(free.argmax())
        return float(points[best, 0]), float(points[best, 1]), float(free[best])

    def feedback(self, shrink: float) -> str:
        """Returns three to six lines: the sum, what touches, what is loose, where room is wasted."""
        n, radii = len(self.radii), self.radii
        touching = (self.gaps < TOUCH).sum(axis=1) + (self.walls < TOUCH).sum(axis=1)
        x, y, hole = self.largest_hole()
        lines = [
            f"n = {n}: sum of radii {math.fsum(radii):.8f}; smallest {radii.min():.6f}, largest {radii.max():.6f}, "
            f"{self.distinct_radii} distinct.",
            f"{self.contacts} contacts; {int((touching < 3).sum())} discs touch fewer than 3 neighbours or walls "
            "and can move.",
            self._loose_line(),
            f"Waste: {self._waste():.1%} of the {self.shape.word} is uncovered; the largest hole "
            f"takes a disc of radius about {hole:.3f} at ({x:.2f}, {y:.2f}).",
            self._box_line() if self.shape.word == "rectangle" else "",
        ]
        if shrink:
            lines.append(f"Repair: {shrink:.0e} was taken off every radius.")
        return "\n".join(line for line in lines if line)

    def _waste(self) -> float:
        area = self.shape.area(self.box)
        return 1.0 - math.pi * float(self.radii @ self.radii) / area if area else 1.0

    def _box_line(self) -> str:
        width, height = self.box[1] - self.box[0]
        line = f"The box around the discs is {width:.6f} x {height:.6f}"
        if width + height > 2.0 - TOUCH or not self.radii.any():
            return f"{line}."
        larger = math.fsum(self.radii) * 2.0 / (width + height)
        return f"{line}; enlarged until width + height = 2, the same packing has the sum {larger:.8f}."

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
