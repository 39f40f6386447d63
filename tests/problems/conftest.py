"""Candidates of bundled problems, run in the sandbox as a run would: `run(problem, source, stage)`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from evaluators import LocalPool, Pool, StageJob
from evolve.problem import Problem
from evolve.types import StageOutcome

Run = Callable[..., Awaitable[StageOutcome]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        pool = LocalPool(1)
        await pool.start()
        yield pool
        await pool.close()


@pytest.fixture
def run(pool: Pool) -> Run:
    """Runs one stage of a candidate; without a text, of the initial program."""

    async def run(problem: Problem, source: str | None = None, stage: str = "main", **facts: object) -> StageOutcome:
        files = {**problem.initials[0], **({} if source is None else {problem.edit[0]: source})}
        return await pool.run(StageJob(problem=problem, stage=stage, files=files, **facts))

    return run
