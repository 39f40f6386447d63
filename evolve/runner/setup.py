"""The setup: the objects that a run is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evolve.llm.provider import Provider
from evolve.problem import Problem
from evolve.proposer import Proposing
from evolve.runner.budget import Budget
from evolve.runner.evaluator import Evaluator
from evolve.runner.fork import Fork
from evolve.runner.replay import Record
from evolve.types import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class Founder:
    """A program that a search begins with: an initial program, or one of an earlier run (origin `warm`)."""

    files: Files
    title: str
    origin: str = "initial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The objects that a run is made of; `evolve.config` builds them."""

    config: Mapping[str, Any]
    words: Sequence[str]
    problem: Problem
    search_settings: Mapping[str, Any]
    provider: Provider
    evaluator: Evaluator
    budget: Budget
    proposing: Proposing = field(default_factory=Proposing)
    record: Record | None = None  # a run that is replayed
    embedder: Provider | None = None
    artifact_mb: float = 200.0
    warm: Sequence[Founder] = ()
    fork: Fork | None = None  # whose history the run begins with

    @property
    def founders(self) -> list[Founder]:
        """Returns the programs that are evaluated before the search begins, initial programs first."""
        initials, several = self.problem.initials, len(self.problem.initials) > 1
        titles = [f"initial program {index}" if several else "initial program" for index in range(1, len(initials) + 1)]
        own = [Founder(files=files, title=title) for files, title in zip(initials, titles, strict=True)]
        return [*own, *self.warm]

    @property
    def came_from(self) -> str:
        """Returns the runs that this one began from, "" for none."""
        return str(self.config.get("fork") or ", ".join(founder.title for founder in self.warm))
