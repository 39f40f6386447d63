"""The course of one run: a search that is asked and told by a virtual clock, and the best that it had found by when."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from typing import Any, NamedTuple

from evolve.search import Search
from evolve.search.randomness import generator
from evolve.types import Status
from tests.benchmarks.search_quality.cases import FAILURES, Case, Genome, Outcome

SIGMA = 0.6  # of the logarithm of a proposal's virtual seconds
MOST = 20  # times the candidates of the budget, where its evaluations are not used up before


class Best(NamedTuple):
    """A new best, after so many candidates told and evaluations used."""

    told: int
    evaluations: int
    score: float
    candidate: int


class Course:
    """Runs a search on a case with `slots` proposals at work; `ordered` has its whole window of them."""

    def __init__(self, case: Case, search: Search, slots: int):
        self.curve: list[Best] = []
        self.statuses: Counter[str] = Counter()
        self.evaluations = 0
        self._case, self._search, self._slots = case, search, slots
        self._now = 0.0
        self._known: dict[int, tuple[Genome, Outcome]] = {}
        self._first: dict[Any, int] = {}  # who had a text, or a vector of scores, first
        self._working: list[tuple[float, int, Genome, Outcome, int]] = []

    def run(self, candidates: int, evaluations: int) -> None:
        """Goes on until both are used up."""
        search, arrived = self._search, dict[int, tuple[Genome, Outcome, int]]()
        founder = search.add("initial", range(len(search.islands)))
        self._tell(founder, *self._measured(founder, self._case.initial))
        while search.told < candidates or (self.evaluations < evaluations and search.told < MOST * candidates):
            while search.may_ask() and (search.window or len(self._working) < self._slots):
                self._ask()
            self._now, candidate, *result = heappop(self._working)
            arrived[candidate] = (*result,)
            while ready := [c for c in sorted(arrived) if search.may_tell(c, asking_ended=False)]:
                self._tell(ready[0], *arrived.pop(ready[0]))

    def genome(self, candidate: int) -> Genome:
        return self._known[candidate][0]

    def _ask(self) -> None:
        request = self._search.ask()
        latency = generator(self._search.seed, "latency", request.id).lognormal(sigma=SIGMA)
        try:
            genome = self._case.propose(self._search, request, self._known)
        except FAILURES:
            result = None, Outcome(status=Status.EDIT_FAILED), 0
        else:
            result = self._case.tuned(self._search, request, *self._measured(request.id, genome))
        heappush(self._working, (self._now + latency, request.id, *result))

    def _measured(self, candidate: int, genome: Genome) -> tuple[Genome, Outcome, int]:
        """Returns a genome, what became of it, and how many evaluations that took."""
        if self._first.setdefault(("text", self._case.mark(genome)), candidate) != candidate:
            return genome, Outcome(status=Status.DUPLICATE), 0
        return genome, self._case.evaluate(genome), 1

    def _tell(self, candidate: int, genome: Genome, outcome: Outcome, used: int) -> None:
        search, best = self._search, self._search.best
        self._known[candidate] = genome, outcome
        self.evaluations += used
        self.statuses[outcome.status.value] += 1
        vector = (*outcome.facts.get("vector", ()),)
        first = self._first.setdefault(vector, candidate) if vector else candidate
        behaves_as = None if first == candidate else first
        scores = {} if outcome.score is None else {"main": outcome.score}
        search.tell(candidate, outcome.status, outcome.score, scores, behaves_as=behaves_as, **outcome.facts)
        search.take_events()
        if search.best is not None and search.best != best:
            self.curve.append(Best(search.told, self.evaluations, search.score(search.best), search.best))
