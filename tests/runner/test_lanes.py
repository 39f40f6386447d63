"""Lanes: limits are kept by waiting, storms are sat out, an ensemble's calls find a model that answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from evolve.errors import FatalError, ProviderError, TransientError
from evolve.llm.ensemble import Ensemble
from evolve.llm.provider import Limits
from evolve.llm.scripted import Scripted
from evolve.population import digest
from evolve.runner import calls as calls_module
from evolve.runner.budget import Budget
from evolve.runner.calls import EVALUATE, Calls, OutOfMoney
from evolve.types import Call, Completion, Prompt
from tests.runner.driving import answer, calls, case, turns
from tests.runner.timing import Driven, Time

PROMPT = Prompt(system="", user="x" * 395)  # 100 tokens, with the separator


class Model(Scripted):
    """A model on a driven clock: `seen` has (time, candidate) of each attempt; the first `fails` attempts fail."""

    def __init__(self, fails: Any = 0, *, latency_s: float = 0.0, tokens: int = 10, price: float = 0.0, **limits: Any):
        super().__init__(lambda prompt, call: "ok", model=limits.pop("model", "m"))
        self.limits, self.driven = Limits(**limits), None
        self.seen: list[tuple[float, int]] = []
        self.asked: list[Call] = []
        self._fails, self._latency, self._tokens, self._price = fails, latency_s, tokens, price

    def ceiling_usd(self, prompt: Prompt) -> float:
        return self._price

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        self.seen.append((self.driven.time.now, call.candidate))
        self.asked.append(call)
        if self._latency:
            await self.driven.time.sleep(self._latency)
        self._fail(call)
        return Completion(text="ok", model=self.model, tokens_in=self._tokens, cost_usd=self._price)

    def _fail(self, call: Call) -> None:
        if callable(self._fails):
            if (error := self._fails(call)) is not None:
                raise error
        elif len(self.seen) <= self._fails:
            raise TransientError("503")


def driven(*models: Model, weights: Any = None, **changes: Any) -> Driven:
    pairs = list(zip(models, weights or [1.0] * len(models), strict=True))
    made = Driven(models[0] if len(models) == 1 else Ensemble(pairs), **changes)
    for model in models:
        model.driven = made
    return made


async def all_of(made: Driven, candidates: int, prompt: Prompt = PROMPT) -> list[Any]:
    async with made.time.passing():
        return await asyncio.gather(*(made.calls.complete(i, prompt) for i in range(candidates)))


# ---------------------------------------------------------------- limits


async def test_requests_per_minute_are_kept_by_waiting_in_order_of_arrival():
    model = Model(requests_per_minute=30)
    assert all(isinstance(found, Completion) for found in await all_of(driven(model), 5))
    assert model.seen == [(0.0, 0), (2.0, 1), (4.0, 2), (6.0, 3), (8.0, 4)]


async def test_who_comes_when_a_place_is_free_does_not_go_before_who_waits_for_it():
    model = Model(requests_per_minute=60)
    made = driven(model)
    await made.calls.complete(0, PROMPT)
    waiting = asyncio.create_task(made.calls.complete(1, PROMPT))
    await turns(9)
    made.time.now = 1.0  # it is not awake yet
    late = asyncio.create_task(made.calls.complete(2, PROMPT))
    await turns(9)
    assert len(model.seen) == 1
    async with made.time.passing():
        await asyncio.gather(waiting, late)
    assert model.seen == [(0.0, 0), (1.0, 1), (2.0, 2)]


async def test_tokens_are_reserved_by_an_estimate_and_settled_with_what_was_used():
    prompt = Prompt(system="", user="x" * 395, max_tokens=100)
    together = Model(tokens_per_minute=600, latency_s=1000.0)
    await all_of(driven(together), 3, prompt)
    assert [at for at, _ in together.seen] == [0.0, 20.0, 40.0]  # 200 of 600 each, while nobody knows better
    settled = Model(tokens_per_minute=600, latency_s=5.0, tokens=100)
    await all_of(driven(settled), 3, prompt)
    assert [at for at, _ in settled.seen] == [0.0, 10.0, 20.0]  # it was 100


async def test_an_estimate_above_the_limit_waits_a_minute_and_not_for_ever():
    model = Model(tokens_per_minute=10, tokens=500)
    await all_of(driven(model), 3)
    assert [at for at, _ in model.seen] == [0.0, 60.0, 120.0]


async def test_a_model_without_limits_waits_for_nothing():
    model = Model()
    await all_of(driven(model), 50)
    assert {at for at, _ in model.seen} == {0.0}


# ---------------------------------------------------------------- storms


@pytest.mark.parametrize("together", [2, 8])
async def test_a_storm_costs_no_candidate(together):
    model = Model(fails=40, latency_s=1.0)
    made = driven(model)
    found = await all_of(made, together)
    assert all(isinstance(answer, Completion) for answer in found) and model.attempts == 3
    [reason, none] = made.paused
    assert made.notes.count(("llm", f"paused: {reason}")) == 1
    assert none is None and reason == "no model answers; the next try is in 5 s (503)"
    assert list(made.ledger.ends.values()).count("503") == 40


async def test_probes_are_single_and_further_and_further_apart():
    model = Model(fails=16, latency_s=1.0)
    await all_of(driven(model), 8)
    times = [at for at, _ in model.seen]
    probes = [later - earlier for earlier, later in pairwise(times[7:])]
    assert times[:8] == [0.0] * 8 and probes[:9] == [6.0, 11.0, 21.0, 41.0, 61.0, 61.0, 61.0, 61.0, 61.0]
    assert times[17:] == [times[16] + 1.0] * 7  # the first that is answered lets all the others go


@pytest.mark.parametrize("seconds", [2.0, 60.0])
async def test_what_the_provider_asks_for_holds_the_whole_lane(seconds):
    errors = [TransientError("429", retry_after_s=seconds)]
    model = Model(lambda call: errors.pop() if errors else None)
    made = driven(model)
    async with made.time.passing():
        first = asyncio.create_task(made.calls.complete(1, PROMPT))
        while errors:
            await asyncio.sleep(0)
        await asyncio.gather(first, made.calls.complete(2, PROMPT))
    assert sorted(candidate for _, candidate in model.seen[1:]) == [1, 2]
    assert all(at >= seconds for at, _ in model.seen[1:]) and model.seen[1][0] == pytest.approx(seconds, abs=1.5)
    assert len(made.paused) == (2 if seconds > 5 else 0)


async def test_a_prompt_that_always_fails_ends_alone():
    model = Model(lambda call: TransientError("500") if call.candidate == 1 else None)
    made = driven(model)
    async with made.time.passing():
        assert str(await made.calls.complete(1, PROMPT)) == "500" and len(model.seen) == model.attempts
        assert isinstance(await made.calls.complete(2, PROMPT), Completion)


async def test_a_prompt_that_opens_its_lane_alone_ends_after_the_longest_cool_down():
    model = Model(lambda call: TransientError("500") if call.candidate == 1 else None)
    model.attempts = 5
    made = driven(model)
    async with made.time.passing():
        assert str(await made.calls.complete(1, PROMPT)) == "500" and 130 < made.time.now < 200
        assert isinstance(await made.calls.complete(2, PROMPT), Completion)


async def test_a_probe_that_is_cancelled_lets_another_through():
    model = Model(lambda call: TransientError("503") if len(model.seen) <= 5 else None)
    made = driven(model)
    async with made.time.passing():
        waiting = [asyncio.create_task(made.calls.complete(i, PROMPT)) for i in range(5)]
        while len(model.seen) < 5:
            await asyncio.sleep(0)
        model._latency = 1e6
        while len(model.seen) < 6:
            await asyncio.sleep(0)
        model._latency = 0.0
        probing = model.seen[-1][1]
        waiting[probing].cancel()
        found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for i, answer in enumerate(found) if i != probing] == [Completion] * 4


async def test_the_end_of_a_purpose_ends_its_waiting_at_once():
    made = driven(Model(requests_per_minute=1))
    await made.calls.complete(0, PROMPT)
    judged = asyncio.create_task(made.calls.complete(1, PROMPT, purpose=EVALUATE))
    await asyncio.sleep(0)
    proposed = asyncio.create_task(made.calls.complete(2, PROMPT))  # behind it
    await asyncio.sleep(0)
    made.calls.end("propose")
    assert await asyncio.wait_for(proposed, 1) is None and not judged.done()
    made.calls.end()
    assert await asyncio.wait_for(judged, 1) is None


async def test_the_end_ends_the_waiting_for_a_storm_to_pass():
    made = driven(Model(fails=10**9))
    work = asyncio.gather(*(made.calls.complete(i, PROMPT) for i in range(6)))
    while not made.paused:
        await asyncio.sleep(0)
    made.calls.end()
    assert await asyncio.wait_for(work, 1) == [None] * 6


# ---------------------------------------------------------------- several models


async def test_calls_are_divided_by_weight_whatever_the_order_of_arrival():
    def asked(order: Any) -> dict[int, str]:
        return {row["candidate"]: row["model"] for row in order.ledger.rows.values()}

    forth, back = (driven(Model(model="a"), Model(model="b"), weights=[3.0, 1.0]) for _ in range(2))
    await asyncio.gather(*(forth.calls.complete(i, PROMPT) for i in range(400)))
    await asyncio.gather(*(back.calls.complete(i, PROMPT) for i in reversed(range(400))))
    assert asked(forth) == asked(back)
    assert 270 <= Counter(asked(forth).values())["a"] <= 330
    other = driven(Model(model="a"), Model(model="b"), weights=[3.0, 1.0], seed=2)
    await asyncio.gather(*(other.calls.complete(i, PROMPT) for i in range(400)))
    assert asked(other) != asked(forth)


async def test_a_model_that_does_not_answer_leaves_its_calls_to_the_others():
    down, up = Model(fails=10**9, model="down"), Model(model="up")
    made = driven(down, up)
    async with made.time.passing():
        for i in range(60):
            assert isinstance(await made.calls.complete(i, PROMPT), Completion)
    assert len(down.seen) < 12 and made.paused == []
    assert {made.ledger.rows[call]["model"] for call, end in made.ledger.ends.items() if end == "done"} == {"up"}


async def test_a_fatal_fault_closes_one_lane_and_is_noted_once():
    locked = Model(lambda call: FatalError("the key was refused"), latency_s=1.0, model="locked")
    made = driven(locked, Model(model="open"))
    found = await all_of(made, 20)
    assert all(answer.model == "open" for answer in found)
    assert [text for _, text in made.notes] == ["the key was refused; it is asked no more, the other models are"]
    before = len(locked.seen)
    await all_of(made, 20)
    assert len(locked.seen) == before


async def test_when_all_are_closed_the_call_ends_with_the_fatal_fault():
    made = driven(*(Model(lambda call: FatalError("no key"), model=name) for name in "ab"))
    found = await all_of(made, 4)
    assert {type(answer) for answer in found} == {FatalError}


async def test_of_money_less_than_one_reservation_is_left():
    made = driven(Model(price=1.0, model="a"), Model(price=0.3, model="b"), budget=Budget(usd=10.0))
    found = await all_of(made, 40)
    assert 9.0 < made.spent.cost_usd <= 10.0 and made.spent.held_usd == pytest.approx(0.0)
    assert {type(answer) for answer in found} == {Completion, OutOfMoney}


# ---------------------------------------------------------------- what a call is


async def test_all_attempts_have_the_same_number_and_the_words_that_name_the_run():
    model = Model(fails=2)
    made = driven(model, where="runs/a")
    async with made.time.passing():
        await made.calls.complete(3, PROMPT, 7, purpose=EVALUATE, stage="main", replicate=1, instance=2)
    assert [row["number"] for row in made.ledger.rows.values()] == [7, 7, 7]
    last = model.asked[-1]
    same = (last.candidate, last.purpose, last.number, last.stage, last.replicate, last.instance)
    assert same == (3, EVALUATE, 7, "main", 1, 2)
    assert (last.id, last.where, last.name) == (3, "runs/a", "r/3") and made.spent.evaluation_calls == 3


@pytest.mark.parametrize("outlives", [True, False])
async def test_a_call_that_is_still_awaited_is_neither_written_nor_counted_again(outlives):
    model = Model(fails=1)
    model.outlives = outlives
    place = (3, "propose", 0, "", 0, -1)
    outstanding = {(*place, digest(PROMPT.text)): 4, (*place, digest("what another draft asked there")): 5}
    made = driven(model, last_id=9, outstanding=outstanding)
    async with made.time.passing():
        assert isinstance(await made.calls.complete(3, PROMPT), Completion)
    assert [call.id for call in model.asked] == ([4, 10] if outlives else [10, 11])
    assert list(made.ledger.rows) == ([10] if outlives else [10, 11]) and made.spent.calls == len(made.ledger.rows)
    assert made.ledger.ends[model.asked[-1].id] == "done"


async def test_cached_tokens_are_counted():
    class Cached(Model):
        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            return Completion(text="ok", tokens_in=10, tokens_cached=8)

    made = driven(Cached())
    await all_of(made, 2)
    assert made.spent.tokens_cached == 16


# ---------------------------------------------------------------- whole runs


@pytest.mark.parametrize("window", [None, 4])
async def test_a_run_in_a_storm_ends_with_all_its_candidates(tmp_path, monkeypatch, window):
    time, left = Time(settle_s=0.002), [TransientError("429", retry_after_s=1.0), TransientError("500")] * 15

    def script(prompt: Prompt, call: str) -> str:
        if left and int(call.split("/")[1]) > 5:
            raise left.pop()
        return answer(prompt, call)

    def on_that_clock(**parts: Any) -> Calls:
        return Calls(**{**parts, "clock": time.clock, "sleep": time.sleep})

    monkeypatch.setattr(calls_module, "Calls", on_that_clock)
    stormy = case(tmp_path / "stormy", 20, script=script, window=window)
    async with time.passing():
        ended = await stormy.start()
    assert not left and (ended.state, ended.reason) == ("finished", "budget.candidates is used up")
    found = stormy.status()["candidates"]
    assert found["asked"] == 20 and found["in_flight"] == 0 and "infra" not in found
    assert Counter(row["state"] for row in calls(stormy)) == {"done": 20, "failed": 30}
    if window:
        monkeypatch.undo()
        calm = case(tmp_path / "calm", 20, window=window)
        await calm.start()
        assert calm.export() == stormy.export()


async def test_a_run_whose_prompts_are_refused_is_no_storm(tmp_path):
    run = case(tmp_path, 3, provider=Scripted(_refuse, concurrency=1))
    await run.start()
    assert run.status()["candidates"]["infra"] == 3 and len(calls(run)) == 3


def _refuse(prompt: Prompt, call: str) -> str:
    raise ProviderError("refused by a content policy")
