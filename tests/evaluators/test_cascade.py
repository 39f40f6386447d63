"""The cascade over a fake pool: order, thresholds, what the evaluation keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

import evaluators
from evaluators import Cascade, StageJob
from evolve.errors import EvolveError
from evolve.loading import load_problem
from evolve.problem import Problem
from evolve.types import StageOutcome, Status


class InlinePool:
    """Gives prepared outcomes (or what a function makes of a job), and keeps the jobs that it ended, in that order."""

    isolation = "bare"

    def __init__(self, slots: int = 1, **outcomes: StageOutcome | Callable[[StageJob], StageOutcome]):
        self.slots = slots
        self.outcomes = outcomes
        self.jobs: list[StageJob] = []
        self.at_once = 0
        self._running = 0
        self._free = asyncio.Semaphore(slots)

    @property
    def ran(self) -> list[str]:
        return [job.stage for job in self.jobs]

    async def start(self, problem: object = None, measured_on: str = "") -> None: ...

    async def close(self) -> None: ...

    async def run(self, job: StageJob, serve: object = None) -> StageOutcome:
        async with self._free:
            self._running += 1
            self.at_once = max(self.at_once, self._running)
            for _ in range(10 - job.replicate):  # the last replicate ends first
                await asyncio.sleep(0)
            self._running -= 1
        self.jobs.append(job)
        found = self.outcomes[job.stage]
        return found(job) if callable(found) else found


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
    with pytest.raises(EvolveError, match=r"evaluator\.isolation=nonsense: must be one of auto, strict, guarded, bare"):
        Cascade(InlinePool(), isolation="nonsense")


async def test_a_level_that_the_workers_lack_is_refused(make_problem: Callable[..., Problem]) -> None:
    with pytest.raises(EvolveError, match=r"evaluator\.isolation=strict is not available here, the workers have bare"):
        await Cascade(InlinePool(), isolation="strict").start()
    with pytest.raises(EvolveError, match=r"problem\.yaml: isolation: guarded, but the workers have bare"):
        await Cascade(InlinePool()).start(make_problem(yaml="isolation: guarded"))


async def test_the_level_is_the_workers_and_kept_with_each_outcome(problem: Problem) -> None:
    cascade = Cascade(InlinePool(fast=done("fast", 1.0), main=done("main", 1.0)), isolation="bare")
    evaluation = await cascade.evaluate(problem, {})
    assert [cascade.isolation, *(outcome.isolation for outcome in evaluation.stages)] == ["bare"] * 3


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


@pytest.mark.parametrize(
    "name",
    [
        "autocorrelation",
        "cap_set",
        "circle_packing",
        "cluster_scheduling",
        "matmul_tensor",
        "online_bin_packing",
        "sorting_network",
    ],
)
async def test_a_bundled_problem_runs(name: str) -> None:
    cascade, problem = evaluators.local(workers=1), load_problem(name)
    await cascade.start()
    assert (await cascade.evaluate(problem, problem.initials[0])).status is Status.OK
    await cascade.close()


# ---------------------------------------------------------------- replicates


@pytest.fixture
def noisy(make_problem: Callable[..., Problem]) -> Problem:
    spec = "objectives: {cost: minimize}\ndeterministic: false\nstages: {main: {replicates: 3, draw: paired}}"
    return make_problem(yaml=spec)


def by_replicate(*scores: float) -> Callable[[StageJob], StageOutcome]:
    return lambda job: done("main", scores[job.replicate])


@pytest.mark.parametrize("slots", [1, 2, 3])
async def test_replicates_run_at_once_where_there_are_slots_and_are_told_in_order(noisy: Problem, slots: int) -> None:
    told: list[int] = []
    pool = InlinePool(slots, main=by_replicate(-1.0, -2.0, -6.0))
    evaluation = await Cascade(pool).evaluate(noisy, {}, on_stage=lambda outcome: told.append(outcome.replicate))
    assert pool.at_once == slots and told == [0, 1, 2]
    assert (evaluation.score, evaluation.metrics, evaluation.n) == (-3.0, {"cost": 3.0}, 3)
    assert evaluation.stderr == pytest.approx((7 / 3) ** 0.5)


async def test_a_threshold_applies_to_the_mean(noisy: Problem) -> None:
    pool = InlinePool(main=by_replicate(-1.0, -2.0, -6.0))
    rejected = await Cascade(pool).evaluate(noisy, {}, thresholds={"main": -2.5})
    assert (rejected.status, rejected.score, rejected.stderr) == (Status.REJECTED, None, None)
    assert rejected.feedback.startswith("stage 'main': cost 3 does not reach 2.5")
    assert (await Cascade(pool).evaluate(noisy, {}, thresholds={"main": -3.0})).status is Status.OK


@pytest.mark.parametrize("seconds", [0.1, 9.0])
@pytest.mark.parametrize("slots", [1, 3])
async def test_one_failing_replicate_fails_the_stage_and_equal_runs_keep_the_same(
    noisy: Problem, slots: int, seconds: float
) -> None:
    def judge(job: StageJob) -> StageOutcome:
        crash = StageOutcome(stage="main", status=Status.CRASH, feedback="ZeroDivisionError", seconds=seconds)
        return crash if job.replicate == 1 else done("main", 1.0)

    pool = InlinePool(slots, main=judge)
    evaluation = await Cascade(pool).evaluate(noisy, {})
    assert (evaluation.status, evaluation.score, evaluation.feedback) == (Status.CRASH, None, "ZeroDivisionError")
    assert slots == 3 or len(pool.jobs) == (3 if seconds < 1 else 2)  # what has not begun is not begun after a long one
    assert [(o.replicate, o.status) for o in evaluation.stages] == [(0, Status.OK), (1, Status.CRASH)]


async def test_stored_replicates_are_not_run_again(noisy: Problem) -> None:
    pool = InlinePool(3, main=by_replicate(-1.0, -2.0, -6.0))
    stored = [replace(done("main", -4.0), replicate=1)]
    evaluation = await Cascade(pool).evaluate(noisy, {}, done=stored)
    assert sorted(job.replicate for job in pool.jobs) == [0, 2] and evaluation.score == pytest.approx(-11 / 3)


# ---------------------------------------------------------------- bounds, the hold-out, hardware


@pytest.mark.parametrize(("cost", "status"), [(0.9, Status.SUSPECT), (1.0 - 1e-12, Status.OK), (1.1, Status.OK)])
async def test_better_than_a_declared_bound_is_suspect(
    make_problem: Callable[..., Problem], cost: float, status: Status
) -> None:
    known = "known: {cost: {best: 1.5, bound: 1.0, source: a proof}}"
    problem = make_problem(yaml=f"objectives: {{cost: minimize}}\n{known}")
    evaluation = await Cascade(InlinePool(main=done("main", -cost))).evaluate(problem, {})
    assert evaluation.status is status and (evaluation.score is None) == (status is Status.SUSPECT)
    assert ("cost 0.9 is better than the bound 1" in evaluation.feedback) == (status is Status.SUSPECT)


async def test_the_hold_out_runs_the_last_stage_on_its_instances_with_time_for_them(
    make_problem: Callable[..., Problem],
) -> None:
    problem = make_problem(yaml="holdout: {instances: 50}\nstages: {main: {instances: 10, timeout_s: 2, wall_s: 3}}")
    pool = InlinePool(main=done("main", 1.0))
    outcome = await Cascade(pool).measure(problem, {}, holdout=True)
    [job] = pool.jobs
    stage = job.problem.stage("main")
    assert (outcome.stage, job.holdout, stage.instances, stage.timeout_s, stage.wall_s) == ("holdout", True, 50, 10, 15)
    assert job.problem.hash == problem.hash


@pytest.fixture
def particular(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(yaml="comparable_on: cpu_model")


def on(model: str) -> StageOutcome:
    return replace(done("main", 1.0), node_class={"cpu_model": model, "gpu_model": ""})


async def test_what_other_hardware_measured_is_tried_once_more_and_then_infra(particular: Problem) -> None:
    models = iter(["A", "B", "A", "B", "B"])
    pool = InlinePool(main=lambda job: on(next(models)))
    cascade = Cascade(pool)
    first, second, third = [await cascade.evaluate(particular, {}) for _ in range(3)]
    assert (first.status, second.status, third.status) == (Status.OK, Status.OK, Status.INFRA)
    assert third.feedback == "comparable_on: cpu_model: the run is measured on 'A', this is 'B'" and not third.metrics


async def test_a_stored_runs_hardware_counts(particular: Problem) -> None:
    cascade = Cascade(InlinePool(main=on("B")))
    await cascade.start(particular, "A")
    assert (await cascade.evaluate(particular, {})).status is Status.INFRA


async def test_this_machine_refuses_a_run_of_other_hardware_at_once(particular: Problem) -> None:
    with pytest.raises(
        EvolveError, match=r"measured on 'Z80', this is .*; resume it on such a machine, or start a new run"
    ):
        await evaluators.local(workers=1).start(particular, "Z80")


async def test_any_hardware_will_do_where_nothing_else_is_said(problem: Problem) -> None:
    cascade = Cascade(InlinePool(fast=on("A"), main=on("B")))
    assert (await cascade.evaluate(problem, {})).status is Status.OK


async def test_a_stage_without_a_gpu_says_nothing_of_the_gpus(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(yaml="comparable_on: gpu_model\nstages: {fast: {}, main: {profile: gpu, gpus: 1}}")
    models = iter(["H100", "A100", "A100"])
    with_gpu = lambda job: replace(done("main", 1.0), node_class={"gpu_model": next(models)})  # noqa: E731
    cascade = Cascade(InlinePool(fast=replace(done("fast", 1.0), node_class={"gpu_model": ""}), main=with_gpu))
    assert [(await cascade.evaluate(problem, {})).status for _ in range(2)] == [Status.OK, Status.INFRA]
