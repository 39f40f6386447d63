"""A stage that saves its state goes on from it after its worker is lost, on every pool."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluators import Pool, StageJob
from evolve.problem import Problem
from evolve.runner.asks import alone
from evolve.types import Status

pytestmark = pytest.mark.asyncio(loop_scope="session")

CANDIDATE = """
total = 0.0
def f(step=0):
    global total
    total += step
    return total
def state():
    return [total]
def restore(state):
    global total
    [total] = state
"""
TRAINING = """
import os, signal
from pathlib import Path
def drive(instance, candidate, checkpoint, log):
    saved = checkpoint.load() or {"step": 0, "state": [0.0]}
    candidate.restore(saved["state"])
    for step in range(saved["step"] + 1, 7):
        with open(log, "a") as file:
            file.write(f"{step} ")
        total = candidate.f(step)
        checkpoint.save({"step": step, "state": candidate.state()})
        if step == 3 and not os.path.exists(log + ".lost"):
            Path(log + ".lost").touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return total
def score(instance, output): return output
"""
SAVES = "def score(instance, output, checkpoint):\n    checkpoint.save({data})\n    return 1.0\n"


class Kept(dict[tuple[Any, ...], bytes]):
    """Answers as a run does: keeps the last state of each place."""

    async def __call__(self, question: Any) -> bytes | None:
        place = tuple(question[name] for name in ("stage", "replicate", "instance"))
        if question["body"] is None:
            return self.get(place)
        self[place] = question["body"]
        return None


@pytest.fixture
def evaluate(pool: Pool, make_problem: Callable[..., Problem]) -> Callable[..., Any]:
    async def evaluate(evaluator: str, serve: Any, yaml: str = "", checkpoint: bool = True, **job: Any) -> Any:
        problem = make_problem(evaluator, yaml, CANDIDATE, checkpoint=checkpoint, timeout_s=20.0)
        return await pool.run(StageJob(problem=problem, stage="main", files={"initial.py": CANDIDATE}, **job), serve)

    return evaluate


async def test_a_retry_goes_on_from_what_was_saved(evaluate: Any, tmp_path: Path) -> None:
    log = tmp_path / "steps"
    outcome = await evaluate(TRAINING, Kept(), f"params: {{log: {log}}}")
    assert (outcome.status, outcome.score) == (Status.OK, 21.0), outcome.feedback
    assert log.read_text().split() == ["1", "2", "3", "4", "5", "6"]


async def test_outside_a_run_there_is_nothing_to_go_on_from(evaluate: Any, tmp_path: Path) -> None:
    log = tmp_path / "steps"
    assert (await evaluate(TRAINING, alone, f"params: {{log: {log}}}")).score == 21.0
    assert log.read_text().split() == ["1", "2", "3", "1", "2", "3", "4", "5", "6"]


async def test_each_instance_of_each_replicate_has_its_own(evaluate: Any) -> None:
    source = """
def instances(stage, rng): return ["a", "b"]
def drive(instance, candidate, checkpoint):
    found = checkpoint.load()
    checkpoint.save(instance.input)
    return float(found is not None) + (found is not None and found != instance.input)
def score(instance, output): return output
"""
    kept = Kept()
    scores = [(await evaluate(source, kept, replicate=r, holdout=h)).score for r, h in [(0, 0), (1, 0), (0, 1), (0, 0)]]
    assert scores == [0.0, 0.0, 0.0, 1.0] and len(kept) == 6


@pytest.mark.parametrize(
    "data", ["b'x' * 10", "[1, 2.5, None, 'a', {'b': [2**80]}]", "numpy.arange(6.0).reshape(2, 3)"]
)
async def test_data_comes_back_as_it_was(evaluate: Any, data: str) -> None:
    source = f"import numpy\nDATA = {data}\n{SAVES.format(data='DATA')}".replace(
        "return 1.0", "found = checkpoint.load()\n    return float(repr(found) == repr(DATA))"
    )
    assert (await evaluate(source, Kept())).score == 1.0


@pytest.mark.parametrize(
    ("data", "status", "says"),
    [
        (
            "bytes(17 << 20)",
            Status.LIMIT,
            r"the state is too large: a message of 17,825,\d+ bytes is over the limit of 16,777,216",
        ),
        ("[[]] * 3_000_000", Status.LIMIT, "the state is too large: .*more than 2,097,152 lists"),
        ("{1, 2}", Status.EVALUATOR_ERROR, r"checkpoint\.save\(\): set at \['data'\] is not data"),
    ],
)
async def test_what_can_not_be_saved_says_so(evaluate: Any, data: str, status: Status, says: str) -> None:
    outcome = await evaluate(SAVES.format(data=data), kept := Kept())
    assert outcome.status is status and not kept
    assert re.search(says, outcome.feedback), outcome.feedback


async def test_a_state_of_other_hardware_is_not_loaded(evaluate: Any) -> None:
    source = SAVES.format(data=1).replace(
        "    checkpoint.save", "    found = checkpoint.load() or 0\n    checkpoint.save"
    )
    source = source.replace("1.0", "found")
    kept, cpu = Kept(), "comparable_on: cpu_model"
    assert [(await evaluate(source, kept, yaml)).score for yaml in ("", cpu, cpu)] == [0, 0, 1]


async def test_a_stage_that_keeps_none_says_how_to_have_one(evaluate: Any) -> None:
    outcome = await evaluate(SAVES.format(data=1), Kept(), checkpoint=False)
    assert outcome.status is Status.EVALUATOR_ERROR and "write checkpoint: true under the stage" in outcome.feedback
    for without in ("def score(instance, output, checkpoint=None)", "def score(instance, checkpoint)"):
        assert (await evaluate(f"{without}: return 5.0", Kept(), checkpoint=False)).score == 5.0
