"""Replicates, draws, second evaluations and the hold-out on real workers: equal runs stay equal."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

import evolve
from tests.command import SCRIPT, environment, evolve_json, ok

pytestmark = pytest.mark.integration

EVALUATOR = """
from evolve.problem import Instance

def instances(stage, rng):
    return [Instance(float(x), name=f"x={x:.3f}") for x in rng.random(stage.instances)]

def score(instance, output):
    return -abs(float(output) - instance.input ** 2)
"""
SPEC = """
holdout: {instances: 20}
stages:
  fast: {instances: 2, draw: fresh, pass_if: ">= q25"}
  main: {instances: 6, draw: paired, replicates: 3}
"""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    folder = tmp_path / "squares"
    folder.mkdir()
    (folder / "evaluator.py").write_text(EVALUATOR)
    (folder / "initial.py").write_text("def f(x):\n    return 0.5 * x + 0.1\n")
    (folder / "problem.yaml").write_text(SPEC)
    return ["problem=./squares", "schedule=ordered", "budget.candidates=60"]


def test_ordered_runs_are_equal_at_any_number_of_workers(tmp_path: Path, words: list[str]) -> None:
    exports = []
    for workers in (1, 2):
        ok("run", *words, f"evaluator.workers={workers}", f"run_dir=w{workers}", cwd=tmp_path)
        exports.append(ok("export", f"w{workers}", "--to", "jsonl", "--no-measured", cwd=tmp_path))
    assert exports[0] == exports[1]
    best, first = evolve_json("best", "w2", cwd=tmp_path), evolve_json("show", "w2", "1", cwd=tmp_path)
    assert best["score"] > first["score"] and first["n"] == 4 and best["stderr"] > 0
    replicates = [stage["replicate"] for stage in best["stages"]]
    assert replicates == [0, *range(len(replicates) - 1)] and len(replicates) >= 5  # the second look, and races
    one, two = (evolve_json("status", run, cwd=tmp_path) for run in ("w1", "w2"))
    assert one["final"] == two["final"] and one["final"]["candidate"] == best["id"] and one["final"]["n"] == best["n"]
    assert best["holdout"]["instances"] == 20 == one["holdout"]["instances"]


ADDS = """
from evolve.problem import Invalid, Result

def score(instance, output):
    if type(output) is not list:
        raise Invalid("no list")
    return Result({"score": sum(output)}, feedback=f"{len(output)} numbers")
"""
IMPROVES = "def f(incumbent=None):\n    return ((incumbent and incumbent()) or []) + [1.5]\n"
LENDS = "incumbent: true\nstages: {main: {}, alone: {}}\n"


def test_the_best_output_so_far_is_lent_and_the_last_stage_scores_without_it(tmp_path: Path) -> None:
    folder = tmp_path / "adds"
    folder.mkdir()
    for name, text in {"evaluator.py": ADDS, "initial.py": IMPROVES, "problem.yaml": LENDS}.items():
        (folder / name).write_text(text)
    assert evolve_json("check", "./adds", cwd=tmp_path)["metrics"] == {"score": 1.5}
    words = ["problem=./adds", "schedule=ordered", "schedule.window=3", "budget.candidates=20", "selection.tuning=null"]
    for workers in (1, 2):
        ok("run", *words, f"evaluator.workers={workers}", f"run_dir=w{workers}", cwd=tmp_path)
    exports = [ok("export", f"w{n}", "--to", "jsonl", "--no-measured", "-", cwd=tmp_path) for n in (1, 2)]
    assert exports[0] == exports[1]
    ok("run", "llm=replay", "replay.run=w1", "replay.evaluations=run", "run_dir=again", cwd=tmp_path)
    assert ok("export", "again", "--to", "jsonl", "--no-measured", "-", cwd=tmp_path) == exports[0]
    asked = {
        event["candidate"]: event["data"]["incumbents"]
        for event in map(json.loads, exports[0].splitlines())
        if event["kind"] == "asked"
    }
    run = evolve.open_run(tmp_path / "w1")
    outputs = {1: 1.5}  # sums at main
    for candidate, lent in asked.items():
        found = {
            stage["stage"]: stage["metrics"]["score"] for stage in run.shown(candidate)["stages"] if stage["metrics"]
        }
        if run.candidate(candidate).status == "ok":
            assert found["main"] == pytest.approx(outputs[lent["main"]] + found["alone"])
            outputs[candidate] = found["main"]
    assert len(outputs) > 4 and max(outputs.values()) > 5
    shown = run.status()
    assert shown["output"] == {
        "id": max(outputs, key=lambda candidate: outputs[candidate]),
        "stage": "main",
        "score": max(outputs.values()),
        "metrics": {"score": max(outputs.values())},
    }
    assert f"best output candidate {shown['output']['id']}" in ok("status", "w1", cwd=tmp_path)


def test_the_best_output_outlives_a_kill_and_needs_no_room_for_artifacts(tmp_path: Path) -> None:
    folder = tmp_path / "adds"
    folder.mkdir()
    for name, text in {"evaluator.py": ADDS, "initial.py": IMPROVES, "problem.yaml": LENDS}.items():
        (folder / name).write_text(text)
    words = ["problem=./adds", "schedule=ordered", "schedule.window=3", "budget.candidates=20", "selection.tuning=null"]
    ok("run", *words, "run_dir=whole", cwd=tmp_path)
    killed = subprocess.Popen(
        [SCRIPT, "run", *words, "database.artifact_mb=0", "run_dir=cut"], cwd=tmp_path, env=environment()
    )
    while not (tmp_path / "cut/run.db").exists() or asked_in(tmp_path / "cut/run.db") < 8:
        assert killed.poll() is None
    killed.kill()
    killed.wait()
    ok("resume", "cut", cwd=tmp_path)
    exports = [ok("export", run, "--to", "jsonl", "--no-measured", "-", cwd=tmp_path) for run in ("whole", "cut")]
    assert exports[0] == exports[1]
    assert evolve.open_run(tmp_path / "cut").output() == evolve.open_run(tmp_path / "whole").output()


def asked_in(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute("select count(*) from events where kind = 'asked'").fetchone()[0])
        except sqlite3.OperationalError:  # not yet made
            return 0


def test_a_candidate_need_not_take_what_is_lent(tmp_path: Path) -> None:
    folder = tmp_path / "adds"
    folder.mkdir()
    for name, text in {
        "evaluator.py": ADDS,
        "initial.py": "def f():\n    return [1.0]\n",
        "problem.yaml": LENDS,
    }.items():
        (folder / name).write_text(text)
    assert evolve_json("check", "./adds", cwd=tmp_path)["status"] == "ok"
