"""Drives a search without any I/O: outcomes are a pure function of the candidate's id."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evolve.search import Search, Strategy
from evolve.search.inspirations import BetterAndComplementary
from evolve.search.migration import Migration
from evolve.search.operators import WeightedOperators
from evolve.search.reset import ResetWeakest
from evolve.search.selectors import PowerLaw
from evolve.types import Event, ProposalRequest, Status

OPERATORS = {"diff": 0.6, "rewrite": 0.2, "crossover": 0.2}


@dataclass(frozen=True)
class Outcome:
    status: Status
    score: float | None


Outcomes = Callable[[int], Outcome]


def good(score: float) -> Outcome:
    return Outcome(Status.OK, score)


def outcome(candidate: int) -> Outcome:
    """Returns what becomes of a candidate: a score out of a few, so that equal ones occur; every fifth fails."""
    if candidate % 5 == 4:
        return Outcome(Status.CRASH, None)
    return good(float(candidate * 7919 % 23))


def strategy(migration: Migration | None = None, reset: ResetWeakest | None = None) -> Strategy:
    return Strategy(
        parents=[PowerLaw(exponent=1.0)],
        inspirations=BetterAndComplementary(),
        operators=WeightedOperators(weights=OPERATORS),
        migration=migration,
        reset=reset,
    )


def settings(islands: int = 2, **changes: Any) -> dict[str, Any]:
    return {"seed": 1, "islands": islands, "strategy": strategy(), **changes}


def founded(founders: Sequence[Outcome] = (good(0.0),), **changes: Any) -> Search:
    """Returns a search whose initial programs are told: program i founds the islands i, i + k, ..."""
    search = Search(**settings(**changes))
    for index, found in enumerate(founders):
        candidate = search.add("initial", list(range(index, len(search.islands), len(founders))))
        search.tell(candidate, found.status, found.score, {})
    return search


def tell(search: Search, candidate: int, outcomes: Outcomes = outcome) -> None:
    found = outcomes(candidate)
    scores = {} if found.score is None else {"main": found.score}
    search.tell(candidate, found.status, found.score, scores)


def steps(search: Search, count: int, outcomes: Outcomes = outcome) -> list[ProposalRequest]:
    """Asks and tells in turn; returns what was asked."""
    asked = []
    for _ in range(count):
        request = search.ask()
        asked.append(request)
        tell(search, request.id, outcomes)
    return asked


def unordered(search: Search, budget: int, slots: int, rng: np.random.Generator) -> None:
    """Runs as a runner does: `slots` at work, results arriving in random order, told as soon as they may be."""
    running: list[int] = []
    arrived: set[int] = set()
    while search.asked < budget or running or arrived:
        while search.asked < budget and search.may_ask() and len(running) < slots:
            running.append(search.ask().id)
        if running:
            arrived.add(running.pop(int(rng.integers(len(running)))))
        tell_allowed(search, arrived, ended=search.asked >= budget)


def tell_allowed(search: Search, arrived: set[int], ended: bool) -> None:
    while ready := [candidate for candidate in sorted(arrived) if search.may_tell(candidate, ended)]:
        arrived.remove(ready[0])
        tell(search, ready[0])


def stored(events: Iterable[Event]) -> list[Event]:
    """Returns events as the database gives them back: their data has been JSON."""
    return [
        Event(seq=e.seq, kind=e.kind, candidate=e.candidate, data=json.loads(json.dumps(dict(e.data)))) for e in events
    ]


def plain(events: Iterable[Event]) -> list[tuple[Any, ...]]:
    return [(e.seq, e.kind, e.candidate, json.dumps(dict(e.data), sort_keys=True)) for e in events]
