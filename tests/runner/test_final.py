"""Noisy scores: who is about to be the best races, and the run ends with a final on fresh draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.problem import Problem
from evolve.runner import confirm, final
from evolve.runner.budget import Budget
from evolve.types import Evaluation, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, case, outcomes, rewrite, tiny, value_of

NOISY = "deterministic: false"


def outcome(score: float | None, replicate: int = 0) -> StageOutcome:
    if score is None:
        return StageOutcome(stage="main", status=Status.CRASH, replicate=replicate)
    return StageOutcome(stage="main", status=Status.OK, score=score, metrics={"score": score}, replicate=replicate)


# ---------------------------------------------------------------- racing


async def raced(problem: Problem, best: confirm.Best | None, first: float, *again: float) -> tuple[Evaluation, int]:
    """Returns the outcome of a race and how many evaluations were left."""
    left = list(again)

    async def measure(replicate: int) -> StageOutcome:
        return outcome(left.pop(0), replicate)

    return await confirm.confirmed(measure, problem, Evaluation.of([outcome(first)]), best=best), len(left)


async def test_a_challenger_is_evaluated_once_more_often_than_the_best(tmp_path):
    problem = replace(tiny(tmp_path / "tiny"), deterministic=False)
    found, left = await raced(problem, confirm.Best(score=1.0, n=3), 2.0, 2.0, 3.0, 3.0, 9.0)
    assert (found.score, found.n, left) == (2.5, 4, 1) and len(found.stages) == 4


async def test_a_race_ends_where_the_mean_falls_behind(tmp_path):
    problem = replace(tiny(tmp_path / "tiny"), deterministic=False)
    found, left = await raced(problem, confirm.Best(score=1.9, n=9), 2.0, 2.0, 0.5, 9.0)
    assert (found.score, found.n, left) == (1.5, 3, 1)


async def test_who_is_deterministic_does_not_race(tmp_path):
    found, left = await raced(tiny(tmp_path / "tiny"), confirm.Best(score=1.0, n=9), 2.0, 2.0, 2.0)
    assert (found.n, left) == (1, 1)


# ---------------------------------------------------------------- the final


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=8), st.integers(0, 100))
async def test_the_truly_best_wins_where_there_is_no_noise(values, evaluations):
    rows: list[dict[str, Any]] = []

    async def measure(candidate: int, replicate: int) -> StageOutcome:
        found = outcome(values[candidate - 1], replicate)
        rows.append({"candidate": candidate, "status": "ok", "score": found.score, "metrics": found.metrics})
        return found

    await final.hold(measure, range(1, len(values) + 1), evaluations)
    assert len(rows) <= evaluations
    if evaluations >= 2 * len(values):
        assert values[final.winner(rows) - 1] == max(values)


async def test_who_fails_is_out_and_nobody_wins_where_all_do():
    rows: list[dict[str, Any]] = []

    async def measure(candidate: int, replicate: int) -> StageOutcome:
        found = outcome(None if candidate == 1 else -1.0, replicate)
        rows.append(
            {"candidate": candidate, "status": str(found.status), "score": found.score, "metrics": found.metrics}
        )
        return found

    await final.hold(measure, [1, 2], 10)
    assert final.winner(rows) == 2
    assert final.winner([row for row in rows if row["candidate"] == 1]) is None and final.winner([]) is None


def test_the_final_has_a_twentieth_of_the_evaluations():
    budget = Budget(evaluations=200)
    assert final.searching(budget).evaluations == 190 and final.share(190, budget) == 10
    assert final.share(190, Budget(candidates=9)) == 16 and final.share(1900, Budget(candidates=9)) == 100


class Lucky(Judging):
    """Whoever returns 5 had luck in the search: on fresh draws it is worth 1."""

    async def measure(self, problem: Problem, files: Any, *, replicate: int = 0, **what: Any) -> StageOutcome:
        found = await super().measure(problem, files, replicate=replicate, **what)
        lucky = replicate >= final.FIRST and value_of(files["initial.py"]) == 5.0
        return replace(found, score=1.0, metrics={"score": 1.0}) if lucky else found


async def test_a_noisy_run_reports_the_finals_winner_at_its_fresh_mean(tmp_path):
    values = {2: 4.0, 3: 5.0}
    run = case(
        tmp_path,
        12,
        script=lambda p, c: rewrite(values.get(p.seed[-1], 0.0)),
        spec=NOISY,
        evaluator=Lucky(1),
        islands=1,
    )
    await run.start()
    found = run.status()
    best = run.run().best()
    assert best.files["initial.py"] == "def f():\n    return 4.0\n" and best.score == 4.0
    assert found["final"]["candidate"] == found["best"]["id"] == best.id and found["final"]["finalists"] >= 3
    assert not any('"final"' in line for line in run.export())


async def test_a_deterministic_run_has_none(tmp_path):
    run = case(tmp_path, 6)
    await run.start()
    assert run.status()["final"] is None


async def test_a_run_that_goes_on_has_another_final(tmp_path):
    run: Case = case(tmp_path, 5, script=lambda p, c: rewrite(4.0 * p.seed[-1]), spec=NOISY, evaluator=Judging(1))
    await run.start()
    first = run.status()["final"]["candidate"]
    await run.resume(budget=Budget(candidates=9), evaluator=Judging(1))
    second = run.status()["final"]["candidate"]
    assert first != second == run.run().best().id


async def test_a_final_that_was_cut_short_goes_on(tmp_path):
    class Killing(Judging):
        async def measure(self, problem: Problem, files: Any, *, replicate: int = 0, **what: Any) -> StageOutcome:
            if replicate > final.FIRST:
                run.screen.runner.halt()
            return await super().measure(problem, files, replicate=replicate, **what)

    run = case(tmp_path, 40, script=lambda p, c: rewrite(4.0 * p.seed[-1]), spec=NOISY, evaluator=Killing(1))
    await run.start()
    held = len(run.run().store.final_rows(RUN))
    again = Judging(1)
    await run.resume(evaluator=again)
    assert held and run.status()["final"]["candidate"] == run.run().best().id
    assert (
        len([1 for _, replicate in again.measured if replicate >= final.FIRST])
        == len(run.run().store.final_rows(RUN)) - held
    )


# ---------------------------------------------------------------- several objectives


async def test_the_front_is_what_nobody_dominates_and_violates_nothing(tmp_path):
    def judge(text: str) -> list[StageOutcome]:
        value = value_of(text)
        metrics = {"score": value, "cost": value * value, "spare": 10 - value}
        return [replace(found, metrics=metrics, score=value) for found in outcomes(text)]

    values = {2: 1.0, 3: 2.0, 4: 2.0, 5: -1.0, 6: 12.0}
    spec = "objectives: {score: maximize, cost: minimize}\nconstraints: {spare: {at_least: 0}}"
    run = case(tmp_path, 5, script=lambda p, c: rewrite(values[p.seed[-1]], f"  # {p.seed[-1]}"), spec=spec,
               evaluator=Judging(1, judge), islands=1)  # fmt: skip
    await run.start()
    assert [one["metrics"]["score"] for one in run.run().front()] == [2.0, 1.0, 0.0]
    assert run.screen.runner.search.best == next(one["id"] for one in run.run().front())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("constraints: {spare: 3}", "constraints.spare must be {at_most: NUMBER} or {at_least: NUMBER}, not 3"),
        ("constraints: {spare: {most: 3}}", "constraints.spare must be"),
        ("stages: {final: {}}", "stages.final: the name is taken; choose another"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, spec, message):
    folder = tmp_path / "tiny"
    tiny(folder)
    (folder / "problem.yaml").write_text(spec + "\n")
    from evolve.errors import ProblemError
    from evolve.loading import load_problem

    with pytest.raises(ProblemError) as error:
        load_problem(str(folder))
    assert message in str(error.value)
