"""What only the Ray pool has to keep: no key travels, problems travel by content, lost actors are replaced."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from evaluators import RayPool, StageJob
from evaluators.ray_host import unzip, zip_folder
from evaluators.ray_pool import scrubbed_environment
from evolve.problem import Problem, folder_hash

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
