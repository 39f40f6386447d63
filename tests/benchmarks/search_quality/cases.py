"""What a run searches: a landscape under the simulated model, or a stage of a problem under the offline proposer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from evolve.errors import EvolveError
from evolve.llm.offline import answer
from evolve.proposer import EditError, Proposing, apply, fingerprint
from evolve.runner.behaviour import facts
from evolve.runner.proposals import first_prompt, needed
from evolve.runner.setup import Setup
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


Known = Mapping[int, tuple[Genome, Outcome]]  # of every candidate that was told


class Case(Protocol):
    """A search space. `propose` raises one of FAILURES where nothing comes of it; equal texts have equal marks."""

    initial: Genome

    def propose(self, search: Search, request: ProposalRequest, known: Known) -> Genome: ...

    def mark(self, genome: Genome) -> Any: ...

    def evaluate(self, genome: Genome) -> Outcome: ...


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


class Offline:
    """A problem's stage, from its first initial program."""

    def __init__(self, setup: Setup, evaluations: Evaluations):
        self._problem, self._evaluations = setup.problem, evaluations
        self._mutations = setup.config["llm"]["mutations"]
        self.initial: Genome = setup.problem.initials[0]

    def propose(self, search: Search, request: ProposalRequest, known: Known) -> Genome:
        shown = {c: Candidate(id=c, status=known[c][1].status, files=known[c][0]) for c in needed(search, request)}
        problem, prompt = self._problem, first_prompt(self._problem, search, request, shown, Proposing())
        text = answer(prompt, self._mutations)
        return apply(text, prompt.parent, problem.edit, entry=problem.entry, operator=prompt.operator).files

    def mark(self, genome: Genome) -> Any:
        return fingerprint(genome)

    def evaluate(self, genome: Genome) -> Outcome:
        found = self._evaluations.run(genome)
        return Outcome(
            status=found.status, score=found.score, facts=facts(self._problem, genome, Evaluation.of([found]))
        )
