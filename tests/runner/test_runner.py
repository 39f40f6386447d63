"""The runner: budgets, retries, faults, and one way to stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from evolve.errors import FatalError, ProviderError, RunError, TransientError, UsageError
from evolve.llm.scripted import Scripted
from evolve.runner import calls as calls_module
from evolve.runner.budget import Budget, Spent
from evolve.types import Call, Completion, Prompt, StageOutcome, Status
from tests.runner.driving import INITIAL, Judging, answer, calls, case, outcomes, rewrite, source, store_of


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_module, "BACKOFF_S", 0.0)


def better(prompt: Prompt, call: str) -> str:
    """Answers with a program that nobody had before."""
    return rewrite(4 * prompt.seed[-1])


class Priced(Scripted):
    """A scripted model with a price: at most `ceiling` a call, in fact `cost`."""

    def __init__(self, script: Any, *, ceiling: float | None, cost: float | None, concurrency: int = 3):
        super().__init__(script, concurrency=concurrency)
        self._ceiling, self._cost = ceiling, cost

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        return self._ceiling

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        found = await super().complete(prompt, call=call)
        return Completion(text=found.text, tokens_in=10, tokens_out=5, cost_usd=self._cost)


def failing(errors: list[Exception], then: Any = better) -> Any:
    """Returns a script that raises the errors first."""
    left = list(errors)

    def script(prompt: Prompt, call: str) -> str:
        if left:
            raise left.pop(0)
        return then(prompt, call)

    return script


# ---------------------------------------------------------------- to the end


@pytest.mark.parametrize("window", [None, 4])
async def test_a_run_ends_with_exactly_its_budget_and_counts_that_add_up(tmp_path, window):
    run = case(tmp_path, 40, window=window)
    ended = await run.start()
    counts = run.status()["candidates"]
    assert (ended.state, ended.reason) == ("finished", "budget.candidates is used up")
    assert counts["asked"] == 40 == sum(n for name, n in counts.items() if name != "asked") and counts["in_flight"] == 0
    assert min(counts[name] for name in ("ok", "crash", "duplicate", "edit_failed")) > 0


async def test_the_screen_is_told_the_same_counts_as_the_status(tmp_path):
    run = case(tmp_path, 30)
    await run.start()
    shown = {str(status): n for status, n in run.screen.runner.counts.items()}
    assert shown == {k: n for k, n in run.status()["candidates"].items() if k not in ("asked", "in_flight")}


async def test_the_best_is_better_than_the_initial_program_and_its_files_are_there(tmp_path):
    run = case(tmp_path, 30)
    await run.start()
    best = run.run().best()
    assert best.score > 0 and best.id == run.status()["best"]["id"]
    assert (run.folder / "best" / "initial.py").read_text() == best.files["initial.py"]


async def test_every_arrow_of_a_lifecycle_is_stored(tmp_path):
    run = case(tmp_path, 1, script=better)
    await run.start()
    found, store = run.run().candidate(2), store_of(run)
    assert (found.status, found.score, found.title, found.parent) == (Status.OK, 8.0, "return 8", 1)
    kinds = [event.kind for event in store.events(run.run().run_id)]
    assert kinds == ["added", "proposed", "told", "asked", "proposed", "told"]
    [call] = calls(run)
    assert (call["candidate"], call["state"], call["number"]) == (2, "done", 0)
    assert [row["stage"] for row in store.evaluation_rows(run.run().run_id, 2)] == ["small", "main", "main"]


async def test_a_call_carries_its_rows_id(tmp_path):
    run = case(tmp_path, 5)
    await run.start()
    assert run.provider.calls == [f"tiny-1/{call['id']}" for call in calls(run)]


async def test_a_row_is_durable_before_its_call_leaves(tmp_path):
    def script(prompt: Prompt, call: str) -> str:
        states.append({row["id"]: row["state"] for row in calls(run)}[int(call.rpartition("/")[2])])
        return better(prompt, call)

    states: list[str] = []
    run = case(tmp_path, 5, script=script)
    await run.start()
    assert states == ["sent"] * 5


async def test_a_budget_of_nothing_evaluates_the_initial_program_alone(tmp_path):
    run = case(tmp_path, 0)
    assert (await run.start()).state == "finished"
    assert run.run().best().id == 1 and run.provider.calls == []


async def test_a_budget_of_evaluations_counts_stages(tmp_path):
    run = case(tmp_path, script=better, budget=Budget(candidates=None, evaluations=12))
    assert (await run.start()).reason == "budget.evaluations is used up"
    assert 12 <= len(store_of(run).evaluation_rows(run.run().run_id)) <= 12 + 2 * 8


async def test_a_budget_of_tokens_ends_the_calls(tmp_path):
    provider = Priced(better, ceiling=0.0, cost=0.0)
    run = case(tmp_path, provider=provider, budget=Budget(candidates=None, tokens=150))
    assert (await run.start()).reason == "budget.tokens is used up"
    assert 10 <= len(provider.calls) <= 12  # those in flight when the tenth ended


async def test_a_budget_of_seconds_ends_the_run(tmp_path):
    run = case(tmp_path, script=better, budget=Budget(candidates=None, seconds=0.3))
    assert (await run.start()).reason == "budget.seconds is used up"


# ---------------------------------------------------------------- money


@pytest.mark.parametrize(("ceiling", "cost"), [(0.5, 0.5), (0.5, 0.125), (0.75, 0.25), (1.0, 0.0)])
async def test_money_is_never_exceeded_and_used_as_far_as_it_goes(tmp_path, ceiling, cost):
    run = case(
        tmp_path, provider=Priced(better, ceiling=ceiling, cost=cost), budget=Budget(candidates=30, usd=3.0)
    )  # fmt: skip
    assert (await run.start()).state == "finished"
    spent = run.status()["llm"]["cost_usd"]
    asked = run.status()["candidates"]["asked"] - run.status()["candidates"]["in_flight"]
    assert spent <= 3.0 and (spent + ceiling > 3.0 or asked == 30)


async def test_a_call_that_is_not_affordable_is_never_made(tmp_path):
    run = case(tmp_path, provider=Priced(better, ceiling=5.0, cost=0.1), budget=Budget(candidates=30, usd=3.0))
    ended = await run.start()
    assert ended.reason == "budget.usd: 3.0000 dollars are left, the next call is one of up to 5.0000 dollars"
    assert run.provider.calls == []


async def test_a_model_without_a_price_is_refused_under_a_budget_of_money(tmp_path):
    run = case(tmp_path, provider=Priced(better, ceiling=None, cost=None), budget=Budget(candidates=30, usd=3.0))
    with pytest.raises(UsageError, match=r"scripted has no known price; set llm\.price="):
        await run.start()
    assert not run.folder.exists()


async def test_without_a_price_the_cost_is_unknown_and_not_zero(tmp_path):
    run = case(tmp_path, 3, provider=Priced(better, ceiling=None, cost=None))
    await run.start()
    assert run.status()["llm"]["cost_usd"] is None


def test_lost_and_held_money_counts_as_spent():
    spent = Spent(cost_usd=1.0, held_usd=0.5, lost_usd=0.5)
    assert spent.affords(Budget(usd=3.0), 1.0) and not spent.affords(Budget(usd=3.0), 1.1)
    assert spent.affords(Budget(), None) and not spent.affords(Budget(usd=3.0), None)


# ---------------------------------------------------------------- the model fails


async def test_what_passes_is_tried_again_in_a_row_of_its_own(tmp_path):
    run = case(tmp_path, 1, script=failing([TransientError("busy"), TransientError("busy")]))
    await run.start()
    assert [(row["number"], row["state"], row["error"]) for row in calls(run)] == [
        (0, "failed", "busy"), (0, "failed", "busy"), (0, "done", ""),
    ]  # fmt: skip
    assert run.status()["candidates"]["ok"] == 1


async def test_after_the_last_attempt_a_candidate_is_infra(tmp_path):
    run = case(tmp_path, 2, provider=Scripted(failing([TransientError("busy")] * 3), concurrency=1))
    await run.start()
    found = run.run().candidate(2)
    assert (found.status, found.feedback) == (Status.INFRA, "busy")
    assert run.status()["candidates"] == {"infra": 1, "ok": 1, "in_flight": 0, "asked": 2}


async def test_what_neither_passes_nor_is_fatal_is_not_tried_again(tmp_path):
    run = case(tmp_path, 1, script=failing([ProviderError("the prompt is too long")]))
    await run.start()
    assert len(calls(run)) == 1 and run.run().candidate(2).status is Status.INFRA


async def test_five_in_a_row_pause_the_run_and_it_goes_on_afterwards(tmp_path):
    run = case(tmp_path, 20, provider=Scripted(failing([ProviderError("no")] * 5), concurrency=1))
    ended = await run.start()
    assert (ended.state, ended.reason) == ("paused", "5 times in a row infra: no")
    assert (await run.resume()).state == "finished"
    assert run.status()["candidates"]["asked"] == 20


async def test_a_fatal_error_stops_the_run_and_it_goes_on_once_mended(tmp_path):
    run = case(tmp_path, 20, script=failing([FatalError("the key is wrong")]))
    ended = await run.start()
    assert (ended.state, ended.reason) == ("failed", "the key is wrong")
    assert run.run().state() == "failed"
    assert (await run.resume()).state == "finished"
    counts = run.status()["candidates"]
    assert counts["asked"] == 20 and counts["in_flight"] == 0 and "infra" not in counts


async def test_a_fault_in_evolve_fails_the_run_with_what_it_was(tmp_path):
    run = case(tmp_path, 5, script=failing([ZeroDivisionError("oops")]))
    ended = await run.start()
    assert (ended.state, ended.reason) == ("failed", "a fault in Evolve itself: ZeroDivisionError: oops")
    assert isinstance(ended.fault, ZeroDivisionError)


async def test_a_model_that_can_not_start_leaves_nothing_behind(tmp_path):
    class Locked(Scripted):
        async def start(self) -> None:
            raise FatalError("no key")

    run = case(tmp_path, 5, provider=Locked(better))
    with pytest.raises(FatalError, match="no key"):
        await run.start()
    assert not run.folder.exists()


async def test_a_resume_that_can_not_start_may_be_tried_again(tmp_path):
    class Locked(Scripted):
        async def start(self) -> None:
            raise FatalError("no key")

    run = case(tmp_path, 5, script=failing([FatalError("no key")]))
    await run.start()
    with pytest.raises(FatalError, match="no key"):
        await run.resume(provider=Locked(better))
    assert (await run.resume(provider=Scripted(better))).state == "finished"


async def test_a_completion_that_utf8_can_not_hold_is_no_end_of_the_run(tmp_path):
    run = case(tmp_path, 2, provider=Scripted(["a broken emoji \ud83d", rewrite(4)], concurrency=1))
    assert (await run.start()).state == "finished"
    assert run.status()["candidates"]["asked"] == 2


# ---------------------------------------------------------------- candidates that need no evaluation


async def test_a_program_seen_before_is_not_evaluated_and_names_the_first(tmp_path):
    run = case(tmp_path, 3, provider=Scripted(lambda p, _: rewrite(4, f"  # {p.seed}"), concurrency=1))
    await run.start()
    found = [run.run().candidate(candidate) for candidate in (2, 3, 4)]
    assert [c.status for c in found] == [Status.OK, Status.DUPLICATE, Status.DUPLICATE]
    assert [c.duplicate_of for c in found] == [None, 2, 2] and run.evaluator.evaluated == [1, 2]


async def test_the_initial_program_is_a_program_seen_before(tmp_path):
    run = case(tmp_path, 1, script=lambda *_: f"```python\n# the same\n{INITIAL}```\n")
    await run.start()
    assert run.run().candidate(2).duplicate_of == 1


async def test_an_answer_without_an_edit_is_told_with_the_reason_and_not_evaluated(tmp_path):
    run = case(tmp_path, 1, script=lambda *_: "TITLE: none\nI would rather not.")
    await run.start()
    found = run.run().candidate(2)
    assert found.status is Status.EDIT_FAILED and "neither a SEARCH/REPLACE block nor a fenced file" in found.feedback
    assert found.files == {} and run.evaluator.evaluated == [1]


async def test_a_candidate_of_a_later_prompt_is_told_what_was_tried(tmp_path):
    run = case(tmp_path, 2, provider=Scripted(lambda *_: "TITLE: refuse\nno", concurrency=1), seed=3)
    await run.start()
    assert "## Already tried from this parent\n\n- candidate 2: edit_failed" in run.provider.prompts[1].user


# ---------------------------------------------------------------- evaluations that fail


def broken(text: str) -> list[StageOutcome]:
    if text == INITIAL:
        return outcomes(text)
    return [StageOutcome(stage="small", status=Status.EVALUATOR_ERROR, feedback="Traceback\nKeyError: 'x'")]


async def test_five_faults_of_the_evaluator_in_a_row_pause_the_run(tmp_path):
    run = case(tmp_path, 30, provider=Scripted(better, concurrency=1), evaluator=Judging(1, broken))
    ended = await run.start()
    assert (ended.state, ended.reason) == ("paused", "5 times in a row evaluator_error: KeyError: 'x'")
    assert ("evaluator_error", "candidate 2: KeyError: 'x'") in run.screen.notes
    assert (await run.resume(evaluator=Judging())).state == "finished"


async def test_an_initial_program_that_fails_starts_no_run(tmp_path):
    crash = StageOutcome(stage="small", status=Status.CRASH, feedback="Traceback\nNameError: x")
    run = case(tmp_path, 30, evaluator=Judging(judge=lambda _: [crash]))
    with pytest.raises(RunError, match="the initial program ends as crash: NameError: x; 'evolve check tiny'"):
        await run.start()
    assert not run.folder.exists()


async def test_islands_start_from_different_formulations_and_one_that_fails_does_no_harm(tmp_path):
    run = case(tmp_path, 10, script=better)
    run.problem = replace(run.problem, initials=({"initial.py": source(3.0)}, {"initial.py": source(1.0)}))  # 3 crashes
    assert (await run.start()).state == "finished"
    found = run.run().store.candidates(run.run().run_id)
    assert [found[c].status for c in (1, 2)] == [Status.CRASH, Status.OK] and found[3].parent == 2
    assert run.status()["candidates"]["asked"] == 10


async def test_of_more_initial_programs_than_islands_the_one_that_is_ok_has_an_island(tmp_path):
    run = case(tmp_path, 4, script=better)
    texts = [source(3.0), source(7.0), source(1.0)]  # the first two crash
    run.problem = replace(run.problem, initials=tuple({"initial.py": text} for text in texts))
    assert (await run.start()).state == "finished"
    assert run.run().candidate(4).parent == 3


# ---------------------------------------------------------------- stopping


def stopping(run: Any, how: str, at: int) -> Any:
    """Returns a script that stops the run at the n-th call."""

    answered = count(1)

    def script(prompt: Prompt, call: str) -> str:
        if next(answered) == at:
            getattr(run().screen.runner, how)()
        return answer(prompt, call)

    return script


@pytest.mark.parametrize("window", [None, 4])
async def test_a_drained_run_has_settled_all_it_called_for(tmp_path, window):
    run = case(tmp_path, 40, script=stopping(lambda: run, "drain", 10), window=window)
    ended = await run.start()
    assert (ended.state, ended.reason) == ("interrupted", "stopped by the user")
    assert {row["state"] for row in calls(run)} == {"done"}
    counts = run.status()["candidates"]
    assert counts["asked"] == sum(n for name, n in counts.items() if name != "asked")
    called = {row["candidate"] for row in calls(run)}
    assert window or counts["asked"] - counts["in_flight"] == len(called)  # who was asked and not called for waits


@pytest.mark.parametrize("how", ["drain", "halt"])
@pytest.mark.parametrize("window", [None, 4])
async def test_a_stopped_run_goes_on_to_exactly_its_budget(tmp_path, how, window):
    run = case(tmp_path, 40, script=stopping(lambda: run, how, 10), window=window)
    assert (await run.start()).state == "interrupted"
    assert (await run.resume(provider=Scripted(answer, concurrency=3))).state == "finished"
    counts = run.status()["candidates"]
    assert counts["asked"] == 40 and counts["in_flight"] == 0


async def test_a_halted_run_waits_for_nothing(tmp_path):
    async def never(*_: Any, **__: Any) -> Completion:
        run.screen.runner.halt()
        return await asyncio.Event().wait()

    run = case(tmp_path, 40)
    run.provider.complete = never
    assert (await run.start()).state == "interrupted"
    assert {row["state"] for row in calls(run)} == {"sent"}


async def test_a_finished_run_goes_on_with_a_larger_budget(tmp_path):
    run = case(tmp_path, 10)
    await run.start()
    assert (await run.resume(budget=Budget(candidates=25))).state == "finished"
    assert run.status()["candidates"]["asked"] == 25
    assert len({row["id"] for row in calls(run)}) == len(calls(run)) == 25


async def test_a_resume_with_another_budget_is_remembered(tmp_path):
    run = case(tmp_path, 10)
    await run.start()
    await run.resume(budget=Budget(candidates=25))
    assert run.status()["budget"]["candidates"] == 25


async def test_the_time_of_all_resumes_is_counted(tmp_path):
    run = case(tmp_path, 10)
    await run.start()
    before = run.status()["wall_s"]
    await run.resume(budget=Budget(candidates=20))
    assert run.status()["wall_s"] > before


async def test_a_run_is_free_when_it_has_ended(tmp_path):
    run = case(tmp_path, 5)
    await run.start()
    assert run.run().row()["lease_owner"] == ""


async def test_a_run_directory_that_holds_a_run_is_refused(tmp_path):
    run = case(tmp_path, 3)
    await run.start()
    with pytest.raises(RunError, match="holds a run already; 'evolve resume"):
        await run.start()
    assert run.status()["candidates"]["asked"] == 3


async def test_a_second_runner_is_refused_while_the_first_is_at_work(tmp_path):
    refused: list[str] = []

    async def second() -> None:
        with pytest.raises(RunError, match="is being run by process"):
            await run.resume()
        refused.append("yes")

    def script(prompt: Prompt, call: str) -> str:
        if not tasks:
            tasks.append(asyncio.get_running_loop().create_task(second()))
        return answer(prompt, call)

    tasks: list[Any] = []
    run = case(tmp_path, 20, script=script)
    await run.start()
    await tasks[0]
    assert refused == ["yes"] and run.status()["candidates"]["asked"] == 20


async def test_an_attempt_that_may_be_billed_keeps_its_reserve(tmp_path, monkeypatch):
    monkeypatch.setattr(calls_module, "BACKOFF_S", 0.0)
    faults = iter([TransientError("no answer in time", may_be_billed=True), TransientError("busy")])

    def script(prompt: Prompt, call: str) -> str:
        if (fault := next(faults, None)) is not None:
            raise fault
        return better(prompt, call)

    run = case(tmp_path, provider=Priced(script, ceiling=0.5, cost=0.1), budget=Budget(candidates=3, usd=9.0))
    await run.start()
    assert run.screen.runner.spent.lost_usd == 0.5
    assert store_of(run).call_totals("tiny-1")["held_usd"] == 0.5


async def test_a_fault_of_the_engine_ends_the_run_and_is_told(tmp_path, monkeypatch):
    def broken(*_: Any) -> None:
        raise KeyError("a fault")

    monkeypatch.setattr("evolve.search.Search.tell", broken)
    run = case(tmp_path, 5)
    with pytest.raises(KeyError):
        await run.start()
