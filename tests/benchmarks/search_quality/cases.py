"""What a run searches: a landscape under the simulated model, or a stage of a problem under the offline proposer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from evolve.errors import EvolveError
from evolve.llm.offline import answer
from evolve.proposer import EditError, Proposing, apply, fingerprint
from evolve.runner.behaviour import facts
from evolve.runner.proposals import first_prompt, needed
from evolve.runner.setup import Setup
from evolve.runner.tuning import Tuning, is_promising
from evolve.search import Search
from evolve.search.randomness import generator
from evolve.types import Candidate, Evaluation, ProposalRequest, Status
from tests.benchmarks.search_quality.inside import Evaluations
from tests.benchmarks.search_quality.landscapes import Landscape, random_genome
from tests.benchmarks.search_quality.model import Model

Genome = Any  # files of a program, or (bits, whether they run)
FAILURES = (EditError, EvolveError)  # of a proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a genome; `score` is higher for the better, `facts` are what else the search is told."""

    status: Status
    score: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


Measured = tuple[Genome, Outcome, int]
Known = Mapping[int, tuple[Genome, Outcome]]  # of every candidate that was told


class Case(Protocol):
    """A search space. `propose` raises one of FAILURES where nothing comes of it; equal texts have equal marks."""

    initial: Genome

    def propose(self, search: Search, request: ProposalRequest, known: Known) -> Genome: ...

    def mark(self, genome: Genome) -> Any: ...

    def evaluate(self, genome: Genome) -> Outcome: ...

    def tuned(self, search: Search, request: ProposalRequest, genome: Genome, outcome: Outcome, used: int) -> Measured:
        """Tunes a child's constants where the request says so; returns what it became, and all evaluations used."""


class Simulated:
    """A landscape, from a genome drawn at random."""

    def __init__(self, landscape: Landscape, model: Model, rng: np.random.Generator):
        self._landscape, self._model = landscape, model
        self.initial: Genome = random_genome(rng, landscape.bits), True

    def propose(self, search: Search, request: ProposalRequest, known: Known) -> Genome:
        rng = generator(search.seed, "propose", request.id)
        parent, *others = (known[c][0][0] for c in (request.parent or 1, *request.inspirations))
        return self._model.propose(self._landscape, request.operator, parent, others, rng)

    def mark(self, genome: Genome) -> Any:
        return genome

    def evaluate(self, genome: Genome) -> Outcome:
        bits, runs = genome
        if not runs:
            return Outcome(status=Status.CRASH)
        half = self._landscape.bits // 2
        upper, lower = ((part & (1 << half) - 1).bit_count() / half for part in (bits >> half, bits))
        facts = {
            "vector": self._landscape.parts(bits),
            "features": {"upper": upper, "lower": lower},
            "size": bits.bit_count(),
        }
        return Outcome(status=Status.OK, score=self._landscape.score(bits), facts=facts)

    def tuned(self, search: Search, request: ProposalRequest, genome: Genome, outcome: Outcome, used: int) -> Measured:
        return genome, outcome, used  # bits have no constants


class Offline:
    """A problem's stage, from its first initial program."""

    def __init__(self, setup: Setup, evaluations: Evaluations):
        self._problem, self._evaluations = setup.problem, evaluations
        self._mutations = setup.config["llm"]["mutations"]
        self.initial: Genome = setup.problem.initials[0]

    def propose(self, search: Search, request: ProposalRequest, known: Known) -> Genome:
        shown = {c: Candidate(id=c, status=known[c][1].status, files=known[c][0]) for c in needed(search, request)}
        problem, prompt = (
            self._problem,
            first_prompt(self._problem, search, request, shown, Proposing(), converses=False),
        )
        text = answer(prompt, self._mutations)
        return apply(text, prompt.parent, problem.edit, entry=problem.entry, operator=prompt.operator).files

    def mark(self, genome: Genome) -> Any:
        return fingerprint(genome)

    def evaluate(self, genome: Genome) -> Outcome:
        found = self._evaluations.run(genome)
        return Outcome(
            status=found.status, score=found.score, facts=facts(self._problem, genome, Evaluation.of([found]))
        )

    def tuned(self, search: Search, request: ProposalRequest, genome: Genome, outcome: Outcome, used: int) -> Measured:
        before = Evaluation(status=outcome.status, score=outcome.score)
        if not is_promising(request.tune, before, lambda: False):
            return genome, outcome, used
        run, rng = self._evaluations.run, generator(search.seed, "tuning", request.id)
        before = Evaluation.of([replace(run(genome), stage="")])  # the same again, as a runner has it
        how = {"method": request.tune["method"], "most": request.tune["evaluations"], "rng": rng, "stored": {}}
        tuning = Tuning.begun(genome, self._problem.edit, "", before, **how)
        while tuning is not None and (trials := tuning.next()):
            for number, vector in trials.items():
                tuning.take(number, run(tuning.text(vector)).score)
        if tuning is None:
            return genome, outcome, used
        if tuning.improved:
            tuning.after = Evaluation.of([run(tuning.files)])
        told = self.evaluate(tuning.files) if tuning.won else outcome
        found = tuning.facts(Evaluation(status=told.status, score=told.score))
        told = replace(told, facts={**told.facts, "tuned": found})
        return tuning.files if tuning.won else genome, told, used + tuning.trials + tuning.improved
