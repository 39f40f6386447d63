"""Calls that evaluations make: each a durable row, bought once, on slots of its own, within the budget."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from evolve.errors import FatalError, ProviderError, RunError, TransientError
from evolve.llm.scripted import Scripted
from evolve.runner import calls as calls_module
from evolve.runner.budget import Budget
from evolve.runner.calls import EVALUATE
from evolve.types import Call, Completion, Evaluation, Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, answer, calls, case, store_of, value_of


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "BACKOFF_S", 0.0)


def question(prompt: str, n: int = 1, **changes: Any) -> dict[str, Any]:
    place = {"stage": "main", "replicate": 0, "instance": 0, "number": 0}
    asked = {"kind": "llm", "prompts": [prompt], "system": "judge", "n": n, "temperature": None, "max_tokens": None}
    return place | asked | changes


class Judges(Judging):
    """An evaluator whose score is what a model says of the program: it asks each of `questions` (of the text) in turn."""

    def __init__(self, *questions: Any, **changes: Any):
        super().__init__(**changes)
        self.questions = questions or (lambda text: question(f"judge {value_of(text)}", n=2),)
        self.refused: list[str] = []
        self.found: dict[int, StageOutcome] = {}

    async def measure(self, problem, files, *, candidate, replicate, serve, **_: Any) -> StageOutcome:
        """Finds what it found before: a judge that agrees with itself, and is not asked again."""
        if candidate not in self.found:
            await self.evaluate(problem, files, candidate=candidate, on_stage=lambda outcome: None, serve=serve)
        return replace(self.found[candidate], replicate=replicate)

    async def evaluate(self, problem, files, *, candidate, on_stage, serve, done=(), **_: Any) -> Evaluation:
        self.evaluated.append(candidate)
        if done:
            return self._outcome(candidate, done[0])
        answers = []
        try:
            for number, make in enumerate(self.questions):
                answers += await serve({**make(files["initial.py"]), "number": 100 * number}) or ["0"]
        except ProviderError as error:
            self.refused.append(str(error))
            outcome = StageOutcome(stage="main", status=Status.INFRA, feedback=str(error))
        else:
            score = sum(map(float, answers))
            outcome = StageOutcome(stage="main", status=Status.OK, score=score, metrics={"score": score})
        on_stage(outcome)
        return self._outcome(candidate, outcome)

    def _outcome(self, candidate: int, outcome: StageOutcome) -> Evaluation:
        self.found[candidate] = outcome
        same = {name: getattr(outcome, name) for name in ("status", "score", "metrics", "feedback")}
        return Evaluation(stages=(outcome,), **same)


def script(prompt: Prompt, call: str) -> str:
    return prompt.user.split()[-1] if prompt.operator == EVALUATE else answer(prompt, call)


class Priced(Scripted):
    """Costs a cent a call, and may cost two."""

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        return 0.02

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        found = await super().complete(prompt, call=call)
        return Completion(text=found.text, tokens_in=10, tokens_out=5, cost_usd=0.01)


def judged(root: Any, candidates: int = 20, **changes: Any) -> Case:
    parts = {"provider": Scripted(script, concurrency=2), "evaluator": Judges(), **changes}
    return case(root, candidates, **parts)


def judge_rows(run: Case) -> list[Any]:
    return [row for row in calls(run) if row["purpose"] == EVALUATE]


def place(row: Any) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("candidate", "stage", "replicate", "instance", "number"))


async def test_each_call_is_a_row_that_says_where_it_belongs(tmp_path):
    run = judged(tmp_path)
    assert (await run.start()).state == "finished"
    rows = judge_rows(run)
    assert len({place(row) for row in rows}) == len(rows) == 2 * len(run.evaluator.evaluated)
    assert {row["state"] for row in rows} == {"done"} and {place(row)[1:4] for row in rows} == {("main", 0, 0)}
    assert {row["candidate"] for row in rows} == set(run.evaluator.evaluated)  # the initial program's too


async def test_a_row_is_durable_before_its_call_leaves(tmp_path):
    def looking(prompt: Prompt, call: str) -> str:
        if prompt.operator == EVALUATE:
            states.append({row["id"]: row["state"] for row in calls(run)}[int(call.rpartition("/")[2])])
        return script(prompt, call)

    states: list[str] = []
    run = judged(tmp_path, 5, provider=Scripted(looking, concurrency=2))
    await run.start()
    assert len(states) > 5 and set(states) == {"sent"}


async def test_status_counts_them_apart_and_within_the_whole(tmp_path):
    run = judged(tmp_path, provider=Priced(script, concurrency=2))
    await run.start()
    llm, judges = run.status()["llm"], len(judge_rows(run))
    assert llm["calls"] == len(calls(run)) and llm["evaluation"]["calls"] == judges
    assert (
        llm["evaluation"]["cost_usd"] == pytest.approx(0.01 * judges) and llm["evaluation"]["tokens_in"] == 10 * judges
    )
    assert run.screen.runner.spent.evaluation_calls == judges and 0 < run.status()["utilisation"]["judges"] <= 1


async def test_a_run_without_them_shows_none(tmp_path):
    run = case(tmp_path, 3)
    await run.start()
    assert run.status()["llm"]["evaluation"]["calls"] == 0 and "judges" not in run.status()["utilisation"]


@pytest.mark.parametrize(
    ("changes", "calls_made"), [({}, 1), ({"temperature": 0.0}, 1), ({"temperature": 0.5}, 9), ({"n": 2}, 18)]
)
async def test_equal_requests_are_bought_once_unless_they_are_sampled(tmp_path, changes, calls_made):
    evaluator = Judges(lambda text: question("the same 1", **changes), slots=4)
    run = judged(tmp_path, 12, evaluator=evaluator)
    await run.start()
    evaluated = len(evaluator.evaluated)
    assert len(judge_rows(run)) == (1 if calls_made == 1 else calls_made // 9 * evaluated)


async def test_what_is_asked_with_other_words_is_another_request(tmp_path):
    asked = [{}, {"system": "other"}, {"max_tokens": 5}, {"temperature": 0.0}]
    run = judged(tmp_path, 5, evaluator=Judges(*(lambda text, c=change: question("same 1", **c) for change in asked)))
    await run.start()
    assert len(judge_rows(run)) == len(asked)


@pytest.mark.parametrize("moment", [1, 2, 7, 20, 33])
@pytest.mark.parametrize("window", [None, 4])
async def test_killed_at_any_call_it_buys_no_answer_twice(tmp_path, moment, window):
    copies: list[Case] = []
    bought: list[str] = []

    def dying(prompt: Prompt, call: str) -> str:
        if prompt.operator == EVALUATE:
            bought.append(call)
            if len(bought) == moment:
                copies.append(run.snapshot(tmp_path / "killed"))
        return script(prompt, call)

    def judges() -> Judges:
        return Judges(*(lambda text, k=k: question(f"{k} {value_of(text)}", n=2) for k in range(3)))

    run = judged(tmp_path / "whole", 12, provider=Scripted(dying, concurrency=2), evaluator=judges(), window=window)
    assert (await run.start()).state == "finished"
    [copy] = copies
    assert copy.status()["llm"]["evaluation"]["calls"] > 0
    before = {row["id"]: row for row in judge_rows(copy)}
    ended = await copy.resume(provider=Scripted(script, concurrency=2), evaluator=judges())
    assert ended.state == "finished" and copy.status()["candidates"]["asked"] == 12
    done = [place(row) for row in judge_rows(copy) if row["state"] == "done"]
    assert max(Counter(done).values()) == 1 and len(done) == 6 * len({row["candidate"] for row in judge_rows(copy)})
    assert {row["id"] for row in judge_rows(copy) if row["state"] == "lost"} <= set(before)
    if window is not None:
        assert copy.export() == run.export()


async def test_they_have_slots_of_their_own(tmp_path):
    class Peak(Scripted):
        out = peak = 0

        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            judging = prompt.operator == EVALUATE
            self.out += judging
            self.peak = max(self.peak, self.out)
            await asyncio.sleep(0.002)
            self.out -= judging
            return await super().complete(prompt, call=call)

    provider = Peak(script, concurrency=1, evaluation_concurrency=3)
    run = judged(tmp_path, 10, provider=provider, evaluator=Judges(lambda text: question(text, n=8), slots=2))
    run.evaluator.questions = (lambda text: question(f"judge {value_of(text)}", n=8),)
    assert (await run.start()).state == "finished"
    assert provider.peak == 3


async def test_without_room_for_more_than_one_of_anything_nobody_waits_for_ever(tmp_path):
    evaluator = Judges(slots=1)
    evaluator.queue = 1
    run = judged(tmp_path, 50, provider=Scripted(script, concurrency=1, latency_s=0.001), evaluator=evaluator)
    ended = await asyncio.wait_for(run.start(), 60)
    assert ended.state == "finished" and run.status()["candidates"]["asked"] == 50


async def test_money_is_never_exceeded_and_what_it_cut_short_goes_on_with_more(tmp_path):
    run = judged(tmp_path, 200, provider=Priced(script, concurrency=3), budget=Budget(candidates=12, usd=0.3))
    ended = await run.start()
    status = run.status()
    assert ended.state == "finished" and "budget.usd" in ended.reason
    assert 0.25 < status["llm"]["cost_usd"] <= 0.3
    assert "infra" not in status["candidates"] and status["candidates"]["in_flight"] > 0
    assert not any(row["status"] == "infra" for row in store_of(run).evaluation_rows(RUN))
    assert (await run.resume(budget=Budget(candidates=12, usd=9.0))).state == "finished"
    done = [place(row) for row in judge_rows(run) if row["state"] == "done"]
    assert run.status()["candidates"]["in_flight"] == 0 and max(Counter(done).values()) == 1


async def test_other_budgets_end_them_as_well(tmp_path):
    run = judged(tmp_path, provider=Priced(script, concurrency=3), budget=Budget(candidates=30, tokens=450))
    ended = await run.start()
    assert (ended.state, ended.reason) == ("finished", "budget.tokens is used up")
    assert 30 <= run.status()["llm"]["calls"] <= 36 and "infra" not in run.status()["candidates"]


async def test_a_call_that_fails_is_tried_again(tmp_path):
    left = [TransientError("503")] * 2

    def flaky(prompt: Prompt, call: str) -> str:
        if prompt.operator == EVALUATE and left:
            raise left.pop()
        return script(prompt, call)

    run = judged(tmp_path, 3, provider=Scripted(flaky, concurrency=2))
    assert (await run.start()).state == "finished"
    assert Counter(row["state"] for row in judge_rows(run))["failed"] == 2 and not run.evaluator.refused


async def test_a_call_that_brings_nothing_ends_its_candidate_as_infra(tmp_path):
    def refusing(prompt: Prompt, call: str) -> str:
        if prompt.operator == EVALUATE and any(
            row["candidate"] == 3 for row in calls(run)[int(call.split("/")[1]) - 1 :]
        ):
            raise ProviderError("refused by a content policy")
        return script(prompt, call)

    run = judged(tmp_path, 6, provider=Scripted(refusing, concurrency=1))
    assert (await run.start()).state == "finished"
    assert run.status()["candidates"]["infra"] == 1
    assert run.run().candidate(3).feedback == "refused by a content policy"


async def test_a_fatal_error_stops_the_run_and_blames_nobody(tmp_path):
    def locked(prompt: Prompt, call: str) -> str:
        if prompt.operator == EVALUATE and len(run.evaluator.evaluated) > 4:
            raise FatalError("the key was refused")
        return script(prompt, call)

    run = judged(tmp_path, 30, provider=Scripted(locked, concurrency=2))
    ended = await run.start()
    assert (ended.state, ended.reason) == ("failed", "the key was refused")
    assert "infra" not in run.status()["candidates"]
    assert (await run.resume(provider=Scripted(script, concurrency=2))).state == "finished"


async def test_what_a_user_stops_ends_with_its_evaluations(tmp_path):
    def stopping(prompt: Prompt, call: str) -> str:
        if prompt.operator == EVALUATE and len(run.evaluator.evaluated) == 5:
            run.screen.runner.drain()
        return script(prompt, call)

    run = judged(tmp_path, 30, provider=Scripted(stopping, concurrency=2), evaluator=Judges(*Judges().questions * 3))
    assert (await run.start()).state == "interrupted"
    assert run.evaluator.refused == []


async def test_a_provider_without_a_model_makes_no_call(tmp_path):
    run = judged(tmp_path, 5, provider=Scripted(script, concurrency=2, evaluation_concurrency=0))
    assert (await run.start()).state == "finished"
    assert judge_rows(run) == []


async def test_an_initial_program_that_fails_without_a_call_leaves_nothing_behind(tmp_path):
    class Failing(Judges):
        async def evaluate(self, problem, files, *, serve, **_: Any) -> Evaluation:
            assert await serve(question("a")) is None
            return Evaluation(status=Status.CRASH, feedback="boom")

    run = judged(tmp_path, evaluator=Failing(), provider=Scripted(script, evaluation_concurrency=0))
    with pytest.raises(RunError, match="ends as crash: boom"):
        await run.start()
    assert not run.folder.exists()


async def test_an_initial_program_that_waits_for_its_judge_can_be_stopped(tmp_path):
    def pressing(prompt: Prompt, call: str) -> str:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        raise TransientError("503", retry_after_s=60.0)

    run = judged(tmp_path, 3, provider=Scripted(pressing, concurrency=2))
    with pytest.raises(RunError, match="stopped before the initial programs were evaluated"):
        await asyncio.wait_for(run.start(), 20)
    assert (await run.resume(provider=Scripted(script, concurrency=2), evaluator=Judges())).state == "finished"


async def test_an_initial_program_that_fails_after_its_calls_leaves_a_run_that_goes_on(tmp_path):
    def failing(prompt: Prompt, call: str) -> str:
        raise ProviderError("no answer") if len(run.provider.calls) > 1 else TransientError("once")

    run = judged(tmp_path, 5, provider=Scripted(failing, concurrency=2))
    with pytest.raises(RunError, match="the initial program ends as infra: no answer"):
        await run.start()
    ended = await run.resume(provider=Scripted(script, concurrency=2), evaluator=Judges())
    assert ended.state == "finished" and run.status()["candidates"]["asked"] == 5


# ---------------------------------------------------------------- reports


class Reports(Judging):
    """An evaluator that reports the program's value at the steps 1, 3, 9, and ends where it is told to."""

    async def evaluate(self, problem, files, *, candidate, on_stage, serve, **_: Any) -> Evaluation:
        self.evaluated.append(candidate)
        value, status, curve, reason = value_of(files["initial.py"]), Status.OK, [], None
        for step in (1.0, 3.0, 9.0):
            curve.append((step, value))
            reason = await serve(
                {"kind": "report", "stage": "main", "replicate": 0, "instance": 0, "step": step, "value": value}
            )
            if reason:
                status = Status.REJECTED
                break
        score = None if reason else value
        outcome = StageOutcome(stage="main", status=status, score=score, metrics={"score": value}, curve=tuple(curve))
        on_stage(outcome)
        return Evaluation(
            status=status, score=score, metrics={"score": value}, feedback=reason or "", stages=(outcome,)
        )


def reporting(run: Case) -> Case:
    run.problem = run.problem.__class__(
        **{name: getattr(run.problem, name) for name in run.problem.__dataclass_fields__}
        | {"stages": tuple(type(s)(name=s.name, report=True) for s in run.problem.stages)}
    )
    return run


async def test_stages_that_report_are_stopped_early_and_the_rungs_outlive_the_runner(tmp_path):
    run = reporting(case(tmp_path, 40, evaluator=Reports(slots=2)))
    await run.start()
    rejected = [row for row in store_of(run).rows(RUN) if row["status"] == "rejected"]
    assert rejected and "is not among the best 1/3 of the" in rejected[0]["feedback"]
    curve = run.run().shown(rejected[0]["id"])["stages"][0]["curve"]
    assert curve[-1][1] == rejected[0]["metrics"]["score"]
    seen = run.screen.runner.asks._halving._seen
    await run.resume(budget=Budget(candidates=41))
    again = run.screen.runner.asks._halving._seen
    assert all(set(values) <= set(again[key]) for key, values in seen.items())
    assert sum(map(len, again.values())) - sum(map(len, seen.values())) in (0, 1, 2, 3)


async def test_the_lease_is_kept_while_initial_programs_wait_for_their_judge(tmp_path, monkeypatch):
    monkeypatch.setattr("evolve.runner.launch.HEARTBEAT_S", 0.01)
    beats: list[float] = []

    class Patient(Scripted):
        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            while len(set(beats)) < 3 and not self.calls:
                await asyncio.sleep(0.01)
                with contextlib.closing(store_of(run)) as stored:
                    beats.append(stored.run(RUN)["heartbeat_at"])
            return await super().complete(prompt, call=call)

    run = judged(tmp_path, 3, provider=Patient(script, concurrency=2))
    assert (await asyncio.wait_for(run.start(), 30)).state == "finished"
    assert len(set(beats)) >= 3
