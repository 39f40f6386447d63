"""What a model's tokens cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evolve.types import Prompt

TEMPLATE_TOKENS = 256
"""More than a chat template puts around a prompt's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A model's entry in litellm's price table, in US dollars per token; empty where the model is unknown.

    `service_tier` is the one that is asked for; an entry has steps by prompt size and prices by tier.
    """

    table: Mapping[str, Any] = field(default_factory=dict)
    service_tier: str | None = None

    @classmethod
    def per_mtok(cls, *, input_usd_per_mtok: float, output_usd_per_mtok: float) -> Price:
        """Returns a flat price per million tokens."""
        return cls(
            table={"input_cost_per_token": input_usd_per_mtok / 1e6, "output_cost_per_token": output_usd_per_mtok / 1e6}
        )

    def usd(self, tokens_in: int, tokens_out: int) -> float | None:
        """Returns the most that so many tokens cost, None where no price is known."""
        rate_in, rate_out = self._rate("input", tokens_in), self._rate("output", tokens_in)
        return None if rate_in is None or rate_out is None else tokens_in * rate_in + tokens_out * rate_out

    def ceiling_usd(self, prompt: Prompt, max_tokens: int | None) -> float | None:
        """Returns the most that answering a prompt can cost; without `max_tokens` the model's own limit is taken."""
        limit = max_tokens or self.table.get("max_output_tokens")
        if limit is None:  # no bound on the answer, which matters only where answers cost something
            return self.usd(tokens_bound(prompt), 0) if self._rate("output", 0) == 0 else None
        return self.usd(tokens_bound(prompt), limit)

    def _rate(self, side: str, tokens_in: int) -> float | None:
        """Returns the highest price that may apply to a prompt of that size."""
        key = re.compile(rf"{side}_cost_per_(?:reasoning_)?token(?:_above_(\d+)k_tokens)?(?:_(\w+))?")
        found = [step[f"{side}_cost_per_token"] for step in self.table.get("tiered_pricing", ())]
        for name, value in self.table.items():
            match = key.fullmatch(name)
            if match and tokens_in >= 1000 * int(match[1] or 0) and match[2] in (None, self.service_tier):
                found.append(value)
        return max((float(value) for value in found if value is not None), default=None)


def tokens_bound(prompt: Prompt) -> int:
    """Returns a number of tokens that the prompt can't exceed: its UTF-8 bytes.

    Bytes are the one count that no byte-level or byte-fallback tokenizer exceeds, whatever the model; a tokenizer at
    hand may be another model's. For code it is three to four times too high, and reserved only while a call runs.
    """
    parts = [prompt.system, prompt.user, *(part for turn in prompt.turns for part in turn)]
    return sum(len(part.encode()) for part in parts) + TEMPLATE_TOKENS * (1 + len(prompt.turns))
