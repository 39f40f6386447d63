"""LLM calls: each attempt a durable row before it leaves, its price reserved, retried with back-off, its answer kept.

By which model a call leaves and when is the lanes' (evolve.runner.lanes).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

from evolve.errors import FatalError, ProviderError, TransientError
from evolve.llm.provider import Provider
from evolve.population import digest
from evolve.runner.budget import Budget, Spent
from evolve.runner.lanes import Lanes, Pass
from evolve.runner.meter import Meter
from evolve.search.randomness import generator
from evolve.types import Call, Completion, Prompt

BACKOFF_S = 1.0  # before the second attempt at a call; doubled for each further one
BACKOFF_MOST_S = 60.0
PROPOSE, NOVELTY, EMBED, EVALUATE = "propose", "novelty", "embed", "evaluate"  # what a call is for


class OutOfMoney(Exception):
    """Says that the next call could cost more than is left."""


class Ledger(Protocol):
    """What calls are entered in; `write` resolves when the changes are on the disk. The population's Writer is one."""

    run_id: str

    def write(self, *changes: Any) -> Awaitable[None]: ...

    def call_sent(self, call: int, *, prompt: str, **columns: Any) -> Any: ...

    def call_done(self, call: int, completion: Completion, seconds: float) -> Any: ...

    def call_failed(self, call: int, error: str, seconds: float, reserved_usd: float | None = None) -> Any: ...


class Calls:
    """Makes a run's LLM calls. Belongs to the runner's event loop; `end` lets nothing new leave and wakes what waits.

    `meters` has one for each purpose; identity, money, lanes and what is in flight are common to all. `where` are the words
    by which a command names the run. `outstanding` holds calls that an earlier runner sent and that are awaited on, the ids
    by (candidate, purpose, number, stage, replicate, instance, digest of the prompt); their rows are written already.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        writer: Ledger,
        budget: Budget,
        spent: Spent,
        meters: Mapping[str, Meter],
        may_start: Callable[[], bool],
        last_id: int,
        seed: int,
        note: Callable[[str, str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_paused: Callable[[str | None], None] = lambda reason: None,
        where: str = "",
        outstanding: Mapping[tuple[Any, ...], int] | None = None,
        embedder: Provider | None = None,
    ):
        self._provider, self._writer, self._budget, self._spent = provider, writer, budget, spent
        self._may_start, self._where = may_start, where
        self._meters, self._last_id, self._seed, self._note, self._clock = meters, last_id, seed, note, clock
        told: dict[str, Any] = {"note": note, "on_paused": on_paused, "clock": clock, "sleep": sleep}
        self._lanes = Lanes(provider, seed=seed, **told)
        self._others = {} if embedder is None else {EMBED: Lanes(embedder, seed=seed, **told)}
        self._outstanding = dict(outstanding or {}) if provider.outlives else {}
        self._out = 0
        self._one_ended = asyncio.Event()
        self._ending = {purpose: asyncio.Event() for purpose in meters}

    def end(self, *purposes: str) -> None:
        """Ends the calls of those purposes, or of all."""
        for purpose in purposes or self._ending:
            self._ending[purpose].set()

    def allow(self, budget: Budget, again: bool) -> None:
        """Goes on with another budget; `again` lets calls leave that had ended for want of one."""
        self._budget = budget
        if again:
            for ending in self._ending.values():
                ending.clear()

    async def complete(
        self, candidate: int, prompt: Prompt, number: int = 0, *, purpose: str = PROPOSE, **columns: Any
    ) -> Completion | ProviderError | OutOfMoney | None:
        """Returns the completion, or why there is none; None when the run ends before there is an answer.

        `number` counts the candidate's calls for that purpose; all attempts at one have the same. A proposal's first attempt
        was judged affordable by whoever started it. `columns` are further ones of the call's row.
        """
        row = {"candidate": candidate, "purpose": purpose, "number": number, **columns}
        known = {name: row[name] for name in Call.__dataclass_fields__ if name in row}
        asked = Call(id=0, run=self._writer.run_id, where=self._where, **known)
        ending, lanes = self._ending[purpose], self._others.get(purpose, self._lanes)
        order = lanes.order(candidate, purpose, 0 if prompt.turns else number, prompt)
        fresh, failures = purpose == PROPOSE, 0
        while True:
            by = await lanes.enter(order, prompt, ending)
            if not isinstance(by, Pass):
                return by
            try:
                answer = await self._attempt(lanes, by, prompt, asked, row, fresh)
            finally:
                lanes.leave(by)
            if isinstance(answer, TransientError):
                failures += (counts := lanes.failed(by, asked, answer))
                if failures >= self._provider.attempts:
                    return answer
                await self._back_off(lanes, ending, failures if counts else 0)
            elif not (isinstance(answer, FatalError) and lanes.close(by.lane, answer)):
                return answer
            fresh = False

    async def _attempt(
        self, lanes: Lanes, by: Pass, prompt: Prompt, asked: Call, row: Mapping[str, Any], fresh: bool
    ) -> Completion | ProviderError | OutOfMoney | None:
        """Makes one attempt, once its price is affordable."""
        ceiling = by.lane.provider.ceiling_usd(prompt)
        if not await self._reserve(ceiling):
            return self._out_of_money(ceiling)
        if self._ending[asked.purpose].is_set() or not (fresh or self._may_start()):
            return None
        answer = await self._call(by.lane.provider, prompt, asked, {**row, "reserved_usd": ceiling})
        if isinstance(answer, Completion):
            lanes.answered(by, answer.tokens_in + answer.tokens_out)
        elif not isinstance(answer, TransientError | FatalError):
            lanes.answered(by)
        return answer

    async def _reserve(self, ceiling: float | None) -> bool:
        """Waits for calls in flight to give back what they did not use; False when no call of that price is affordable."""
        while not self._spent.affords(self._budget, ceiling):
            if not self._out:
                return False
            self._one_ended.clear()
            await self._one_ended.wait()
        return True

    async def _call(
        self, provider: Provider, prompt: Prompt, asked: Call, row: Mapping[str, Any]
    ) -> Completion | ProviderError:
        """Makes one attempt: its row is durable before it leaves, its answer before anything is made of it."""
        ceiling = row["reserved_usd"]
        with self._reserved(ceiling):
            call = await self._sent(asked, prompt, {"model": provider.model, **row})
            began = self._clock()
            try:
                with self._meters[asked.purpose].occupied():
                    completion = await provider.complete(prompt, call=call)
            except ProviderError as error:
                if not isinstance(error, FatalError):  # that one ends the run, or its lane, and is told then
                    self._note("llm", f"call {call.id} failed: {error}")
                kept = ceiling if isinstance(error, TransientError) and error.may_be_billed else None
                self._spent.lost_usd += kept or 0.0
                await self._writer.write(self._writer.call_failed(call.id, str(error), self._clock() - began, kept))
                return error
            text = completion.text.encode("utf-8", "replace").decode()  # half a character is no text that can be stored
            completion = replace(completion, text=text, call=call.id)
            self._count(completion)
            await self._writer.write(self._writer.call_done(call.id, completion, self._clock() - began))
            return completion

    async def _sent(self, asked: Call, prompt: Prompt, row: Mapping[str, Any]) -> Call:
        """Returns the attempt's name, once its row is durable; a call that is still awaited has both already."""
        place = (asked.candidate, asked.purpose, asked.number, asked.stage, asked.replicate, asked.instance)
        if (awaited := self._outstanding.pop((*place, digest(prompt.text)), None)) is not None:
            return replace(asked, id=awaited)
        self._last_id += 1
        call = replace(asked, id=self._last_id)
        self._spent.calls += 1
        self._spent.evaluation_calls += call.purpose == EVALUATE
        await self._writer.write(self._writer.call_sent(call.id, prompt=prompt.text, **row))
        return call

    @contextmanager
    def _reserved(self, ceiling: float | None) -> Iterator[None]:
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

    async def _back_off(self, lanes: Lanes, ending: asyncio.Event, failures: int) -> None:
        """Waits before the next attempt: doubling, with jitter. What the provider asks for, and a storm, are the lanes'."""
        if failures:
            jitter = 0.5 + generator(self._seed, "back off", self._last_id).random()
            await lanes.wait(min(BACKOFF_MOST_S, BACKOFF_S * 2 ** (failures - 1)) * jitter, ending)
