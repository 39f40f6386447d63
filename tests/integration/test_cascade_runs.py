"""Replicates, draws, second evaluations and the hold-out on real workers: equal runs stay equal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import evolve_json, ok

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
