"""LLM calls: each attempt a durable row before it leaves, its price reserved, retried with back-off, its answer kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from evolve.errors import FatalError, ProviderError, TransientError
from evolve.llm.provider import Provider
from evolve.population import Writer
from evolve.runner.budget import Budget, Spent
from evolve.runner.meter import Meter
from evolve.search.randomness import generator
from evolve.types import Call, Completion, Prompt

BACKOFF_S = 1.0  # before the second attempt at a call; doubled for each further one
BACKOFF_MOST_S = 60.0
PROPOSE, NOVELTY, EVALUATE = "propose", "novelty", "evaluate"  # what a call is for


class OutOfMoney(Exception):
    """Says that the next call could cost more than is left."""


class Calls:
    """Makes a run's LLM calls. Belongs to the runner's event loop; `end` lets nothing new leave and wakes what waits.

    `meters` has one for each purpose; identity, money and what is in flight are common to all.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        writer: Writer,
        budget: Budget,
        spent: Spent,
        meters: Mapping[str, Meter],
        may_start: Callable[[], bool],
        last_id: int,
        seed: int,
        note: Callable[[str, str], None],
        clock: Callable[[], float],
    ):
        self._provider, self._writer, self._budget, self._spent = provider, writer, budget, spent
        self._may_start = may_start
        self._meters, self._last_id, self._seed, self._note, self._clock = meters, last_id, seed, note, clock
        self._out = 0
        self._one_ended = asyncio.Event()
        self._ending = {purpose: asyncio.Event() for purpose in meters}

    def end(self, *purposes: str) -> None:
        """Ends the calls of those purposes, or of all."""
        for purpose in purposes or self._ending:
            self._ending[purpose].set()

    async def complete(
        self, candidate: int, prompt: Prompt, made: int = 0, *, purpose: str = PROPOSE, **columns: Any
    ) -> Completion | ProviderError | OutOfMoney | None:
        """Returns the completion, or why there is none; None when the run ends before there is an answer.

        `made` counts the calls that were made for the candidate before (by a runner that was killed). A proposal's first
        attempt was judged affordable by whoever started it. `columns` are further ones of the call's row.
        """
        error: ProviderError | None = None
        for attempt in range(self._provider.attempts):
            ceiling = self._provider.ceiling_usd(prompt)
            if not await self._reserve(ceiling):
                return self._out_of_money(ceiling)
            fresh = attempt == 0 and purpose == PROPOSE
            if self._ending[purpose].is_set() or not (fresh or self._may_start()):
                return None
            row = {"candidate": candidate, "purpose": purpose, "number": made + attempt, **columns}
            answer = await self._call(prompt, row, ceiling)
            if not isinstance(answer, TransientError):
                return answer
            error = answer
            await self._back_off(purpose, attempt, error)
        return error

    async def _reserve(self, ceiling: float | None) -> bool:
        """Waits for calls in flight to give back what they did not use; False when no call of that price is affordable."""
        while not self._spent.affords(self._budget, ceiling):
            if not self._out:
                return False
            self._one_ended.clear()
            await self._one_ended.wait()
        return True

    async def _call(
        self, prompt: Prompt, columns: Mapping[str, Any], ceiling: float | None
    ) -> Completion | ProviderError:
        """Makes one attempt: its row is durable before it leaves, its answer before anything is made of it."""
        self._last_id += 1
        call = self._last_id
        row = {"model": self._provider.model, "reserved_usd": ceiling, **columns}
        self._spent.evaluation_calls += columns["purpose"] == EVALUATE
        with self._reserved(ceiling):
            await self._writer.write(self._writer.call_sent(call, prompt=prompt.text, **row))
            began = self._clock()
            try:
                with self._meters[columns["purpose"]].occupied():
                    completion = await self._provider.complete(prompt, call=self._named(call, columns))
            except ProviderError as error:
                if not isinstance(error, FatalError):  # that one ends the run, and is told then
                    self._note("llm", f"call {call} failed: {error}")
                kept = ceiling if isinstance(error, TransientError) and error.may_be_billed else None
                self._spent.lost_usd += kept or 0.0
                await self._writer.write(self._writer.call_failed(call, str(error), self._clock() - began, kept))
                return error
            text = completion.text.encode("utf-8", "replace").decode()  # half a character is no text that can be stored
            completion = replace(completion, text=text, call=call)
            self._count(completion)
            await self._writer.write(self._writer.call_done(call, completion, self._clock() - began))
            return completion

    def _named(self, call: int, columns: Mapping[str, Any]) -> Call:
        known = {name: columns[name] for name in Call.__dataclass_fields__ if name in columns}
        return Call(id=call, run=self._writer.run_id, **known)

    @contextmanager
    def _reserved(self, ceiling: float | None) -> Iterator[None]:
        self._spent.calls += 1
        self._spent.held_usd += ceiling or 0.0
        self._out += 1
        try:
            yield
        finally:
            self._spent.held_usd -= ceiling or 0.0
            self._out -= 1
            self._one_ended.set()

    def _count(self, completion: Completion) -> None:
        self._spent.cost_usd += completion.cost_usd or 0.0
        self._spent.unpriced += completion.cost_usd is None
        self._spent.tokens_in += completion.tokens_in
        self._spent.tokens_out += completion.tokens_out
        self._spent.tokens_cached += completion.tokens_cached

    def _out_of_money(self, ceiling: float | None) -> OutOfMoney:
        left = (self._budget.usd or 0.0) - self._spent.cost_usd - self._spent.lost_usd
        price = "of no known price (set llm.price)" if ceiling is None else f"of up to {ceiling:.4f} dollars"
        return OutOfMoney(f"budget.usd: {left:.4f} dollars are left, the next call is one {price}")

    async def _back_off(self, purpose: str, attempt: int, error: TransientError) -> None:
        """Waits before the next attempt: doubling, with jitter, at least what the provider asked for."""
        if attempt + 1 < self._provider.attempts:
            jitter = 0.5 + generator(self._seed, "back off", self._last_id).random()
            wait = min(BACKOFF_MOST_S, BACKOFF_S * 2**attempt) * jitter
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending[purpose].wait(), max(wait, error.retry_after_s or 0.0))
