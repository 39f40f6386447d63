"""The Ray pool on a small cluster: shapes, refusals, nodes that go and come, candidates that take actors down."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from evaluators import RayPool, StageJob, gpu, ray_pool
from evaluators.ray_host import HostActor
from evaluators.ray_pool import HostLost
from evolve.errors import EvolveError
from evolve.loading import load_problem
from evolve.problem import Problem
from evolve.types import StageOutcome, Status

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]

STAGES = """
entry: f
stages:
  quick: {timeout_s: 20}
  wide: {timeout_s: 20, cpus: 2}
  shared: {timeout_s: 20, cpus: 0, profile: gpu, gpus: 0.5, resources: {big: 1}}
"""
GOOD = "def f():\n    return 7"
ACTOR = """
import os
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
actor = parent(parent(os.getppid()))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing but small stages, and a larger node."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
    made.large = made.add_node(num_cpus=3, num_gpus=1, resources={"big": 2})
    yield made
    made.shutdown()


@pytest_asyncio.fixture(loop_scope="session")
async def make_pool(cluster: Any) -> AsyncIterator[Callable[..., RayPool]]:
    made: list[RayPool] = []

    def make(**keys: Any) -> RayPool:
        made.append(RayPool(address=cluster.address, **{"isolation": "bare", **keys}))
        return made[-1]

    yield make
    for pool in made:
        await pool.close()


def problem_in(folder: Path, yaml: str = STAGES) -> Problem:
    (folder / "problem.yaml").write_text(yaml)
    (folder / "initial.py").write_text(GOOD)
    (folder / "evaluator.py").write_text("def score(instance, output):\n    return output\n")
    return load_problem(str(folder))


def job(problem: Problem, stage: str = "quick", source: str = GOOD) -> StageJob:
    return StageJob(problem=problem, stage=stage, files={"initial.py": source})


async def soon(done: Callable[[], object], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():
            await asyncio.sleep(0.1)


def all_of(pool: RayPool, *jobs: StageJob) -> Awaitable[list[StageOutcome]]:
    return asyncio.gather(*(pool.run(job) for job in jobs))


async def test_stages_of_different_shapes_share_the_cluster(make_pool: Any, tmp_path: Path) -> None:
    problem, pool = problem_in(tmp_path), make_pool()
    await pool.start(problem)
    assert pool.slots == 4 and pool.isolation == "bare"
    devices = "import os\ndef f():\n    return float('CUDA_VISIBLE_DEVICES' in os.environ)"
    jobs = [job(problem, stage) for _ in range(6) for stage in ("quick", "wide")]
    outcomes = await all_of(pool, *jobs, *[job(problem, "shared", devices)] * 4)
    assert [outcome.score for outcome in outcomes[:12]] == [7] * 12, outcomes
    shared = (Status.OK, 1) if gpu.devices() else (Status.SKIPPED, None)  # Ray's GPU need not be one
    assert [(outcome.status, outcome.score) for outcome in outcomes[12:]] == [shared] * 4, outcomes
    assert {dict(host.shape.needs).get("GPU") for host in pool._hosts} >= {None}


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("entry: f\nstages: {main: {cpus: 4}}", "stage 'main' needs CPU=4, and no node .* more than 3; .*main.cpus"),
        ("entry: f\nstages: {main: {resources: {fpga: 1}}}", "needs fpga=1, .* more than 0; .*start a node"),
        ("entry: f\nrequires: [no-such-program]", "no evaluation actor started: .* lacks no-such-program"),
        ("entry: f\npreload: [no_such_module]", "preload: no_such_module can't be imported there"),
    ],
)
async def test_what_no_node_has_is_an_error_at_the_start(make_pool: Any, tmp_path: Path, yaml: str, says: str) -> None:
    with pytest.raises(EvolveError, match=says):
        await make_pool().start(problem_in(tmp_path, yaml))


async def test_nodes_with_another_engine_are_an_error(
    make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_pool, "facts", lambda problem: {"python": "3.11", "engine": "0ld"})
    with pytest.raises(EvolveError, match=r"node .*: its (python|engine) is .*, the driver's .*; install the same"):
        await make_pool().start(problem_in(tmp_path))


async def test_nodes_of_a_weaker_level_are_not_used(
    make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, pool = problem_in(tmp_path), make_pool(workers=1)
    await pool.start(problem)
    first, second = list(pool._nodes.values())
    pool.isolation = "strict"  # as if the first had shown that
    pool._lose(pool._hosts[0], HostLost("a test"))
    running = asyncio.ensure_future(pool.run(job(problem)))
    await soon(lambda: first.refused and second.refused, 120.0)
    assert {first.refused, second.refused} == {"it isolates at level bare only, the run at strict"}
    assert not running.done()
    running.cancel()


async def test_nodes_without_evolve_are_an_error(
    make_pool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_here = types.ModuleType("only_here")
    monkeypatch.setitem(sys.modules, "only_here", only_here)
    only_here.HostActor = type("HostActor", (HostActor,), {"__module__": "only_here"})  # type: ignore[attr-defined]
    monkeypatch.setattr(ray_pool, "HostActor", only_here.HostActor)
    with pytest.raises(EvolveError, match=r"node .*: Evolve can't be imported there \(.*No module named 'only_here'\)"):
        await make_pool().start(problem_in(tmp_path))


async def test_a_candidate_that_takes_its_actor_down_twice_is_quarantined(make_pool: Any, tmp_path: Path) -> None:
    problem, pool = problem_in(tmp_path), make_pool(workers=1)
    await pool.start(problem)
    kills = f"{ACTOR}\nimport time\ndef f():\n    os.kill(actor, 9)\n    time.sleep(100)"
    outcome = await pool.run(job(problem, source=kills))
    assert outcome.status == Status.CRASH and "took down the actor that ran it, 2 times" in outcome.feedback
    assert (await pool.run(job(problem))).score == 7


async def test_lost_nodes_blame_nobody_and_new_ones_are_used(
    cluster: Any, make_pool: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    problem, pool = problem_in(tmp_path), make_pool(patience_s=4.0)
    await pool.start(problem)
    began = tmp_path / "began"
    source = f"import time, os\ndef f():\n    open({str(began)!r}, 'a').write('x')\n    time.sleep(1)\n    return 7"
    tasks = [asyncio.create_task(pool.run(job(problem, source=source))) for _ in range(8)]
    await soon(lambda: began.exists() and os.path.getsize(began) >= 4)
    await asyncio.to_thread(cluster.remove_node, cluster.large, allow_graceful=False)
    assert [outcome.score for outcome in await asyncio.gather(*tasks)] == [7] * 8
    assert os.path.getsize(began) > 8  # some ran again
    await soon(lambda: pool.slots == 1)

    with caplog.at_level(logging.WARNING, logger="evolve"):
        stranded = await all_of(pool, *[job(problem, "wide")] * 2)
    assert {outcome.status for outcome in stranded} == {Status.INFRA}
    assert caplog.text.count("no Ray node can run evaluations now; waiting 4 s") == 1

    waits = asyncio.create_task(pool.run(job(problem, "wide")))
    cluster.large = cluster.add_node(num_cpus=3, num_gpus=1, resources={"big": 2})
    assert (await waits).score == 7 and pool.slots == 4


async def test_what_others_use_delays_nobody_who_can_run_elsewhere(make_pool: Any, tmp_path: Path) -> None:
    import ray

    problem, pool = problem_in(tmp_path), make_pool()
    await pool.start(problem)
    taken = [ray.remote(num_cpus=1)(_Idle).remote() for _ in range(2)]
    try:
        outcomes = await all_of(pool, *[job(problem)] * 8)
        assert {outcome.score for outcome in outcomes} == {7}
    finally:
        for actor in taken:
            ray.kill(actor)


class _Idle: ...


async def test_nodes_with_other_hardware_are_not_used_where_scores_depend_on_it(make_pool: Any, tmp_path: Path) -> None:
    yaml = STAGES.replace("entry: f", "entry: f\ncomparable_on: cpu_model")
    problem, pool = problem_in(tmp_path, yaml), make_pool()
    await pool.start(problem)
    assert pool._model and {host.model for host in pool._hosts} == {pool._model}
    assert pool._other_model("another") and not pool._other_model("")
    with pytest.raises(EvolveError, match=r"no evaluation actor started: .*the run is measured on 'Z80', this is"):
        await make_pool().start(problem, "Z80")


LOSING = """
import os, signal
def drive(instance, candidate, checkpoint):
    step = checkpoint.load() or 0
    if step == 0:
        checkpoint.save(5)
        os.kill(os.getppid(), signal.SIGKILL)
    return float(step)
def score(instance, output): return output
"""


async def test_what_a_stage_saved_outlives_its_actor(make_pool: Any, tmp_path: Path) -> None:
    async def serve(question: Any) -> bytes | None:
        kept.append(question["body"] or kept[-1])
        return kept[-1]

    kept: list[bytes | None] = [None]
    problem, pool = problem_in(tmp_path, "entry: f\nstages: {quick: {checkpoint: true}}"), make_pool(workers=1)
    (tmp_path / "evaluator.py").write_text(LOSING)
    await pool.start(problem)
    assert (await pool.run(job(problem), serve)).score == 5
