"""A proposal's conversation: which prompt follows from what its drafts came to, and which draft becomes the candidate.

Answer, apply, run the first stage, reply (Shinn et al. 2023, Reflexion; Novikov et al. 2025, AlphaEvolve, 2.2): `refine` does
so whatever the draft came to, the other operators where it failed; `best_of` asks the same several times (best-of-n).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from evolve import checks
from evolve.errors import UsageError
from evolve.types import Files, Prompt, StageOutcome, Status

REPAIRABLE = (
    Status.EDIT_FAILED, Status.DUPLICATE, Status.INVALID, Status.CRASH, Status.TIMEOUT, Status.MEMORY, Status.LIMIT,
    Status.BUILD_FAILED,
)  # fmt: skip
BEST_OF, REFINE = "best_of", "refine"


@dataclass(slots=True, kw_only=True)
class Draft:
    """What one answer was made into. `status` is of what needs no evaluation, `outcome` of the first stage.

    `call` is the id of the call that brought the answer, `number` counts the answers of the proposal from 0.
    """

    number: int
    call: int
    answer: str
    files: Files = field(default_factory=dict)
    title: str = ""
    hypothesis: str = ""
    status: Status | None = None
    reason: str = ""
    duplicate_of: int | None = None
    outcome: StageOutcome | None = None

    @property
    def ended(self) -> Status | None:
        """What became of it; None before its evaluation."""
        return self.status or (self.outcome.status if self.outcome else None)

    @property
    def name(self) -> str:
        """The mark under which its evaluation is stored."""
        return f"turn {self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposing:
    """How proposals are made: one YAML group (`proposer`).

    `turns` is the most calls of one conversation; `drafts` those of `best_of`, with `temperatures` in turn (none: the
    provider's own). `context_tokens` bounds a prompt beyond the parent. A text whose tokens are like those of an earlier
    candidate to the degree of `similarity` (0 to 1) is rejected before its evaluation; null lets it pass. `judge` has the
    model say whether a text that is like another to the degree of `judge_from` is a new idea. `embedding` names a model whose
    vectors are compared as well: one with a cosine of `embedding_similarity` to an earlier one is rejected.
    """

    turns: int = 2
    drafts: int = 3
    temperatures: Sequence[float] = (0.4, 0.8, 1.1)
    context_tokens: int = 12_000
    similarity: float | None = 0.99
    judge: bool = False
    judge_from: float = 0.8
    embedding: Mapping[str, Any] | None = None
    embedding_similarity: float = 0.98

    def __post_init__(self) -> None:
        for name in ("turns", "drafts", "context_tokens"):
            checks.whole(f"proposer.{name}", getattr(self, name), 1)
        checks.flag("proposer.judge", self.judge)
        for name in ("similarity", "judge_from", "embedding_similarity"):
            value = getattr(self, name)
            checks.number(f"proposer.{name}", value, 0.01, or_null=name == "similarity")
            if value is not None and not 0.78 <= value < 1:
                raise UsageError(
                    f"proposer.{name}={value}: must be from 0.78 to below 1, the similarity of equal texts"
                )
        for temperature in self.temperatures:
            checks.number("proposer.temperatures", temperature, 0)

    def most(self, operator: str) -> int:
        """Returns how many calls a proposal may take."""
        return self.drafts if operator == BEST_OF else self.turns

    def wants_outcome(self, operator: str, drafts: Sequence[Draft]) -> bool:
        """Says whether the first stage must be run on the newest draft before it is known what comes next."""
        if drafts[-1].ended is not None:
            return False
        return (
            len(drafts) < self.most(operator)
            or operator == BEST_OF
            or any(draft.ended is Status.OK for draft in drafts)
        )

    def goes_on(self, operator: str, drafts: Sequence[Draft]) -> bool:
        """Says whether one more call follows; every draft that had to be was evaluated."""
        if not drafts:
            return True
        if len(drafts) >= self.most(operator):
            return False
        newest = drafts[-1].ended
        return operator == BEST_OF or newest in REPAIRABLE or (operator == REFINE and newest is Status.OK)

    def next(self, operator: str, first: Prompt, drafts: Sequence[Draft], replies: Sequence[str]) -> Prompt:
        """Returns the prompt of the next call; `replies` has what is said to each draft."""
        if operator == BEST_OF:
            given = self.temperatures
            return replace(first, temperature=given[len(drafts) % len(given)]) if given else first
        turns = tuple((draft.answer, reply) for draft, reply in zip(drafts, replies, strict=True))
        return replace(first, turns=turns)


def chosen(operator: str, drafts: Sequence[Draft]) -> Draft:
    """Returns the draft that becomes the candidate: the last valid one (of `best_of` the best), else the last with files."""
    valid = [draft for draft in drafts if draft.ended in (Status.OK, None)]
    if operator == BEST_OF and valid:
        return max(valid, key=lambda draft: (draft.outcome.score or 0.0) if draft.outcome else float("-inf"))
    having = [draft for draft in drafts if draft.files and draft.status is None]
    return (valid or having or list(drafts))[-1]
