"""Elites: what idle evaluators, or an answer to stagnation, make of the best; the same after a kill and in a replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evolve.llm.scripted import Scripted
from evolve.population import Writer, history
from evolve.population.schema import ROUND
from evolve.runner.budget import Budget
from evolve.runner.replay import RECORDED
from evolve.search.stagnation import Stagnation
from evolve.search.tuning import Tuning
from evolve.types import Call, Completion, Prompt, StageOutcome, Status
from tests.runner.driving import RUN, STRATEGY, Case, Judging, rewrite, store_of, value_of
from tests.runner.driving import case as plain
from tests.runner.test_replay import replayed
from tests.runner.test_tuning import TRIALS, answer, outcomes

IDLE = replace(STRATEGY, tuning=Tuning(evaluations=TRIALS))
BUSY = replace(STRATEGY, tuning=Tuning(evaluations=TRIALS, idle=False))
STUCK = replace(BUSY, stagnation=Stagnation(after=4, answers=["tune"]))


class Pondering(Scripted):
    """A model that answers once its candidate's condition holds."""

    def __init__(self, script: Any, until: dict[int, Callable[[], bool]]):
        super().__init__(script, concurrency=1)
        self.until = until

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        async with asyncio.timeout(20):
            while not self.until.get(call.candidate, lambda: True)():
                await asyncio.sleep(0.001)
        return await super().complete(prompt, call=call)


class Watching(Judging):
    """An evaluator that says when a trial of an elite begins."""

    def __init__(self, slots: int, run: Case, trial: Callable[[], None]):
        super().__init__(slots, outcomes)
        self.run, self.trial = run, trial

    async def measure(self, problem: Any, files: Any, *, candidate: int, stage: str = "", **how: Any) -> StageOutcome:
        if stage and candidate not in self.run.screen.runner.search.open():
            self.trial()
        return await super().measure(problem, files, candidate=candidate, stage=stage, **how)


def case(root: Path, candidates: int = 3, strategy: Any = IDLE, script: Any = answer, **changes: Any) -> Case:
    parts = {"evaluator": Judging(slots=2, judge=outcomes), "islands": 1, **changes}
    return plain(root, candidates, script, strategy=strategy, **parts)


def stuck(root: Path) -> Case:
    """Returns a run in which no proposal is better than the first."""
    run = case(root, 12, STUCK)
    run.provider = Pondering(
        lambda prompt, call: rewrite(1.0 if (n := prompt.seed[-1]) == 2 else -5.0 - n / 100), {8: lambda: at_rest(run)}
    )
    return run


def of_first_round(run: Case) -> list[int]:
    """Returns which trials the first elite that stagnation named has had for it."""
    named = [event.data["elites"][0] for event in store_of(run).events_of(RUN, ["stagnated"])][:1]
    return [number - 2 * ROUND for one, number in all_trials(run) if [one] == named and 0 <= number - 2 * ROUND < ROUND]


def rows(run: Case) -> list[tuple[int, int]]:
    return [(row["candidate"], row["number"]) for row in store_of(run).trial_rows(RUN) if row["number"] >= ROUND]


def made(run: Case) -> list[Any]:
    return [row for row in store_of(run).rows(RUN) if row["origin"] == "tuned"]


def holds(run: Case) -> bool:
    """Says whether what was counted is what is stored, and all that was asked was told."""
    counts = run.status()["candidates"]
    told = counts["asked"] == sum(n for name, n in counts.items() if name != "asked") and not counts["in_flight"]
    return told and run.screen.runner.spent.evaluations == store_of(run).evaluations(RUN)


async def tuned_while_idle(root: Path, judge: Any = outcomes, **changes: Any) -> Case:
    """Returns a run whose third proposal took as long as the best had something to be tuned."""
    run = case(root, 4, script=lambda prompt, call: rewrite(3.0 + prompt.seed[-1] / 100), **changes)
    run.evaluator = Judging(2, judge)
    run.provider = Pondering(run.provider._answers, {4: lambda: at_rest(run)})
    assert (await run.start()).state == "finished"
    return run


def at_rest(run: Case) -> bool:
    runner = run.screen.runner
    return bool(rows(run)) and not runner._evaluations and len(runner.search.open()) == 1


async def test_an_idle_evaluator_makes_a_better_candidate_of_the_best(tmp_path):
    run = await tuned_while_idle(tmp_path)
    first, found = made(run)[0], run.run()
    parent = found.candidate(first["parent"])
    assert (
        first["score"] > parent.score and first["title"] == f"constants of {parent.id} tuned" and first["island"] == 0
    )
    assert [number - ROUND for candidate, number in rows(run) if candidate == parent.id] == list(range(TRIALS))
    assert found.status()["candidates"]["asked"] == 4 and holds(run)


async def test_of_what_is_not_better_only_trials_remain_and_it_is_not_tried_again(tmp_path):
    def only_as_proposed(text: str) -> list[StageOutcome]:
        small, main = outcomes(text)
        return [small, main if len(str(value_of(text))) < 5 else replace(main, status=Status.CRASH, score=None)]

    run = await tuned_while_idle(tmp_path, only_as_proposed)
    assert not made(run) and holds(run)
    tried = rows(run)
    await run.resume(budget=Budget(candidates=6), provider=Pondering(answer, {7: lambda: at_rest(run)}))
    again = [one for one in rows(run) if one[0] in {candidate for candidate, _ in tried}]
    assert again == tried and holds(run)


@pytest.mark.parametrize("moment", [3, 10, 16, 17, 20, 27])
async def test_killed_at_any_moment_it_goes_on_and_repeats_no_trial(tmp_path, moment):
    copies: list[Case] = []
    judged = count()

    def judge(text: str) -> list[StageOutcome]:
        if next(judged) == moment + 4:
            copies.append(run.snapshot(tmp_path / "killed"))
        return outcomes(text)

    run = case(tmp_path / "whole", 4)
    run.evaluator, run.provider = Judging(2, judge), Pondering(answer, {4: lambda: at_rest(run)})
    await run.start()
    [copy] = copies
    before, copy._run = set(all_trials(copy)), None
    copy.evaluator, copy.provider = Judging(2, outcomes), Pondering(answer, {4: lambda: at_rest(copy)})
    assert (await copy.resume()).state == "finished"
    assert len(copy.evaluator.tested) == len(set(all_trials(copy)) - before) and holds(copy)
    assert made(copy) and len({row["fingerprint"] for row in made(copy)}) == len(made(copy))


@pytest.mark.parametrize("moment", [1, 3, 5, 6])
async def test_killed_in_a_round_that_stagnation_asked_for_it_ends_the_round(tmp_path, moment):
    copies: list[Case] = []
    run = stuck(tmp_path / "whole")

    def trial() -> None:
        if next(begun) == moment:
            copies.append(run.snapshot(tmp_path / "killed"))

    begun = count(1)
    run.evaluator = Watching(2, run, trial)
    await run.start()
    copy = stuck(tmp_path / "killed")
    before, copy._run = set(all_trials(copies[0])), None
    assert (await copy.resume()).state == "finished"
    assert of_first_round(copy) == list(range(TRIALS)) and made(copy)
    assert len(copy.evaluator.tested) == len(set(all_trials(copy)) - before) and holds(copy)


def all_trials(run: Case) -> list[tuple[int, int]]:
    return [(row["candidate"], row["number"]) for row in store_of(run).trial_rows(RUN) if row["stage"] == "small"]


async def test_a_fork_begins_without_the_trials_of_elites(tmp_path):
    run = await tuned_while_idle(tmp_path)
    store, writer = store_of(run), Writer(store_of(run), "fork")
    last = max(event.seq for event in store.events(RUN))
    copied = [row for change in history.upto(store, RUN, last, writer) for _, row in change if "vector" in row]
    assert copied and max(row["number"] for row in copied) < ROUND


@pytest.mark.parametrize("evaluations", ["run", RECORDED])
@pytest.mark.parametrize("stagnates", [False, True])
async def test_a_replay_adds_them_at_their_places(tmp_path, evaluations, stagnates):
    run = stuck(tmp_path / "first") if stagnates else case(tmp_path / "first", 8)
    if not stagnates:
        run.provider = Pondering(answer, {4: lambda: at_rest(run), 9: lambda: at_rest(run)})
    assert (await run.start()).state == "finished"
    assert made(run)
    how = {} if evaluations == RECORDED else {"evaluator": Judging(judge=outcomes)}
    again = replayed(tmp_path / "again", run, evaluations, **how)
    assert (await again.start()).state == "finished"
    assert again.export() == run.export() and not rows(again)


async def test_what_was_proposed_never_waits_behind_trials(tmp_path):
    def trial() -> None:
        runner = run.screen.runner
        waited.append(len(runner._backlog) + len(runner._tests))

    waited: list[int] = []
    run = case(tmp_path, 6)
    run.evaluator = Watching(1, run, trial)
    run.provider = Pondering(answer, {c: lambda c=c: len(rows(run)) >= c for c in range(4, 8)})
    await run.start()
    assert waited and not any(waited)


@pytest.mark.parametrize("changes", [{"strategy": BUSY}, {"window": 1}])
async def test_it_can_be_turned_off_and_is_off_in_ordered_runs(tmp_path, changes):
    run = case(tmp_path, 6, **changes)
    await run.start()
    assert not rows(run) and not made(run)


async def test_a_run_that_ends_waits_for_no_more_than_the_trials_that_run(tmp_path):
    run = case(tmp_path, 4)
    run.evaluator = Watching(2, run, lambda: run.screen.runner.drain())
    run.provider = Pondering(answer, {4: lambda: run.screen.runner.state != "running"})
    assert (await run.start()).state == "interrupted"
    assert len(rows(run)) in (1, 2) and holds(run)


async def test_where_the_search_stagnates_the_best_is_tuned_though_nobody_is_idle(tmp_path):
    run = stuck(tmp_path)
    assert (await run.start()).state == "finished"
    [first, *_] = store_of(run).events_of(RUN, ["stagnated"])
    assert first.data["elites"][0] in {candidate for candidate, _ in rows(run)} and made(run)
    assert min(number for _, number in rows(run)) == 2 * ROUND and holds(run)
