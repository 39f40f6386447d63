"""Measures the search alone: processor time of ask + tell and bytes per candidate, by strategy and size of the population."""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from typing import Any

import numpy as np

from evolve.config import build, compose
from evolve.search import Search
from evolve.types import Event, Status

RANKED = ("islands", "tournament", "map_elites", "random")  # flat in the population's size
POOLED = ("clusters", "novelty", "pareto", "lexicase", "nondominated")
INSTANCES = 16
SMALL = 1000
DECIDED = (
    20_000  # the last candidates of a grown search are asked, and migrate; those before are loaded, which is quicker
)


def search_cost(size: int, steps: int = 2000) -> dict[str, Any]:
    """Returns median and 99th percentile of ask + tell, in microseconds, with so many candidates known; bytes for each."""
    found: dict[str, Any] = {}
    for name in (*RANKED, *POOLED):
        before, after = (_timed(_grown(name, known), steps) for known in (min(SMALL, size), size))
        found[name] = {"us": after[0], "p99_us": after[1], "ratio_to_small": after[0] / before[0]}
    found["bytes_per_candidate"] = _bytes(min(size, 100_000))
    return found


def _grown(name: str, size: int) -> Search:
    strategy = build(compose([f"selection={name}", "selection.islands=8"])).search_settings["strategy"]
    search = Search(seed=1, islands=8, strategy=strategy)
    search.tell(search.add("initial", range(8)), Status.OK, 0.0, {}, size=1000)
    rng = np.random.default_rng(1)
    _load(search, size - DECIDED, rng)
    while search.size < size:
        _step(search, rng)
    search.take_events()
    gc.collect()
    return search


def _load(search: Search, size: int, rng: np.random.Generator) -> None:
    """Applies what was stored of so many candidates, each made of one of the last hundred of its island."""
    while search.size < size:
        batch = rng.normal(size=(1000, INSTANCES)).round(3).tolist()
        for values, back in zip(batch, rng.integers(1, 100, size=1000).tolist(), strict=True):
            candidate = search.size + 1
            asked = {"island": candidate % 8, "operator": "diff", "parent": max(1, candidate - 8 * back)}
            search.apply(Event(seq=3 * candidate, kind="asked", candidate=candidate, data=asked))
            search.apply(Event(seq=3 * candidate + 2, kind="told", candidate=candidate, data=_told(values)))


def _told(values: list[float]) -> dict[str, Any]:
    """Returns an outcome; every sixth fails."""
    told: dict[str, Any] = {"status": Status.CRASH, "score": None, "stage_scores": {}}
    if values[0] > -1:
        told |= {"status": Status.OK, "score": sum(values), "vector": values, "objectives": values[:2]}
        told |= {"features": {"x": values[1], "y": values[2]}, "size": 1000 + int(500 * abs(values[0]))}
    return told


def _step(search: Search, rng: np.random.Generator) -> float:
    """Asks and tells once; returns the microseconds of processor time that it took."""
    told = _told(rng.normal(size=INSTANCES).round(3).tolist())
    began = time.thread_time_ns()
    request = search.ask()
    search.tell(request.id, **told)
    taken = (time.thread_time_ns() - began) / 1000
    if request.id % 256 == 0:
        search.take_events()
    return taken


def _timed(search: Search, steps: int) -> tuple[float, float]:
    rng = np.random.default_rng(2)
    taken = [_step(search, rng) for _ in range(steps)]
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def _bytes(size: int) -> float:
    tracemalloc.start()
    search = _grown("islands", size)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / search.size
