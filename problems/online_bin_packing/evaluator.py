"""Referee of online bin packing: draws the items, asks for scores one item at a time, counts the bins.

Source of the problem: FunSearch (Romera-Paredes et al. 2023, doi:10.1038/s41586-023-06924-6). The simulation lives
here, so a candidate can't see the items to come. It may keep a memory of those that it saw. Not covered: a program that
has learnt the fixed instances by heart; the hold-out, drawn from other seeds and sizes, shows that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

# of the room left in a bin, for the feedback: label, least, most
GAP_CLASSES = (("0", 0, 0), ("1-2", 1, 2), ("3-5", 3, 5), ("6-10", 6, 10), ("11-20", 11, 20), ("21+", 21, 1000))


class Law(NamedTuple):
    """How items are drawn. `plan` maps a stage to its number of instances and their lengths, used in turn."""

    capacity: int
    draw: Callable[[np.random.Generator, int], np.ndarray]
    plan: dict[str, tuple[int, tuple[int, ...]]]


def _weibull(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.clip(np.rint(45.0 * rng.weibull(3.0, count)), 1, 100).astype(np.int64)


def _or_like(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(20, 100, count, endpoint=True)


LAWS = {
    "weibull": Law(100, _weibull, {"small": (2, (500,)), "main": (3, (5000,)), "holdout": (6, (2000, 5000, 10000))}),
    "or": Law(150, _or_like, {"small": (4, (120,)), "main": (20, (500,)), "holdout": (12, (250, 500, 1000))}),
}


def instances(stage: Stage, rng: np.random.Generator, data: str) -> list[Instance]:
    """Returns the stage's instances, drawn one after another; the items are secret, asked for one by one."""
    if data not in LAWS:
        raise ValueError(f"param.data={data}: must be one of {', '.join(LAWS)}")
    law = LAWS[data]
    count, lengths = law.plan.get(stage.name, law.plan["main"])
    chosen = [lengths[k % len(lengths)] for k in range(stage.instances or count)]
    return [
        Instance({"capacity": law.capacity}, secret=law.draw(rng, length).tolist(), name=f"{data}-{length}-{k}")
        for k, length in enumerate(chosen)
    ]


# ---------------------------------------------------------------- the session


def drive(instance: Instance, candidate: Any) -> list[int]:
    """Returns the bin of each item, bins numbered from 0 as they are opened.

    For each item `candidate.priority` gets the room left in every open bin that the item fits into, in order of
    opening, and last an empty bin; the highest score wins, the first of equals.
    """
    capacity, items = instance.input["capacity"], instance.secret
    room = np.full(len(items) + 1, float(capacity))
    opened, placements = 0, []
    for step, item in enumerate(items):
        fitting = np.flatnonzero(room[: opened + 1] >= item)
        bins = room[fitting]
        scores = check_scores(candidate.priority(float(item), bins.copy()), bins, item, step)
        bin_ = int(fitting[scores.argmax()])
        room[bin_] -= item
        opened += bin_ == opened
        placements.append(bin_)
    return placements


def check_scores(scores: Any, bins: np.ndarray, item: int, step: int) -> np.ndarray:
    """Returns the scores as an array. Raises Invalid unless they are one finite real number per bin."""
    where = f"item {step} (size {item}), {len(bins)} bins"
    if isinstance(scores, list | tuple):
        scores = _from_list(scores, where)
    if type(scores) is not np.ndarray:
        raise Invalid(f"{where}: priority returned a value of type {type(scores).__name__}; return one score per bin")
    if scores.dtype.kind not in "fiu":
        raise Invalid(f"{where}: priority returned an array of {scores.dtype}; scores must be real numbers")
    if scores.shape != bins.shape:
        raise Invalid(f"{where}: priority returned scores of shape {scores.shape}; the shape must be {bins.shape}")
    finite = np.isfinite(scores)
    if not finite.all():
        bad = int(finite.argmin())
        raise Invalid(f"{where}: the score of bin {bad} (room {bins[bad]:g}) is {scores[bad]}; scores must be finite")
    return scores


def _from_list(scores: list[Any] | tuple[Any, ...], where: str) -> np.ndarray:
    for value in scores:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise Invalid(f"{where}: a score is of type {type(value).__name__}; scores must be real numbers")
    try:
        return np.array(scores, dtype=np.float64)
    except OverflowError:
        raise Invalid(f"{where}: a score is too large for a float") from None


# ---------------------------------------------------------------- the score


def score(instance: Instance, output: list[int]) -> Result:
    """Returns the excess in percent of a packing, recomputed from the placements."""
    capacity, items = instance.input["capacity"], instance.secret
    room, eager = _replay(items, output, capacity)
    least = math.ceil(sum(items) / capacity)
    excess = 100.0 * (len(room) - least) / least
    return Result(
        metrics={"excess": excess},
        feedback=_feedback(instance.name, len(items), room, least, excess, eager),
        features={
            "full_bins": float(np.mean(room == 0)),
            "mean_gap": float(np.mean(room)) / capacity,
            "eager_openings": eager / len(room),
        },
    )


def _replay(items: list[int], placements: list[int], capacity: int) -> tuple[np.ndarray, int]:
    """Returns the room left in each bin, and how many bins were opened while the item fitted into an open one."""
    if len(placements) != len(items):
        raise Invalid(f"{len(placements)} placements for {len(items)} items")
    room = np.full(len(items), capacity, dtype=np.int64)
    opened = eager = 0
    for step, (item, bin_) in enumerate(zip(items, placements, strict=True)):
        if not 0 <= bin_ <= opened or room[bin_] < item:
            raise Invalid(f"item {step} (size {item}) does not fit into bin {bin_}")
        if bin_ == opened:
            eager += bool((room[:opened] >= item).any())
            opened += 1
        room[bin_] -= item
    return room[:opened], eager


def _feedback(name: str, count: int, room: np.ndarray, least: int, excess: float, eager: int) -> str:
    total = max(int(room.sum()), 1)
    classes = [(label, (room >= low) & (room <= high)) for label, low, high in GAP_CLASSES]
    gaps = "; ".join(
        f"{label}: {int(here.sum())} bins, {int(room[here].sum()) / total:.0%} of the waste" for label, here in classes
    )
    return (
        f"{name}: {count} items in {len(room)} bins, at least {least} are needed: excess {excess:.3f} %. "
        f"{eager} bins were opened though the item fitted into an open one.\nRoom left at the end: {gaps}."
    )
