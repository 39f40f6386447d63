"""Several models in one run: each call goes to one of them, drawn by weight."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from evolve import checks
from evolve.errors import UsageError
from evolve.llm.litellm_provider import LiteLLM
from evolve.llm.provider import Provider
from evolve.types import Call, Completion, Prompt

WHOLE = ("concurrency", "evaluation_concurrency", "attempts")  # said once, for all models together


class Ensemble(Provider):
    """A provider that is several; who makes the calls draws a member for each (evolve.runner.lanes).

    `models` has a mapping for each with the keys of llm=litellm and a `weight` (1), or is of (provider, weight) pairs.
    """

    def __init__(
        self,
        models: Sequence[Mapping[str, Any] | tuple[Provider, float]],
        *,
        concurrency: int = 8,
        evaluation_concurrency: int | None = None,
        attempts: int = 5,
    ):
        self.take_slots(concurrency, evaluation_concurrency, attempts)
        if not isinstance(models, list | tuple) or not models:
            raise UsageError(
                f"llm.models={models}: must be a list, for example [{{model: a/b, weight: 0.8}}, {{model: c/d}}]"
            )
        self._members = [m if isinstance(m, tuple) else member(f"llm.models[{i}]", m) for i, m in enumerate(models)]
        self.model = " + ".join(provider.model for provider, _ in self._members)

    def members(self) -> Sequence[tuple[Provider, float]]:
        return self._members

    def refusal(self, paths: Sequence[str]) -> str:
        """Says what the first member says that can't: calls are drawn for each."""
        return next(filter(None, (provider.refusal(paths) for provider, _ in self._members)), "")

    async def start(self) -> None:
        """Starts all; one that is misconfigured fails it."""
        for provider, _ in self._members:  # one after the other: they share the import that takes the time
            await provider.start()

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        raise TypeError("an ensemble makes no call itself; one of its members does")

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns the largest of the members' prices, None where one is unknown."""
        ceilings = [provider.ceiling_usd(prompt) for provider, _ in self._members]
        known = [ceiling for ceiling in ceilings if ceiling is not None]
        return max(known) if len(known) == len(ceilings) else None

    async def close(self) -> None:
        await asyncio.gather(*(provider.close() for provider, _ in self._members))


def member(place: str, entry: object) -> tuple[Provider, float]:
    """Returns the provider and the weight of one entry. Raises UsageError that names the entry's key."""
    if not isinstance(entry, Mapping):
        raise UsageError(f"{place}={entry}: must be a mapping such as {{model: a/b, weight: 0.8}}")
    known = [name for name in inspect.signature(LiteLLM).parameters if name not in WHOLE]
    for key in entry:
        if key in WHOLE:
            raise UsageError(f"{place}.{key}: is of all models together; set llm.{key}")
        if key not in (*known, "weight"):
            near = get_close_matches(str(key), [*known, "weight"], 1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"keys: weight, {', '.join(known)}"
            raise UsageError(f"{place}.{key}: no such key; {hint}")
    weight = entry.get("weight", 1.0)
    checks.number(f"{place}.weight", weight, 0.000001)
    try:
        provider = LiteLLM(**{"model": "", **{key: value for key, value in entry.items() if key != "weight"}})
    except UsageError as error:
        raise UsageError(str(error).replace("llm.", f"{place}.", 1)) from None
    return provider, weight
