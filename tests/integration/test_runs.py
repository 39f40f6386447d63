"""Whole runs through the installed command: repeatable, killable, on Ray, through a model."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.lineage import Run
from tests.command import SCRIPT, environment, evolve, evolve_json, ok

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def llm(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A model's server in a process of its own: (api_base, log of its requests)."""
    import sys

    log = tmp_path / "requests.jsonl"
    command = [sys.executable, "-m", "tests.llm_server", "--port", "0", "--latency", "0.05", "--log", str(log)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    yield server.stdout.readline().strip(), log
    server.terminate()
    server.wait(10)


def counted(folder: Path, budget: int) -> dict[str, int]:
    """Asserts that a finished run's counts add up to its budget; returns them."""
    status = evolve_json("status", ".", cwd=folder)
    assert status["state"] == "finished"
    counts = dict(status["candidates"])
    assert counts.pop("in_flight") == 0
    assert counts.pop("asked") == budget == sum(counts.values())
    return counts


@pytest.mark.parametrize(
    ("problem", "stage", "budget", "how"),
    [
        ("circle_packing", [], 50, []),
        ("online_bin_packing", ["stage.main.instances=1"], 30, ["selection.tuning=null"]),
        ("cap_set", [], 50, ["selection.tuning=null"]),
        ("autocorrelation", [], 40, []),
        ("sorting_network", [], 50, ["selection.tuning=null"]),
        ("matmul_tensor", [], 30, ["selection.tuning=null"]),
        ("cluster_scheduling", [], 20, ["selection.tuning=null"]),
        ("prompt_triage", [], 50, []),
        ("agent_qa", [], 40, ["selection.tuning=null"]),
    ],
)
def test_the_main_job(tmp_path: Path, problem: str, stage: list[str], budget: int, how: list[str]) -> None:
    words = [*stage, *how, f"budget.candidates={budget}", "seed=1", "run_dir=R"]
    ok("run", f"problem={problem}", *words, cwd=tmp_path)
    counted(tmp_path / "R", budget)
    best, first = evolve_json("best", "R", cwd=tmp_path), evolve_json("show", "R", "1", cwd=tmp_path)
    assert best["score"] > first["score"]
    checked = evolve_json("check", problem, *stage, "--candidate", "R/best", cwd=tmp_path)
    assert checked["score"] == best["score"] and checked["metrics"] == best["metrics"]


def test_ordered_runs_are_equal_byte_for_byte(tmp_path: Path) -> None:
    exports = set()
    for workers in (1, 2):
        for hash_seed in ("0", "7"):
            run_dir = f"w{workers}h{hash_seed}"
            words = ("schedule=ordered", "budget.candidates=30", f"evaluator.workers={workers}", f"run_dir={run_dir}")
            ok("run", *words, cwd=tmp_path, PYTHONHASHSEED=hash_seed)
            exports.add(ok("export", run_dir, "--to", "jsonl", "--no-measured", cwd=tmp_path))
    assert len(exports) == 1


def test_five_kills_lose_nothing(tmp_path: Path, llm: tuple[str, Path]) -> None:
    api_base, log = llm
    slots, budget = 4, 60
    model = ("llm=litellm", "llm.model=openai/test", f"llm.api_base={api_base}", f"llm.concurrency={slots}")
    words = ["run", f"budget.candidates={budget}", *model, "run_dir=R"]
    rng = random.Random(5)
    for kill in range(5):
        killed_after(words, tmp_path, lambda: requests(log), (kill + 1) * 7 + rng.randrange(7), rng.random() * 0.1)
        words = ["resume", "R"]
    ok("resume", "R", cwd=tmp_path)
    counted(tmp_path / "R", budget)
    run = Run.open(tmp_path / "R")
    rows = run.store.call_rows(run.run_id)
    arrived = [json.loads(line)["call"] for line in log.read_text().splitlines()]
    assert len(arrived) == len(set(arrived))
    assert set(arrived) <= {f"{run.run_id}/{row['id']}" for row in rows}
    done = [(row["candidate"], row["number"]) for row in rows if row["state"] == "done"]
    assert len(done) == len(set(done))
    assert sum(row["state"] == "lost" for row in rows) <= 5 * slots
    assert not any(row["state"] == "sent" for row in rows)


def test_an_ordered_run_is_the_same_with_a_kill_in_it(tmp_path: Path) -> None:
    words = ["run", "schedule=ordered", "budget.candidates=30"]
    ok(*words, "run_dir=A", cwd=tmp_path)
    killed_after([*words, "run_dir=B"], tmp_path, lambda: asked(tmp_path / "B"), 12, 0.0)
    ok("resume", "B", cwd=tmp_path)
    a, b = (ok("export", run, "--to", "jsonl", "--no-measured", cwd=tmp_path) for run in "AB")
    assert a == b


def killed_after(words: list[str], cwd: Path, count, least: int, pause_s: float) -> None:
    """Runs a command and kills it, and it alone, when `count()` has reached `least` (and a little later)."""
    process = subprocess.Popen([SCRIPT, *words], cwd=cwd, env=environment(), stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while count() < least and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(pause_s)
    assert process.poll() is None, "it ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()


def requests(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def asked(folder: Path) -> int:
    if not (folder / "run.json").exists():
        return 0
    return int(Run.open(folder).status()["candidates"]["asked"])


def test_a_second_runner_is_refused(tmp_path: Path) -> None:
    words = [SCRIPT, "run", "budget.candidates=100000", "run_dir=R"]
    process = subprocess.Popen(words, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    try:
        while asked(tmp_path / "R") < 5:
            time.sleep(0.05)
        done = evolve("resume", "R", "budget.candidates=5", cwd=tmp_path)
        assert done.returncode == 1 and f"process {process.pid}" in done.stderr
        assert evolve_json("status", "R", cwd=tmp_path)["state"] == "running"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 1
        assert evolve_json("status", "R", cwd=tmp_path)["state"] == "interrupted"
        assert evolve_json("status", "R", cwd=tmp_path)["candidates"]["in_flight"] == 0
    finally:
        process.kill()


def test_nothing_survives_a_killed_runner(tmp_path: Path) -> None:
    killed_after(["run", "budget.candidates=100000", "run_dir=R"], tmp_path, lambda: asked(tmp_path / "R"), 5, 0.0)
    until = time.monotonic() + 20
    while workers_of(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert not workers_of(tmp_path)


def workers_of(folder: Path) -> list[str]:
    """Returns worker and candidate processes whose working directory was the run's."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().decode()
            if "evaluators" in command and (entry / "cwd").resolve() == folder:
                found.append(command)
        except OSError:
            continue
    return found


def test_on_ray(tmp_path: Path) -> None:
    ok(
        "run",
        "budget.candidates=20",
        "evaluator=ray",
        "evaluator.workers=2",
        "schedule=ordered",
        "run_dir=R",
        cwd=tmp_path,
    )
    counted(tmp_path / "R", 20)
    ok("run", "budget.candidates=20", "evaluator=local", "schedule=ordered", "run_dir=L", cwd=tmp_path)
    ray, local = (ok("export", run, "--to", "jsonl", "--no-measured", cwd=tmp_path) for run in "RL")
    assert ray == local


def test_through_a_model(tmp_path: Path, llm: tuple[str, Path]) -> None:
    api_base, log = llm
    model = ("llm=litellm", "llm.model=openai/test", f"llm.api_base={api_base}")
    ok("run", "budget.candidates=20", *model, "run_dir=R", cwd=tmp_path)
    counted(tmp_path / "R", 20)
    status = evolve_json("status", "R", cwd=tmp_path)
    assert 20 <= status["llm"]["calls"] == requests(log) and status["llm"]["tokens_in"] > 0
    assert status["llm"]["cost_usd"] is None


def test_a_missing_key_is_one_line(tmp_path: Path) -> None:
    done = evolve("run", "llm=litellm", "llm.model=gpt-4o", "run_dir=R", cwd=tmp_path)
    assert done.returncode == 1 and "OPENAI_API_KEY" in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "R").exists()


def test_a_finished_run_goes_on_with_a_larger_budget(tmp_path: Path) -> None:
    ok("run", "budget.candidates=10", "run_dir=R", cwd=tmp_path)
    ok("resume", "R", "budget.candidates=25", cwd=tmp_path)
    counted(tmp_path / "R", 25)
