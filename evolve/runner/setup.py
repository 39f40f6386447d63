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
from evolve.runner.replay import Record


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
