"""What only the Ray pool has to keep: no key travels, problems travel by content, lost actors are replaced."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

import pytest

from evaluators import RayPool, StageJob
from evaluators.pool import Serve
from evaluators.ray_host import HostActor, unzip, zip_folder
from evaluators.ray_pool import scrubbed_environment
from evolve.errors import EvolveError
from evolve.folder import folder_hash
from evolve.problem import Problem
from evolve.types import StageOutcome, Status

on_ray = pytest.mark.parametrize("pool", ["ray"], indirect=True)


def test_a_folder_travels_by_content(tiny: Problem, tmp_path: Path) -> None:
    unzip(zip_folder(tiny.path), tmp_path / "there")
    assert folder_hash(tmp_path / "there", {}, {}) == folder_hash(tiny.path, {}, {})


def test_the_environment_is_scrubbed_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_API_KEY", "sk-secret")
    with scrubbed_environment():
        assert "FAKE_API_KEY" not in os.environ and "PATH" in os.environ
    assert os.environ["FAKE_API_KEY"] == "sk-secret"


@pytest.mark.integration
@pytest.mark.asyncio(loop_scope="session")
@on_ray
async def test_rays_workers_hold_no_key(pool: RayPool) -> None:
    import ray

    @ray.remote(num_cpus=0)
    def names() -> list[str]:
        return sorted(os.environ)

    assert "FAKE_API_KEY" in os.environ
    assert "FAKE_API_KEY" not in await names.remote()


@pytest.mark.integration
@pytest.mark.asyncio(loop_scope="session")
@on_ray
async def test_a_lost_actor_is_replaced_and_its_job_run_again(pool: RayPool, tiny: Problem, tmp_path: Path) -> None:
    import ray

    os.mkfifo(tmp_path / "fifo")
    source = f"""
import os, time
def f():
    if os.path.exists({str(tmp_path / "mark")!r}):
        return 7
    open({str(tmp_path / "mark")!r}, "w").close()
    open({str(tmp_path / "fifo")!r}, "w").close()
    time.sleep(100)
"""
    task = asyncio.ensure_future(pool.run(StageJob(problem=tiny, stage="main", files={"initial.py": source})))
    await asyncio.to_thread((tmp_path / "fifo").read_text)
    ray.kill(pool._hosts[0].actor)
    assert (await task).score == 7


class Asks:
    """A pool whose job asks until it is refused."""

    isolation = "bare"

    async def run(self, job: StageJob, serve: Serve) -> StageOutcome:
        answers = []
        while True:
            try:
                answers.append(await serve({"kind": "llm", "number": len(answers)}))
            except EvolveError as error:
                return StageOutcome(stage=job.stage, status=Status.OK, feedback=f"{answers}, then {error}")


async def test_a_jobs_questions_are_a_conversation_of_calls(tiny: Problem) -> None:
    host = HostActor("auto")
    host._pool = Asks()  # type: ignore[assignment]
    boxed = asyncio.get_running_loop().create_future()
    boxed.set_result(zip_folder(tiny.path))
    kind, value = await host.run(StageJob(problem=tiny, stage="main", files={}), [boxed])
    for number in range(2):
        assert (kind, value) == ("ask", {"kind": "llm", "number": number})
        kind, value = await host.answer(("answer", number * 10))
    kind, value = await host.answer(("refused", EvolveError("no more")))
    assert kind == "outcome" and value.feedback == "[0, 10], then no more"


def test_an_actor_removes_what_killed_ones_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, killed = HostActor("auto"), HostActor("auto")
    killed._lock.close()
    third = HostActor("auto")
    assert {*map(str, tmp_path.iterdir())} == {living._folders, third._folders}


async def test_stopping_a_job_that_waits_for_an_answer(tiny: Problem) -> None:
    host = HostActor("auto")
    host._pool = Asks()  # type: ignore[assignment]
    boxed = asyncio.get_running_loop().create_future()
    boxed.set_result(zip_folder(tiny.path))
    assert (await host.run(StageJob(problem=tiny, stage="main", files={}), [boxed]))[0] == "ask"
    await host.stop()
    assert host._job is not None and host._job.cancelled()
