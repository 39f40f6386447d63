"""The vocabulary: the frozen values that pass between search, proposer, evaluator and population."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Files = Mapping[str, str]
"""A candidate's text: path relative to its root -> content."""


class Status(StrEnum):
    """What became of a candidate; the table in docs/concepts.md says when each applies."""

    OK = "ok"
    REJECTED = "rejected"
    INVALID = "invalid"
    CRASH = "crash"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    LIMIT = "limit"
    BUILD_FAILED = "build_failed"
    EDIT_FAILED = "edit_failed"
    DUPLICATE = "duplicate"
    SUSPECT = "suspect"
    EVALUATOR_ERROR = "evaluator_error"
    INFRA = "infra"
    SKIPPED = "skipped"


# Of several statuses the one that says most about the candidate stands; later in this tuple is worse.
SEVERITY = (
    Status.OK, Status.REJECTED, Status.INVALID, Status.BUILD_FAILED, Status.CRASH, Status.LIMIT, Status.MEMORY, Status.TIMEOUT,
    Status.SUSPECT, Status.EVALUATOR_ERROR, Status.INFRA,
)  # fmt: skip


def worst(statuses: list[Status]) -> Status:
    """Returns the most severe of the statuses of one candidate's instances (`ok` for none)."""
    return max(statuses, key=SEVERITY.index, default=Status.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalRequest:
    """Asks the proposer for one candidate. Everything that was decided is in here, so it is decided once.

    `thresholds` maps a stage to the least score (higher is better) that passes it; `tried` are earlier children of the
    parent, newest last; `parent` is None where a candidate is written from nothing.
    """

    id: int
    island: int
    operator: str
    parent: int | None
    inspirations: tuple[int, ...] = ()
    tried: tuple[int, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    prompt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """Asks for evaluations of a candidate's constants; each trial is a row (candidate, vector, score)."""

    candidate: int
    stage: str
    evaluations: int
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reevaluate:
    """Asks for one more evaluation of a known candidate (a fresh draw, a replicate, a hold-out)."""

    candidate: int
    stage: str
    reason: str


Request = ProposalRequest | TuneRequest | Reevaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change of the search: its place in the run, its kind and the decision with its result."""

    seq: int
    kind: str
    candidate: int | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOutcome:
    """What one stage of the cascade found out about one candidate.

    `metrics` are in their own units; `score` is the primary objective, higher is better, None unless status is ok.
    `seconds` is wall time of the whole stage, `turn_s` the time in the candidate's own turns, `cpu_s` and `memory_mb` its
    processes'. `instances` holds one mapping per instance: name, status, metrics, feedback. `curve` holds what the stage
    reported while it ran: (step, value) pairs. `replicate` counts from 0; `node_class` says what hardware measured it
    (cpu_model, gpu_model), `isolation` at which level.
    """

    stage: str
    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    score: float | None = None
    feedback: str = ""
    features: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    instances: tuple[Mapping[str, Any], ...] = ()
    seconds: float = 0.0
    turn_s: float = 0.0
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    node: str = ""
    node_class: Mapping[str, str] = field(default_factory=dict)
    isolation: str = ""
    replicate: int = 0
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The outcome of running a candidate through the stages; the last finished stage ranks.

    `stderr` is the standard error of the score over the `n` replicates of that stage, None for one.
    """

    status: Status
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    features: Mapping[str, float] = field(default_factory=dict)
    stages: tuple[StageOutcome, ...] = ()
    stderr: float | None = None
    n: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A proposed genome with its lineage, as the population gives it back. Initial programs have origin `initial`."""

    id: int
    status: Status | None
    island: int = 0
    origin: str = "asked"
    operator: str = ""
    parent: int | None = None
    inspirations: tuple[int, ...] = ()
    title: str = ""
    hypothesis: str = ""
    files: Files = field(default_factory=dict)
    score: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    feedback: str = ""
    features: Mapping[str, float] = field(default_factory=dict)
    stage: str = ""
    duplicate_of: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a provider is asked: the rendered text, and the same facts as data for providers that read no prose.

    `blocks` names each part of the text in order (`evolve prompt` counts them). `parent` and `inspirations` are files,
    `editable` the paths that may change, `seed` the run's seed for this candidate. `temperature` stands
    above the provider's own, `max_tokens` below it.
    """

    system: str
    user: str
    blocks: tuple[tuple[str, str], ...] = ()
    operator: str = "diff"
    parent: Files = field(default_factory=dict)
    inspirations: tuple[Files, ...] = ()
    editable: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a provider answered, with what it used; `cost_usd` is None where no price is known."""

    text: str
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float | None = None
