"""A stored run is made once more from its calls: an ordered one with its evaluations, one with judges from its record."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import evolve, evolve_json, ok
from tests.integration.test_judges import model, rating
from tests.integration.test_judges import problem as problem
from tests.llm_server import LLMServer

pytestmark = pytest.mark.integration


def export(run: str, cwd: Path) -> str:
    return ok("export", run, "--to", "jsonl", "--no-measured", cwd=cwd)


def test_an_ordered_run_is_reproduced_byte_for_byte_with_its_evaluations_run_again(tmp_path):
    with LLMServer() as server:
        words = ["problem=circle_packing", "schedule=ordered", "budget.candidates=40", "seed=5", "run_dir=A"]
        ok("run", *words, *model(server), "evaluator.workers=2", cwd=tmp_path)
    ok("run", "llm=replay", "replay.run=A", "run_dir=B", "evaluator.workers=1", cwd=tmp_path)
    assert export("A", tmp_path) == export("B", tmp_path)
    first, again = (evolve_json("status", run, cwd=tmp_path) for run in "AB")
    assert again["candidates"] == first["candidates"] and again["llm"]["cost_usd"] == 0.0


def test_an_asynchronous_run_with_judges_is_reproduced_from_its_record(problem, tmp_path):
    with LLMServer(rating) as server:
        ok("run", problem, *model(server), "budget.candidates=40", "run_dir=A", "seed=2", cwd=tmp_path)
    assert evolve_json("status", "A", cwd=tmp_path)["llm"]["evaluation"]["calls"] > 40
    ok("run", "llm=replay", "replay.run=A", "replay.evaluations=recorded", "run_dir=B", cwd=tmp_path)
    assert export("A", tmp_path) == export("B", tmp_path)


def test_what_is_not_the_recorded_run_stops_and_shows_the_difference(problem, tmp_path):
    words = ["problem=circle_packing", "schedule=ordered", "schedule.window=2", "budget.candidates=15", "run_dir=A"]
    ok("run", *words, cwd=tmp_path)
    other = evolve("run", "llm=replay", "replay.run=A", "seed=2", "run_dir=B", cwd=tmp_path)
    assert other.returncode == 1 and "is not the recorded one; replay.strict=false goes on" in other.stderr
    ok("run", "llm=replay", "replay.run=A", "seed=2", "replay.strict=false", "run_dir=C", cwd=tmp_path)
    changed = evolve("run", "llm=replay", "replay.run=A", problem, "run_dir=D", cwd=tmp_path)
    assert changed.returncode == 1 and "has changed since run" in changed.stderr
    for words, said in ((["replay.run=A"], "needs llm=replay"), (["llm=replay"], "say which run, replay.run=RUN")):
        refused = evolve("run", *words, cwd=tmp_path)
        assert refused.returncode == 2 and said in refused.stderr
