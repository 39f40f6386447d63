"""The cascade over a fake pool: order, thresholds, what the evaluation keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import evaluators
from evaluators import Cascade, StageJob
from evolve.errors import EvolveError
from evolve.problem import Problem, load_problem
from evolve.types import StageOutcome, Status


class InlinePool:
    """Gives prepared outcomes, and keeps the stages that were asked for."""

    slots = 1

    def __init__(self, **outcomes: StageOutcome):
        self.outcomes = outcomes
        self.ran: list[str] = []

    async def start(self, problem: object = None) -> None: ...

    async def close(self) -> None: ...

    async def run(self, job: StageJob, serve: object = None) -> StageOutcome:
        self.ran.append(job.stage)
        return self.outcomes[job.stage]


def done(stage: str, score: float) -> StageOutcome:
    return StageOutcome(stage=stage, status=Status.OK, metrics={"cost": -score}, score=score, feedback=f"{stage} done")


@pytest.fixture
def problem(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(yaml="objectives: {cost: minimize}\nstages: {fast: {}, main: {}}")


async def test_the_last_stage_ranks(problem: Problem) -> None:
    seen: list[str] = []
    pool = InlinePool(fast=done("fast", 1.0), main=done("main", -2.0))
    evaluation = await Cascade(pool).evaluate(
        problem, {}, thresholds={"fast": 1.0}, on_stage=lambda outcome: seen.append(outcome.stage)
    )
    assert (evaluation.status, evaluation.score, evaluation.metrics) == (Status.OK, -2.0, {"cost": 2.0})
    assert seen == pool.ran == [outcome.stage for outcome in evaluation.stages] == ["fast", "main"]
    assert evaluation.feedback == "main done"


async def test_below_a_threshold_is_rejected_in_the_objectives_own_direction(problem: Problem) -> None:
    pool = InlinePool(fast=done("fast", -5.0))
    evaluation = await Cascade(pool).evaluate(problem, {}, thresholds={"fast": -4.0})
    assert (evaluation.status, evaluation.score, evaluation.metrics) == (Status.REJECTED, None, {"cost": 5.0})
    assert evaluation.feedback == "stage 'fast': cost 5 does not reach 4\nfast done"
    assert pool.ran == ["fast"]


async def test_a_failing_stage_ends_it_and_keeps_what_was_measured(problem: Problem) -> None:
    crash = StageOutcome(stage="main", status=Status.CRASH, feedback="ZeroDivisionError")
    evaluation = await Cascade(InlinePool(fast=done("fast", 1.0), main=crash)).evaluate(problem, {})
    assert (evaluation.status, evaluation.score, evaluation.metrics) == (Status.CRASH, None, {"cost": -1.0})
    assert evaluation.feedback == "ZeroDivisionError"


async def test_on_stage_may_be_awaited(problem: Problem) -> None:
    seen: list[str] = []

    async def see(outcome: StageOutcome) -> None:
        seen.append(outcome.stage)

    await Cascade(InlinePool(fast=done("fast", 1.0), main=done("main", 1.0))).evaluate(problem, {}, on_stage=see)
    assert seen == ["fast", "main"]


async def test_stored_stages_are_not_run_again(problem: Problem) -> None:
    pool = InlinePool(main=done("main", 3.0))
    evaluation = await Cascade(pool).evaluate(problem, {}, done=[done("fast", 1.0)], thresholds={"fast": 0.5})
    assert (evaluation.score, pool.ran, len(evaluation.stages)) == (3.0, ["main"], 2)


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(EvolveError, match="isolation=nonsense"):
        Cascade(InlinePool(), isolation="nonsense")


def test_auto_says_what_it_came_to() -> None:
    assert Cascade(InlinePool(), isolation="auto").isolation == "bare"


async def test_the_factory_makes_a_cascade_that_evaluates(make_problem: Callable[..., Problem]) -> None:
    cascade = evaluators.auto(workers=2)
    await cascade.start()
    problem = make_problem()
    assert cascade.slots == 2
    assert (await cascade.evaluate(problem, problem.initials[0])).score == 7
    await cascade.close()


@pytest.mark.parametrize("address", ["ray://head:10001"])
def test_ray_client_addresses_are_refused(address: str) -> None:
    with pytest.raises(EvolveError, match="Ray client"):
        evaluators.auto(address=address)


def test_no_workers_are_refused() -> None:
    with pytest.raises(EvolveError, match=r"evaluator\.workers=0"):
        evaluators.local(workers=0)


@pytest.mark.parametrize("name", ["circle_packing", "online_bin_packing"])
async def test_a_bundled_problem_runs(name: str) -> None:
    cascade, problem = evaluators.local(workers=1), load_problem(name)
    await cascade.start()
    assert (await cascade.evaluate(problem, problem.initials[0])).status is Status.OK
    await cascade.close()
