"""The runs of the benchmark: what is searched, and one run of a variant."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from evolve import config
from evolve.runner.setup import Setup
from evolve.search import Search
from evolve.search.randomness import generator
from tests.benchmarks.search_quality.cases import Case, Genome, Offline, Simulated
from tests.benchmarks.search_quality.course import Course
from tests.benchmarks.search_quality.inside import Evaluations
from tests.benchmarks.search_quality.landscapes import NK, Landscape, RoyalRoad
from tests.benchmarks.search_quality.model import Model

MODEL = Model()
SLOTS = "llm.concurrency=8"
CONVERSES = ("llm=command", "llm.command=none")  # never called, but all operators are drawn for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """What is searched with how many candidates: a landscape that is drawn for the seed, or one stage of a problem.

    `unit` turns a score (higher is better) into the objective's own value, `holdout` counts the instances kept for the end.
    """

    candidates: int = 200
    words: tuple[str, ...] = CONVERSES
    draw: Callable[..., Landscape] | None = None
    stage: str = "main"
    holdout: int = 0
    unit: int = 1

    @property
    def kind(self) -> str:
        return "landscapes" if self.draw else "problems"


SPACES = {
    "nk": Space(draw=partial(NK, bits=48, k=5)),
    "nk_24": Space(draw=partial(NK, bits=24, k=8)),
    "nk_1000": Space(draw=partial(NK, bits=96, k=7), candidates=1000),
    "royal_road": Space(draw=partial(RoyalRoad, bits=64, block=4)),
    "royal_road_1000": Space(draw=partial(RoyalRoad, bits=160, block=5), candidates=1000),
    "circle_packing": Space(words=("problem=circle_packing", "param.n=10"), holdout=3),
    "online_bin_packing": Space(words=("problem=online_bin_packing",), stage="small", holdout=3, unit=-1),
    "cap_set": Space(words=("problem=cap_set", "param.n=5"), holdout=2),
    "autocorrelation": Space(words=("problem=autocorrelation",), unit=-1),
}


def one(name: str, variant: str, seed: int, evaluations: int) -> dict[str, Any]:
    """Runs a variant once, until the space's candidates and so many evaluations are used up; returns data only."""
    began, setup = time.perf_counter(), _setup(name, variant)
    search = Search(**{**setup.search_settings, "seed": seed})
    course = Course(_case(name, setup, seed), search, setup.provider.concurrency)
    course.run(SPACES[name].candidates, evaluations)
    best = {
        "candidates": [best for best in course.curve if best.told <= SPACES[name].candidates][-1],
        "evaluations": [best for best in course.curve if best.evaluations <= evaluations][-1],
    }
    return {
        "scores": {budget: found.score for budget, found in best.items()},
        "holdout": {budget: _held_out(name, course.genome(found.candidate)) for budget, found in best.items()},
        "curve": course.curve,
        "told": search.told,
        "evaluations": course.evaluations,
        "statuses": course.statuses,
        "seconds": round(time.perf_counter() - began, 3),
    }


def _held_out(name: str, genome: Genome) -> float | None:
    """Returns the score on what the search never sees, None where there is no such thing."""
    return _evaluations(name).run(genome, holdout=True).score if SPACES[name].holdout else None


def _case(name: str, setup: Setup, seed: int) -> Case:
    if SPACES[name].draw is None:
        return Offline(setup, _evaluations(name))
    return Simulated(_landscape(name, seed), MODEL, generator(seed, "initial", 0))


@cache
def _landscape(name: str, seed: int) -> Landscape:
    draw = SPACES[name].draw
    assert draw is not None
    return draw(generator(seed, "landscape", 0))


@cache
def _setup(name: str, variant: str) -> Setup:
    words = [
        *SPACES[name].words,
        SLOTS,
        "selection.tuning=null",
        f"budget.candidates={SPACES[name].candidates}",
        *variant.split(),
    ]
    return config.build(config.compose(words), words)


@cache
def _evaluations(name: str) -> Evaluations:
    return Evaluations(_setup(name, "").problem, SPACES[name].stage, SPACES[name].holdout)
