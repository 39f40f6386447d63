"""The seam to a language model: one method that answers a prompt, and what must be known before money is spent."""

from __future__ import annotations

from typing import Protocol

from evolve.types import Completion, Prompt


class Provider(Protocol):
    """Answers prompts. The runner owns rows, retries, deadlines, budgets and limits; a provider makes one attempt.

    All methods are called from the runner's event loop. `start` is awaited once before the first `complete` and may take
    seconds (imports, models); it must not block the loop. `complete` may run many times at once and must be cancellable.
    """

    model: str
    """The name under which calls are recorded."""
    concurrency: int
    """Proposal slots: how many calls may be out at once."""
    evaluation_concurrency: int
    """Slots for the calls that evaluations make (judges); 0: it has no model for those, evaluator.py's `model` answers."""
    attempts: int
    """How often a call is tried before its candidate ends as `infra`."""

    async def start(self) -> None:
        """Makes ready. Raises FatalError in one line for what no retry mends (a missing key, an unknown model)."""

    async def complete(self, prompt: Prompt, *, call: str) -> Completion:
        """Makes one attempt at answering, marked with the call's id where the transport has room for one.

        Raises TransientError for what may pass and FatalError for what won't; never prints, never retries.
        """

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns the largest price that answering can have (0 for a free model), None where no price is known."""

    async def close(self) -> None:
        """Releases what `start` took."""
