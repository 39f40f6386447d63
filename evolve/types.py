"""The vocabulary: the frozen values that pass between search, proposer, evaluator and population."""

from __future__ import annotations

import codecs
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

Files = Mapping[str, str]
"""A candidate's text: path relative to its root -> content."""

HOLDOUT = "holdout"
"""The stage under which the evaluation on the instances kept for the end is stored."""

FINAL = "final"
"""The stage under which the fresh draws of a noisy run's last comparison are stored."""

OUTPUT = "output.msgpack"
"""The artifact that has a candidate's output on an instance, where the problem lends the best one."""

APART = (HOLDOUT, FINAL)
"""What is evaluated when a run has ended: no part of the search, of a prompt or of an export."""


class Status(StrEnum):
    """What became of a candidate; the table in docs/problems.md says when each applies."""

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

    `thresholds` maps a stage to the least score (higher is better) that passes it, `incumbents` a stage that lends the best
    output so far to who has it; `tried` are earlier children of the parent, newest last; `parent` is None where a candidate is
    written from nothing. `tune` says by how many `evaluations` and which `method` its constants are tuned where it scores
    `above` that (None: anything), or is `novel` where that counts.
    """

    id: int
    island: int
    operator: str
    parent: int | None
    inspirations: tuple[int, ...] = ()
    tried: tuple[int, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    incumbents: Mapping[str, int] = field(default_factory=dict)
    prompt: int = 0
    tune: Mapping[str, Any] | None = None


class Event(NamedTuple):
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

    @classmethod
    def of(cls, replicates: Sequence[StageOutcome]) -> Evaluation:
        """Sums up the replicates of one stage: means with the standard error, or the status of the first that failed."""
        shown = next((outcome for outcome in replicates if outcome.status is not Status.OK), replicates[0])
        scores = [outcome.score for outcome in replicates if outcome.score is not None]
        ok, n = shown.status is Status.OK and bool(scores), len(replicates)
        return cls(
            status=shown.status,
            score=sum(scores) / n if ok else None,
            metrics=means([outcome.metrics for outcome in replicates]),
            feedback=shown.feedback,
            features=means([outcome.features for outcome in replicates]),
            stages=tuple(replicates),
            stderr=standard_error(scores) if ok and n > 1 else None,
            n=n,
        )

    def artifacts(self) -> tuple[Artifact, ...]:
        """Returns what the last stage's first replicate left, by name."""
        left = next((o.artifacts for o in self.stages if o.stage == self.stages[-1].stage), {})
        return tuple(Artifact.of(name, body) for name, body in sorted(left.items()))


def standard_error(values: Sequence[float]) -> float:
    """Returns the standard error of the mean of two or more values."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))


def means(mappings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns the mean of each key over the mappings that have it."""
    values = {name: [found[name] for found in mappings if name in found] for found in mappings for name in found}
    return {name: sum(found) / len(found) for name, found in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What an evaluation left besides its metrics: `kind` is text, image or binary, `head` the beginning of a text."""

    name: str
    kind: str
    size: int
    head: str = ""

    HEAD: ClassVar[int] = 1_200  # bytes that are looked at, and kept of a text

    @classmethod
    def of(cls, name: str, body: bytes, size: int | None = None) -> Artifact:
        """Returns an artifact of a body, or of its first HEAD bytes and its size."""
        start, size = body[: cls.HEAD], len(body) if size is None else size
        if start.startswith(IMAGES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
            return cls(name=name, kind="image", size=size)
        try:
            head = codecs.getincrementaldecoder("utf-8")().decode(start)  # the last character may be cut
        except UnicodeDecodeError:
            head = "\0"
        return (
            cls(name=name, kind="binary", size=size)
            if "\0" in head
            else cls(name=name, kind="text", size=size, head=head)
        )


IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A proposed genome with its lineage, as the population gives it back. Initial programs have origin `initial`.

    `artifacts` and `instances` are those of the last stage's first replicate; `turn_s` maps a stage to the seconds of the
    candidate's own turns; `behaves_as` is the first candidate that had the same score on every instance.
    """

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
    stderr: float | None = None
    n: int | None = None
    artifacts: tuple[Artifact, ...] = ()
    instances: tuple[Mapping[str, Any], ...] = ()
    turn_s: Mapping[str, float] = field(default_factory=dict)
    behaves_as: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Says which call of a run this is: `id` counts them all, `number` those of its candidate for one purpose, from 0.

    `run` is the run's id, `where` the words by which a command names the run. `stage`, `replicate` and `instance` (-1: before
    the first) are of a call that an evaluation makes.
    """

    id: int
    run: str = ""
    where: str = ""
    candidate: int = 0
    purpose: str = "propose"
    number: int = 0
    stage: str = ""
    replicate: int = 0
    instance: int = -1

    @property
    def name(self) -> str:
        """What marks the call where its transport has room for a mark."""
        return f"{self.run}/{self.id}"


SEPARATOR = "\n---\n"  # between the parts of a prompt that is one text


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a provider is asked: the rendered text, and the same facts as data for providers that read no prose.

    `turns` are what was answered and replied before in the same conversation: (answer, reply) pairs, the oldest first.
    `blocks` names each part of the text in order (`evolve prompt` counts them). `parent` and `inspirations` are files,
    `feedback` what the parent was told, `editable` the paths that may change, `seed` the run's seed for this candidate.
    `temperature` stands above the provider's own, `max_tokens` below it.
    """

    system: str
    user: str
    turns: tuple[tuple[str, str], ...] = ()
    blocks: tuple[tuple[str, str], ...] = ()
    operator: str = "diff"
    parent: Files = field(default_factory=dict)
    inspirations: tuple[Files, ...] = ()
    feedback: str = ""
    editable: tuple[str, ...] = ()
    seed: tuple[int, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None

    @property
    def text(self) -> str:
        """All of it as one text: the system part, the user part, then each answer and reply."""
        return SEPARATOR.join([self.system, self.user, *(part for turn in self.turns for part in turn)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a provider answered, with what it used; `cost_usd` is None where no price is known.

    `tokens_cached` are those of `tokens_in` that the provider had read before. `call` is the id of the call that brought it.
    """

    text: str
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: float | None = None
    call: int = 0
