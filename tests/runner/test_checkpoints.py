"""What evaluations save while they run: durable, their own, gone once their candidate is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

import evaluators
from evolve.errors import RunError
from evolve.llm.scripted import Scripted
from evolve.loading import load_problem
from evolve.population import schema
from evolve.types import Evaluation, StageOutcome, Status
from tests.evaluators.test_checkpoint import CANDIDATE, TRAINING
from tests.runner.driving import Case, Judging, answer, case, store_of, turns, value_of

STEPS = 4
Step = tuple[int, str, int, int]  # candidate, stage, replicate, number


class Training(Judging):
    """An evaluator that saves after each step, and goes on from what was saved."""

    def __init__(self, saved: Callable[[Step], None] = lambda step: None):
        super().__init__()
        self.steps: list[Step] = []
        self._saved = saved

    async def evaluate(self, problem, files, *, candidate, on_stage, serve, **_: Any) -> Evaluation:
        outcome = await self._train(candidate, files, serve, "main", 0)
        on_stage(outcome)
        return Evaluation(status=Status.OK, score=outcome.score, metrics=outcome.metrics, stages=(outcome,))

    async def measure(self, problem, files, *, candidate, replicate=0, holdout=False, serve, **_: Any) -> StageOutcome:
        stage = "main" + " holdout" * holdout
        found = await self._train(candidate, files, serve, stage, replicate)
        return replace(found, stage="holdout" if holdout else "main", replicate=replicate)

    async def _train(self, candidate: int, files: Any, serve: Any, stage: str, replicate: int) -> StageOutcome:
        question = {"kind": "checkpoint", "stage": stage, "replicate": replicate, "instance": 0}
        for step in range(int(await serve({**question, "body": None}) or b"0") + 1, STEPS + 1):
            await turns(1)
            await serve({**question, "body": b"%d" % step})
            self.steps.append((candidate, stage, replicate, step))
            self._saved(self.steps[-1])
        score = value_of(files["initial.py"])
        return StageOutcome(stage="main", status=Status.OK, score=score, metrics={"score": score})


def keeping(run: Case) -> Case:
    stages = tuple(replace(stage, checkpoint=True) for stage in run.problem.stages)
    run.problem = replace(run.problem, stages=stages)
    return run


def rows(run: Case) -> int:
    with store_of(run).reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.checkpoints)).scalar_one()


@pytest.mark.parametrize("moment", [2, 6, 15, 34, 58])
@pytest.mark.parametrize("window", [None, 4])
async def test_killed_at_any_step_it_takes_none_of_them_twice(tmp_path, moment, window):
    copies: list[Case] = []

    def saved(step: Step) -> None:
        if len(run.evaluator.steps) == moment:
            copies.append(run.snapshot(tmp_path / "killed"))
            before.extend(run.evaluator.steps)

    before: list[Step] = []
    parts = {"window": window, "spec": "holdout: {instances: 3}"}
    run = keeping(case(tmp_path / "whole", 12, evaluator=Training(saved), **parts))
    assert (await run.start()).state == "finished"
    [copy] = map(keeping, copies)
    assert rows(copy) > 0
    ended = await copy.resume(provider=Scripted(answer, concurrency=3), evaluator=Training())
    assert ended.state == "finished" and copy.status()["candidates"]["in_flight"] == 0
    after, (candidate, stage, replicate, step) = copy.evaluator.steps, before[-1]
    assert not set(before) & set(after) and len(after) == len(set(after))
    assert step == STEPS or (candidate, stage, replicate, step + 1) in after
    assert rows(run) == rows(copy) == 0


async def test_a_second_look_and_a_hold_out_start_afresh(tmp_path):
    run = keeping(case(tmp_path, 6, evaluator=Training(), spec="holdout: {instances: 3}"))
    await run.start()
    places = {step[:3] for step in run.evaluator.steps}
    assert (1, "main", 1) in places and any(stage == "main holdout" for _, stage, _ in places)
    assert len(run.evaluator.steps) == STEPS * len(places)


async def test_a_run_whose_initial_program_had_saved_something_stays(tmp_path):
    class Failing(Training):
        async def evaluate(self, *_: Any, **parts: Any) -> Evaluation:
            await super().evaluate(*_, **parts)
            return Evaluation(status=Status.CRASH, feedback="boom")

    run = keeping(case(tmp_path, 3, evaluator=Failing()))
    with pytest.raises(RunError, match="ends as crash: boom"):
        await run.start()
    assert (await run.resume(evaluator=Training())).state == "finished"
    assert not any(candidate == 1 and replicate == 0 for candidate, _, replicate, _ in run.evaluator.steps)


async def test_with_real_workers_a_lost_one_costs_no_step(tmp_path):
    run = case(tmp_path, 0, evaluator=evaluators.local(workers=1))
    folder, log = tmp_path / "training", tmp_path / "steps"
    folder.mkdir()
    (folder / "initial.py").write_text(CANDIDATE)
    (folder / "evaluator.py").write_text(TRAINING)
    (folder / "problem.yaml").write_text(f"entry: f\nparams: {{log: {log}}}\nstages: {{main: {{checkpoint: true}}}}\n")
    run.problem = load_problem(str(folder))
    await run.start()
    assert log.read_text().split() == list("123456" * 2)  # and the second look's
    assert run.run().candidate(1).score == 21.0 and rows(run) == 0
