"""Referee of cpp_tsp: draws points, hands them to the candidate's program, recomputes the length of the tour that it printed.

Source of the scale: Beardwood, Halton and Hammersley (1959), "The shortest path through many points": for n uniform points in
an area A the shortest tour tends to a constant times sqrt(n A). Not covered: a program that holds tours of the fixed
instances as tables (the hold-out, other points, shows that), and one that uses several threads within its CPU limit.
"""

from __future__ import annotations

import math
import re
import time
from typing import Any, NamedTuple

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

SIDE = 10**6
LIMIT_S = 2.0  # for one tour, by the scorer's clock
SMALL_N = 100
CENTRES, SPREAD = 20, 25_000  # of the clustered points
NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


class Run(NamedTuple):
    """What the program printed for one instance, and after how long it was all there."""

    printed: Any
    seconds: float


def instances(stage: Stage, rng: np.random.Generator, n: int) -> list[Instance]:
    """Returns the stage's points as the text that the program reads; those of the hold-out are clustered."""
    if not 8 <= n <= 20_000:
        raise ValueError(f"param.n={n}: must be from 8 to 20000")
    count = stage.instances or 1
    if stage.name == "holdout":
        sizes = [max(8, n * (4 + k) // 6) for k in range(count)]
        return [_instance(clustered(rng, size), f"clustered-{size}-{k}") for k, size in enumerate(sizes)]
    size = min(n, SMALL_N) if stage.name == "small" else n
    return [_instance(rng.integers(0, SIDE, (size, 2), endpoint=True), f"uniform-{size}-{k}") for k in range(count)]


def clustered(rng: np.random.Generator, n: int) -> np.ndarray:
    """Returns n points (n, 2) around `CENTRES` uniform centres, rounded to whole numbers within the square."""
    centres = rng.integers(0, SIDE, (CENTRES, 2), endpoint=True)
    offsets = SPREAD * rng.standard_normal((n, 2))
    return np.clip(np.rint(centres[rng.integers(0, CENTRES, n)] + offsets), 0, SIDE).astype(np.int64)


def _instance(points: np.ndarray, name: str) -> Instance:
    lines = [str(len(points)), *(f"{x} {y}" for x, y in points.tolist())]
    return Instance("\n".join(lines) + "\n", secret=points, name=name)


def drive(instance: Instance, candidate: Any) -> Run:
    """Runs the program on one instance and takes its time. Raises Invalid where that is more than the limit."""
    began = time.perf_counter()
    printed = candidate.call("", instance.input)
    seconds = time.perf_counter() - began
    if seconds > LIMIT_S:
        raise Invalid(f"{instance.name}: took {seconds:.2f} s; {LIMIT_S:g} s are allowed for a tour, start included")
    return Run(printed, seconds)


# ---------------------------------------------------------------- the score


def score(instance: Instance, output: Run) -> Result:
    """Returns length / sqrt(n A) of the tour, recomputed from the points."""
    points = instance.secret
    n = len(points)
    tour = parse(output.printed, n)
    edges = lengths(points, tour)
    ratio = math.fsum(edges) / (SIDE * math.sqrt(n))
    share, gain = exchanges(points, tour)
    mean = max(math.fsum(edges) / n, 1.0)
    return Result(
        metrics={"ratio": ratio},
        feedback=(
            f"{instance.name}: length / sqrt(n A) {ratio:.4f} after {output.seconds:.2f} s of {LIMIT_S:g} s. "
            f"{share:.1%} of the edges could be exchanged for shorter ones in pairs (2-opt), the best pair gains "
            f"{gain / mean:.2f} mean edges; the longest edge has {max(edges) / mean:.1f} mean edges."
        ),
        features={"exchangeable": share, "longest_edge": max(edges) / mean, "time_share": output.seconds / LIMIT_S},
    )


def parse(printed: Any, n: int) -> np.ndarray:
    """Returns the tour that was printed as n whole numbers between white space, each of 0 to n - 1 once."""
    if not isinstance(printed, str):
        raise Invalid(
            f"printed a JSON value ({type(printed).__name__}); print {n} whole numbers separated by white space"
        )
    words = printed[: 16 * n + 1024].split()
    if len(printed) > 16 * n + 1024 or len(words) != n:
        raise Invalid(f"printed {len(words)} words in {len(printed)} characters; print {n} numbers and nothing else")
    for k, word in enumerate(words):
        if NUMBER.fullmatch(word) is None:
            raise Invalid(f"word {k} is {word[:20]!r}; it must be a whole number from 0 to {n - 1}")
    tour = np.array(list(map(int, words)), dtype=np.int64)
    if tour.max() >= n:
        k = int(tour.argmax())
        raise Invalid(f"word {k} is {tour[k]}; it must be a whole number from 0 to {n - 1}")
    visits = np.bincount(tour, minlength=n)
    if (visits != 1).any():
        point = int((visits != 1).argmax())
        raise Invalid(f"point {point} is visited {visits[point]} times; every point must be visited exactly once")
    return tour


def lengths(points: np.ndarray, tour: np.ndarray) -> list[float]:
    """Returns the length of each edge, the last one back to the start; each root of a whole number correctly rounded."""
    steps = points[np.roll(tour, -1)] - points[tour]
    return np.sqrt((steps**2).sum(axis=1)).tolist()  # type: ignore[no-any-return]  # sums are below 2^53


def exchanges(points: np.ndarray, tour: np.ndarray) -> tuple[float, float]:
    """Returns the share of edges that a 2-opt move would shorten the tour by exchanging, and the largest gain."""
    ends = points[tour[:2000]].astype(np.float64)  # of long tours a part: the table has n^2 entries
    x, y = ends.T
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    edge = np.diagonal(apart, 1)
    gains = edge[:, None] + edge - apart[:-1, :-1] - apart[1:, 1:]
    np.fill_diagonal(gains, 0.0)
    better = gains > 1e-6
    return float(better.any(axis=1).mean()), max(float(gains.max()), 0.0)
