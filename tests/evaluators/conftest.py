"""One tiny problem whose candidates choose what happens, and every pool under one contract."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from evaluators import LocalPool, Pool, RayPool, StageJob
from evolve.loading import load_problem
from evolve.problem import Problem
from evolve.types import StageOutcome

EVALUATOR = """
import os, time
from evolve.problem import Invalid, Result

def score(instance, output):
    print("scoring", output if isinstance(output, (str, float)) else type(output))
    match output:
        case "invalid":
            raise Invalid("discs 3 and 7 overlap")
        case "raise":
            return {}["missing"]
        case "exit":
            raise SystemExit(3)
        case "nan":
            return float("nan")
        case "text":
            return "good"
        case "other":
            return {"speed": 1.0}
        case "hang":
            while True:
                pass
        case [value, *_]:
            return Result({"score": value}, feedback="first of several", features={"many": True}, artifacts={"a": "b"})
    return output
"""

GOOD = "def f():\n    return 7"


@pytest.fixture(scope="session")
def make_problem(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Problem]:
    """Makes a problem's folder from its evaluator and what its problem.yaml says besides `entry: f`."""

    def make(evaluator: str = EVALUATOR, yaml: str = "", initial: str = GOOD, **stage: object) -> Problem:
        folder: Path = tmp_path_factory.mktemp("problem")
        (folder / "evaluator.py").write_text(evaluator)
        (folder / "initial.py").write_text(initial)
        (folder / "problem.yaml").write_text(f"entry: f\n{yaml}")
        return load_problem(str(folder), stages={"main": stage} if stage else None)

    return make


@pytest.fixture(scope="session")
def tiny(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(timeout_s=20.0, memory_mb=300)


@pytest.fixture(scope="session")
def hasty(make_problem: Callable[..., Problem]) -> Problem:
    return make_problem(timeout_s=0.5, wall_s=60.0)


@pytest_asyncio.fixture(
    scope="package",  # a process has one Ray at a time, and other packages' tests need another
    loop_scope="session",
    params=["local", pytest.param("ray", marks=pytest.mark.integration)],
)
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    """One worker that serves all tests: each shows as well that the one before left it in order.

    At level bare, where candidates can tell the tests by files what they did; tests/hostile has the other levels.
    """
    pool: Pool = LocalPool(1, "bare") if request.param == "local" else RayPool(1, isolation="bare")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAKE_API_KEY", "sk-secret")
        await pool.start()
        yield pool
        await pool.close()


@pytest.fixture
def run(pool: Pool, tiny: Problem) -> Callable[..., object]:
    """Runs a candidate's source in the tiny problem (or another one)."""

    async def run(source: str = GOOD, problem: Problem = tiny, draw_seed: int = 0, **files: str) -> StageOutcome:
        texts = {"initial.py": source, **files}
        stage = problem.stages[0].name
        return await pool.run(StageJob(problem=problem, stage=stage, files=texts, draw_seed=draw_seed))

    return run
