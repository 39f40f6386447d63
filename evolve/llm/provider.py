"""The seam to a language model: one method that answers a prompt, and what must be known before money is spent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from evolve import checks
from evolve.types import Call, Completion, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much may be asked of a provider; None is no limit. Kept by waiting."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        checks.number("llm.requests_per_minute", self.requests_per_minute, 0.001, or_null=True)
        checks.number("llm.tokens_per_minute", self.tokens_per_minute, 0.001, or_null=True)


class Provider(Protocol):
    """Answers prompts. The runner owns rows, retries, budgets and limits; a provider makes one attempt.

    All methods are called from the runner's event loop. `start` is awaited once before the first `complete` and may take
    seconds (imports, models); it must not block the loop. `complete` may run many times at once and must be cancellable.
    What has a value here is a default for those that inherit.
    """

    model: str
    """The name under which calls are recorded."""
    concurrency: int
    """Proposal slots: how many calls may be out at once."""
    evaluation_concurrency: int
    """Slots for the calls that evaluations make (judges); 0: it has no model for those, evaluator.py's `model` answers."""
    attempts: int = 1
    """How often a call is tried before its candidate ends as `infra`."""
    converses: bool = True
    """Whether it reads prose, and what is replied to an answer; if not, a proposal is one call."""
    edits: str = "diff"
    """The operator that makes small changes best: small models get whole functions right, and diffs almost never."""
    outlives: bool = False
    """Whether a call that was sent may still be answered after the runner has ended: a resume waits for it on."""
    tries: int = 0
    """How many drafts whoever answers may try before, by `evolve try`."""
    limits: Limits = Limits()
    max_tokens: int | None = None
    """The most tokens of an answer; None where it has no known bound."""

    def take_slots(self, concurrency: int, evaluation_concurrency: int | None, attempts: int) -> None:
        """Checks and keeps the keys that most providers have; evaluations have as many slots as proposals unless set."""
        checks.whole("llm.concurrency", concurrency, 1)
        checks.whole("llm.evaluation_concurrency", evaluation_concurrency, 1, or_null=True)
        checks.whole("llm.attempts", attempts, 1)
        self.concurrency, self.attempts = concurrency, attempts
        self.evaluation_concurrency = evaluation_concurrency or concurrency

    async def start(self) -> None:
        """Makes ready. Raises FatalError in one line for what no retry mends (a missing key, an unknown model)."""
        return

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Makes one attempt at answering, marked with the call's name where the transport has room for one.

        Raises TransientError for what may pass and FatalError for what won't; never prints, never retries.
        """
        ...

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns the largest price that answering can have (0 for a free model), None where no price is known."""
        return 0.0

    def refusal(self, paths: Sequence[str]) -> str:
        """Says why it can change no file of these names, and a run is refused before it starts; "" where it can."""
        return ""

    def members(self) -> Sequence[tuple[Provider, float]]:
        """Returns the providers that calls are divided among, each with its weight: itself, unless it is an ensemble."""
        return [(self, 1.0)]

    async def close(self) -> None:
        """Releases what `start` took."""
        return
