"""Tuning of constants: a promising candidate's trials, which of its texts stands; the same after a kill and in a replay."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evolve.llm.scripted import Scripted
from evolve.proposer import Proposing
from evolve.runner.budget import Budget
from evolve.runner.replay import RECORDED
from evolve.runner.tuning import is_promising
from evolve.search.tuning import Tuning
from evolve.types import Evaluation, Prompt, StageOutcome, Status
from tests.runner.driving import RUN, STRATEGY, Case, Judging, Slow, rewrite, source, store_of, value_of
from tests.runner.driving import case as plain
from tests.runner.test_replay import replayed

TRIALS = 6


def outcomes(text: str) -> list[StageOutcome]:
    """Scores how near a program's value is to 6; one that is much larger fails in the second stage."""
    value = value_of(text)
    score = -abs(value - 6.0)
    small = StageOutcome(stage="small", status=Status.OK, score=score, metrics={"score": score})
    if 8.0 < value < 9.0:
        return [small, StageOutcome(stage="main", status=Status.CRASH, feedback="too large")]
    return [small, StageOutcome(stage="main", status=Status.OK, score=score, metrics={"score": score})]


def answer(prompt: Prompt, call: str) -> str:
    chosen = prompt.seed[-1]
    return rewrite(float(value_of(prompt.parent["initial.py"])) + chosen % 5 - 1.5 + chosen / 1000)


def case(root: Path, candidates: int = 12, script: Any = answer, **changes: Any) -> Case:
    strategy = replace(STRATEGY, tuning=Tuning(evaluations=TRIALS, idle=False))
    parts = {"evaluator": Judging(slots=3, judge=outcomes), "strategy": strategy, **changes}
    return plain(root, candidates, script, **parts)


def tuned(run: Case) -> dict[int, dict[str, Any]]:
    return {event.candidate: event.data for event in store_of(run).events_of(RUN, ["tuned"])}


async def test_a_promising_candidate_becomes_its_tuned_text(tmp_path):
    run = case(tmp_path, 1, [rewrite(3.0)])
    assert (await run.start()).state == "finished"
    [(candidate, data)] = tuned(run).items()
    shown = run.run().shown(candidate)
    assert data["before"] == -3.0 < shown["score"] == data["after"] and data["trials"] == TRIALS
    assert shown["files"] == {"initial.py": source(data["vector"][0])} and shown["score"] == -abs(
        data["vector"][0] - 6.0
    )
    assert shown["tuned"]["after"] == shown["score"]
    trials = store_of(run).trial_rows(RUN)
    assert [(row["candidate"], row["number"]) for row in trials] == [(candidate, n) for n in range(TRIALS)]
    assert max(row["score"] for row in trials) == shown["score"]


async def test_its_rows_are_of_the_text_that_stands_and_all_of_them_count(tmp_path):
    run = case(tmp_path, 1, [rewrite(3.0)])
    await run.start()
    own, aside = (store_of(run).evaluation_rows(RUN, 2, drafts=drafts) for drafts in (False, True))
    assert {row["score"] for row in own} == {run.run().shown(2)["score"]}
    assert [(row["stage"], row["draft"], row["score"]) for row in aside] == [
        ("small", "untuned", -3.0),
        ("main", "untuned", -3.0),
    ]
    assert run.screen.runner.spent.evaluations == store_of(run).evaluations(RUN) == 3 + 2 + TRIALS + 3


async def test_the_export_holds_both_texts(tmp_path):
    run = case(tmp_path, 1, [rewrite(3.0)])
    await run.start()
    assert source(3.0)[-5:-1] in "".join(line for line in run.export() if '"kind": "proposed"' in line)
    assert repr(tuned(run)[2]["vector"][0]) in "".join(line for line in run.export() if '"kind": "tuned"' in line)


@pytest.mark.parametrize(
    ("value", "spec", "is_tuned"), [(0.0, "", False), (3.0, "", True), (3.0, "tune: {stage: main}", True)]
)
async def test_only_what_is_better_than_the_median_is_tuned(tmp_path, value, spec, is_tuned):
    run = case(tmp_path, 1, [rewrite(value, "  # another text")], spec=spec)
    await run.start()
    assert bool(tuned(run)) == is_tuned
    assert {row["stage"] for row in store_of(run).trial_rows(RUN)} <= {"main" if spec else "small"}


async def test_a_program_without_constants_is_not_tuned(tmp_path):
    run = case(tmp_path, 1, ["```python\ndef f():\n    return 3\n```\n"])
    await run.start()
    assert run.run().shown(2)["score"] == -3.0 and not tuned(run)


async def test_a_tuned_text_that_fails_later_leaves_the_candidate_as_it_was(tmp_path):
    def crashes(text: str) -> list[StageOutcome]:
        small, main = outcomes(text)
        return [small, main if value_of(text) in (0.0, 3.0) else replace(main, status=Status.CRASH, score=None)]

    run = case(tmp_path, 1, [rewrite(3.0)], evaluator=Judging(judge=crashes))
    await run.start()
    shown, [data] = run.run().shown(2), tuned(run).values()
    assert (shown["status"], shown["score"], shown["files"]) == ("ok", -3.0, {"initial.py": source(3.0)})
    assert data["after"] is None and data["files"] is None and data["trials"] == TRIALS
    assert {row["draft"] for row in store_of(run).evaluation_rows(RUN, 2, drafts=True)} == {"tuned"}
    assert run.screen.runner.spent.evaluations == store_of(run).evaluations(RUN)


async def test_the_tuned_text_is_known_and_proposed_again_a_duplicate(tmp_path):
    def script(prompt: Prompt, call: str) -> str:
        return (
            rewrite(3.0)
            if prompt.seed[-1] == 2
            else f"TITLE: same\n```python\n{prompt.parent['initial.py']}# same\n```\n"
        )

    run = case(tmp_path, 4, script, window=1)
    await run.start()
    duplicates = {row["duplicate_of"] for row in store_of(run).rows(RUN) if row["status"] == "duplicate"}
    assert 2 in duplicates and tuned(run)[2]["files"]
    await run.resume(budget=Budget(candidates=8))
    assert set(tuned(run)) == {2}


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("moment", [3, 8, 20, 33])
async def test_killed_at_any_stage_or_trial_it_goes_on_and_repeats_nothing(tmp_path, moment, window):
    copies: list[Case] = []
    judged = count(-3)  # the first four are the initial program's

    def judge(text: str) -> list[StageOutcome]:
        if next(judged) == moment:
            copies.append(run.snapshot(tmp_path / "killed"))
        return outcomes(text)

    run = case(tmp_path / "whole", window=window, evaluator=Judging(slots=3, judge=judge))
    assert (await run.start()).state == "finished"
    [copy] = copies
    before = [(row["candidate"], row["number"]) for row in store_of(copy).trial_rows(RUN)]
    copy.provider, copy.evaluator, copy._run = Scripted(answer, concurrency=3), Judging(slots=3, judge=outcomes), None
    assert (await copy.resume()).state == "finished"
    after = [(row["candidate"], row["number"]) for row in store_of(copy).trial_rows(RUN)]
    assert len(copy.evaluator.tested) == len(after) - len(before) and len(after) % TRIALS == 0 and tuned(copy)
    assert copy.screen.runner.spent.evaluations == store_of(copy).evaluations(RUN)
    if window is not None:
        assert copy.export() == run.export()


@pytest.mark.parametrize("evaluations", ["run", RECORDED])
@pytest.mark.parametrize(("window", "most"), [(None, None), (None, 60), (4, None)])
@pytest.mark.parametrize("turns", [1, 2])
async def test_a_replay_is_the_same_run(tmp_path, evaluations, window, most, turns):
    run = case(
        tmp_path / "first", window=window, proposing=Proposing(turns=turns), budget=Budget(candidates=12, evaluations=most),
        provider=Slow(answer, lambda prompt: prompt.seed[-1] * 7 % 5, 3),
        evaluator=Judging(slots=3, judge=outcomes, latency=lambda candidate: candidate * 5 % 4),
    )  # fmt: skip
    assert (await run.start()).state == "finished"
    assert any(data["files"] for data in tuned(run).values())
    how = {} if evaluations == RECORDED else {"evaluator": Judging(judge=outcomes)}
    again = replayed(tmp_path / "again", run, evaluations, budget=Budget(candidates=12), **how)
    await again.start()
    assert again.export() == run.export()


async def test_a_budget_of_evaluations_settles_tunings_with_what_they_have(tmp_path):
    run = case(tmp_path, budget=Budget(candidates=None, evaluations=30))
    assert (await run.start()).state == "finished"
    assert run.status()["candidates"]["in_flight"] == 0
    assert 30 <= run.screen.runner.spent.evaluations == store_of(run).evaluations(RUN) <= 30 + 3 * 10


async def test_equal_runs_are_equal_at_any_number_of_slots(tmp_path):
    runs = [
        case(tmp_path / str(slots), window=4, evaluator=Judging(slots, outcomes, lambda c, slots=slots: c * slots % 3))
        for slots in (1, 4)
    ]
    for run in runs:
        await run.start()
    assert runs[0].export() == runs[1].export()
    assert Counter(data["method"] for data in tuned(runs[0]).values()).total() > 2


async def test_a_run_stopped_while_it_tunes_settles_with_what_there_is_and_goes_on(tmp_path):
    def judge(text: str) -> list[StageOutcome]:
        if value_of(text) not in (0.0, 3.0):
            run.screen.runner.drain()
        return outcomes(text)

    run = case(tmp_path, 3, lambda prompt, call: rewrite(3.0), evaluator=Judging(1, judge))
    assert (await run.start()).state == "interrupted"
    assert run.status()["candidates"]["in_flight"] == 0
    assert 0 < tuned(run)[2]["trials"] < TRIALS


async def test_a_best_text_that_was_being_evaluated_stands_though_a_resume_could_try_more(tmp_path):
    copies: list[Case] = []

    def judge(text: str) -> list[StageOutcome]:
        runner = run.screen.runner
        if value_of(text) not in (0.0, 3.0):
            runner.drain()
            if (2, 1) in run.evaluator.measured:  # the second look at it: the writer is about to have its stages
                while len(store_of(run).evaluation_rows_aside(RUN, 2)) < 2:
                    pass
                copies.append(run.snapshot(tmp_path / "killed"))
        return outcomes(text)

    run = case(tmp_path / "whole", 1, [rewrite(3.0)], evaluator=Judging(1, judge), seed=2)
    await run.start()
    [copy] = copies
    copy.evaluator, copy._run = Judging(1, outcomes), None
    await copy.resume()
    assert copy.evaluator.tested == [] and tuned(copy) == tuned(run)


@pytest.mark.parametrize(
    ("tune", "score", "is_new", "promising"),
    [
        ({"above": 1.0, "novel": False}, 1.0, True, False),
        ({"above": 1.0, "novel": False}, 1.5, False, True),
        ({"above": 1.0, "novel": True}, 0.5, True, True),
        ({"above": 1.0, "novel": True}, 0.5, False, False),
        ({"above": None, "novel": False}, 0.5, False, True),
        (None, 9.0, True, False),
    ],
)
def test_what_is_promising(tune, score, is_new, promising):
    evaluation = Evaluation(status=Status.OK, score=score)
    assert is_promising(tune, evaluation, lambda: is_new) == promising
    assert not is_promising(tune, replace(evaluation, status=Status.SUSPECT, score=None), lambda: is_new)
