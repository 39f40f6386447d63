"""The second evaluation of a candidate that is about to be the best, alone and within runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evolve.errors import RunError
from evolve.llm.scripted import Scripted
from evolve.problem import Problem, Stage
from evolve.runner import confirm
from evolve.types import Evaluation, Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, Slow, answer, case, rewrite, store_of, tiny, value_of

NOISY = "deterministic: false"


@pytest.fixture
def problem(tmp_path: Any) -> Problem:
    return tiny(tmp_path / "tiny")


def stage(*values: float, **changes: Any) -> StageOutcome:
    """Returns an outcome of so many instances, whose mean is the score."""
    score = sum(values) / len(values)
    rows = tuple({"name": "", "status": "ok", "metrics": {"score": value}, "feedback": ""} for value in values)
    facts = {"status": Status.OK, "score": score, "metrics": {"score": score}, "instances": rows, **changes}
    return StageOutcome(stage="main", **facts)


async def judged(problem: Problem, first: StageOutcome, *again: StageOutcome) -> Evaluation:
    async def measure(replicate: int) -> StageOutcome:
        return replace(left.pop(0), replicate=replicate)

    left = list(again)
    return await confirm.confirmed(measure, problem, Evaluation.of([first]))


async def test_what_is_repeated_stands_as_it_was(problem):
    evaluation = await judged(problem, stage(0.3), stage(0.3 + 1e-14))
    assert (evaluation.status, evaluation.score, evaluation.stderr, evaluation.n) == (Status.OK, 0.3, None, 1)
    assert [outcome.replicate for outcome in evaluation.stages] == [0, 1]


async def test_what_is_deterministic_must_score_the_same(problem):
    evaluation = await judged(problem, stage(0.3), stage(0.3001))
    assert (evaluation.status, evaluation.score) == (Status.SUSPECT, None)
    assert evaluation.feedback.startswith("two evaluations disagree: score 0.3, then 0.3001; the same program must")


@pytest.mark.parametrize("spec", ["", NOISY])
async def test_a_failure_the_second_time_is_suspect(problem, spec):
    problem = replace(problem, deterministic=not spec)
    crash = StageOutcome(stage="main", status=Status.CRASH, feedback="Traceback\nIndexError: 9")
    evaluation = await judged(problem, stage(0.3), crash)
    assert evaluation.status is Status.SUSPECT
    assert evaluation.feedback == "evaluated once more, the same program ended as crash: IndexError: 9"


async def test_a_fault_of_ours_is_tried_again_and_never_called_suspect(problem):
    infra = StageOutcome(stage="main", status=Status.INFRA, feedback="the node is gone")
    ours = StageOutcome(stage="main", status=Status.EVALUATOR_ERROR, feedback="KeyError")
    assert (await judged(problem, stage(0.3), infra, stage(0.3))).status is Status.OK
    lost = await judged(problem, stage(0.3), infra, infra)
    assert (lost.status, lost.score, lost.feedback) == (Status.INFRA, None, "the node is gone")
    assert [outcome.replicate for outcome in lost.stages] == [0, 1, 2]
    assert (await judged(problem, stage(0.3), ours)).status is Status.EVALUATOR_ERROR


@pytest.mark.parametrize("draw", ["fixed", "fresh"])
async def test_what_differs_by_chance_counts_as_the_mean(problem, draw):
    changed = replace(problem, deterministic=draw == "fresh", stages=(Stage(name="main", draw=draw),))
    evaluation = await judged(changed, stage(1, 2, 3, 4, 5), stage(2, 3, 4, 5, 7))
    assert (evaluation.status, evaluation.score, evaluation.n) == (Status.OK, pytest.approx(3.6), 2)
    assert evaluation.stderr == pytest.approx(0.6) and evaluation.metrics == {"score": pytest.approx(3.6)}


async def test_what_differs_by_more_than_chance_is_suspect(problem):
    noisy = replace(problem, deterministic=False)
    evaluation = await judged(noisy, stage(9.0, 9.1, 9.2, 9.1, 9.0), stage(5.0, 5.1, 5.2, 5.1, 5.0))
    assert evaluation.status is Status.SUSPECT
    assert "score 9.08 over 5 instances, then 5.08 over 5, more than 4 standard errors" in evaluation.feedback
    assert (await judged(noisy, stage(9.0), stage(5.0))).score == 7.0  # one instance says nothing of the scatter


async def test_a_mean_beyond_the_bound_is_suspect(problem):
    bounded = replace(problem, deterministic=False, known={"score": {"best": 1.0, "bound": 2.0}})
    assert (await judged(bounded, stage(1.9), stage(2.5))).status is Status.SUSPECT


def test_a_doubtful_score_moves_no_threshold():
    small = replace(stage(1.0), stage="small")
    evaluation = Evaluation(status=Status.OK, score=3.0, stages=(small, stage(2.0), stage(4.0)))
    assert confirm.stage_scores(evaluation) == {"small": 1.0, "main": 3.0}
    assert confirm.stage_scores(replace(evaluation, status=Status.SUSPECT)) == {"small": 1.0}


# ---------------------------------------------------------------- within runs


def by_call(*values: float) -> Scripted:
    return Scripted([rewrite(value) for value in values], concurrency=1)


async def test_new_bests_alone_are_evaluated_again(tmp_path):
    run = case(tmp_path, 5, provider=by_call(1.0, 5.0, 2.0, 4.0, 6.0))
    await run.start()
    assert [candidate for candidate, _ in run.evaluator.measured] == [1, 2, 3, 6]
    rows = [(row["stage"], row["replicate"]) for row in store_of(run).evaluation_rows(RUN, 3)]
    assert rows == [("small", 0), ("main", 0), ("main", 1)]


def unsteady(outcome: StageOutcome) -> StageOutcome:
    """Measures less the second time where the value is 5 or more."""
    score = outcome.score or 0.0
    return replace(outcome, score=score - 1, metrics={"score": score - 1}) if score >= 5 else outcome


async def test_a_score_that_does_not_come_again_is_suspect_and_no_parent(tmp_path):
    run = case(tmp_path, 3, provider=by_call(1.0, 5.0, 2.0), evaluator=Judging(2, second=unsteady))
    await run.start()
    assert run.run().candidate(3).status is Status.SUSPECT and run.run().best().id == 4
    assert run.status()["candidates"]["suspect"] == 1 and run.run().candidate(4).parent in (1, 2)


async def test_the_mean_of_both_is_stored_with_its_error(tmp_path):
    run = case(tmp_path, 2, provider=by_call(1.0, 5.0), evaluator=Judging(2, second=unsteady), spec=NOISY)
    await run.start()
    best = run.run().shown(3)
    assert (best["score"], best["metrics"], best["stderr"], best["n"]) == (4.25, {"score": 4.25}, 0.25, 4)
    assert run.status()["best"]["score"] == 4.0  # of the fresh evaluations alone


async def test_an_initial_program_is_confirmed_too(tmp_path):
    different = Judging(2, second=lambda outcome: replace(outcome, score=3.0))
    with pytest.raises(
        RunError, match="the initial program ends as suspect: two evaluations disagree: score 0, then 3"
    ):
        await case(tmp_path, 2, evaluator=different).start()


async def test_a_budget_of_evaluations_counts_second_ones(tmp_path):
    run = case(tmp_path, 4, provider=by_call(1.0, 2.0, 4.0, 3.0))
    await run.start()
    assert run.screen.runner.spent.evaluations == 3 + 3 + 3 + 3 + 2


@pytest.mark.parametrize("spec", ["", NOISY])
@pytest.mark.parametrize(("calls", "workers", "seed"), [(1, 4, 1), (8, 3, 2)])
async def test_an_ordered_run_with_suspects_is_the_same_at_any_width(tmp_path, spec, calls, workers, seed):
    def latency(what: Any) -> int:
        return (what if isinstance(what, int) else what.seed[-1]) * seed * 7 % 30

    async def export(root: str, calls: int, workers: int, latency: Any) -> list[str]:
        provider, evaluator = Slow(answer, latency, calls), Judging(workers, latency=latency, second=unsteady)
        run = case(tmp_path / root, provider=provider, evaluator=evaluator, window=5, spec=spec)
        await run.start()
        assert ("suspect" in run.status()["candidates"]) == (not spec)
        return run.export()

    plain = await export("plain", 1, 1, lambda _: 0)
    assert await export("wide", calls, workers, latency) == plain


@pytest.mark.parametrize("window", [None, 4])
async def test_a_kill_between_the_two_runs_neither_again(tmp_path, window):
    copies: list[Case] = []

    def second(outcome: StageOutcome) -> StageOutcome:
        seen.append(outcome)
        if len(seen) == 4:
            copies.append(run.snapshot(tmp_path / "killed"))
        return outcome

    seen: list[StageOutcome] = []
    provider = Scripted(answer, concurrency=1)
    run = case(tmp_path / "whole", 30, provider=provider, evaluator=Judging(1, second=second), window=window)
    await run.start()
    [copy] = copies
    known = {
        (row["candidate"], row["replicate"]) for row in store_of(copy).evaluation_rows(RUN) if row["stage"] == "main"
    }
    await copy.resume(provider=Scripted(answer, concurrency=1), evaluator=Judging(1))
    assert not known & set(copy.evaluator.measured) and len(known) > 4
    assert window is None or copy.export() == run.export()


@pytest.mark.parametrize("slots", [1, 3, 8])
async def test_many_bests_at_once_are_each_confirmed_once_and_the_best_is_among_them(tmp_path, slots):
    evaluator = Judging(slots, latency=lambda candidate: candidate % 5)
    provider = Scripted(lambda prompt, call: rewrite(4.0 * (prompt.seed[-1] % 17)), concurrency=8)
    run = case(tmp_path, 40, provider=provider, evaluator=evaluator)
    await run.start()
    confirmed = [candidate for candidate, _ in evaluator.measured]
    assert len(confirmed) == len(set(confirmed)) < 20 and run.run().best().id in confirmed
    assert run.status()["candidates"]["in_flight"] == 0


# ---------------------------------------------------------------- the same text


async def test_a_repeated_program_is_a_duplicate_after_a_kill_between_its_stages_too(tmp_path):
    copies: list[Case] = []

    def judge(text: str) -> list[StageOutcome]:
        value = value_of(text)
        if value == 5.0 and not copies:
            copies.append(run.snapshot(tmp_path / "killed"))
        return [stage(value, feedback="", instances=())]

    def script(prompt: Prompt, call: str) -> str:
        return rewrite(5.0, note=f"  # call {call}")

    run = case(tmp_path / "whole", 3, provider=Scripted(script, concurrency=1), evaluator=Judging(1, judge))
    await run.start()
    [copy] = copies
    await copy.resume(provider=Scripted(script, concurrency=1), evaluator=Judging(1, judge))
    for one in (run, copy):
        assert [one.run().candidate(candidate).duplicate_of for candidate in (2, 3, 4)] == [None, 2, 2]
        assert one.status()["candidates"]["duplicate"] == 2
