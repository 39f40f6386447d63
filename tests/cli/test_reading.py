"""The verbs that read a run, called in process."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch


@pytest.fixture
def call(at_workplace: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def calling(*words: str) -> str:
        assert dispatch(words) == 0
        return capsys.readouterr().out

    return calling


@pytest.fixture
def call_json(call: Any) -> Any:
    return lambda *words: json.loads(call(*words, "--json"))


def test_the_counts_add_up(call_json: Any) -> None:
    counts = call_json("status", "runs/a")["candidates"]
    assert counts.pop("asked") == 40 == sum(counts.values())


def test_status_has_the_keys_that_scripts_rely_on(call_json: Any) -> None:
    status = call_json("status", "latest")
    assert {"state", "problem", "candidates", "best", "llm", "utilisation", "wall_s"} <= set(status)
    assert set(status["best"]) >= {"id", "score", "metrics"}
    assert set(status["llm"]) >= {"calls", "lost", "tokens_in", "tokens_out", "cost_usd", "evaluation"}
    assert all(0 <= share <= 1 for share in status["utilisation"].values())


def test_a_run_is_found_by_the_beginning_of_its_id(call_json: Any) -> None:
    run_id = call_json("status", "latest")["run_id"]
    assert call_json("status", run_id[:-2])["run_id"] == run_id


def test_a_run_is_found_by_its_database(call_json: Any, at_workplace: Path) -> None:
    run_id = call_json("status", "latest")["run_id"]
    assert call_json("status", f"sqlite:///{at_workplace}/runs/a/run.db#{run_id}")["run_id"] == run_id


def test_best_is_better_than_the_initial_program(call_json: Any) -> None:
    assert call_json("best", "latest")["score"] > call_json("show", "latest", "1")["score"]


def test_the_front_of_one_objective_is_the_best(call: Any, call_json: Any) -> None:
    best = call_json("best", "latest")
    assert call_json("best", "latest", "--front") == {"front": [{"id": best["id"], "metrics": best["metrics"]}]}
    assert call("best", "latest", "--front").split()[:3] == ["candidate", "sum_radii", str(best["id"])]


def test_check_gives_the_best_program_the_same_score(call_json: Any, at_workplace: Path) -> None:
    best = call_json("best", "latest")
    checked = call_json("check", "circle_packing", "--candidate", "runs/a/best")
    assert checked["score"] == best["score"]
    assert (at_workplace / "runs/a/best/initial.py").read_text() == best["files"]["initial.py"]


def test_lineage_goes_from_the_initial_program_to_the_candidate(call_json: Any) -> None:
    best = call_json("best", "latest")["id"]
    line = call_json("lineage", "latest", str(best))["ancestors"]
    assert line[0]["origin"] == "initial" and line[-1]["id"] == best
    assert all(child["parent"] == parent["id"] for parent, child in itertools.pairwise(line))


def test_diff_of_parent_and_child_is_a_patch(call: Any, call_json: Any) -> None:
    best = call_json("best", "latest")
    text = call("diff", "latest", str(best["parent"]), str(best["id"]))
    assert text.startswith("--- ") and "\n@@ " in text


def test_export_has_every_event_in_order(call: Any) -> None:
    events = [json.loads(line) for line in call("export", "latest", "--to", "jsonl").splitlines()]
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    asked, told = (sum(event["kind"] == kind for event in events) for kind in ("asked", "told"))
    assert (asked, told) == (40, 40 + 3)  # three initial programs are told, not asked
    assert all("measured" in event for event in events)


def test_export_writes_a_file(call: Any, at_workplace: Path) -> None:
    call("export", "latest", "--to", "jsonl", "--no-measured", "out.jsonl")
    assert "measured" not in (at_workplace / "out.jsonl").read_text()


def test_runs_lists_the_run(call: Any) -> None:
    assert "circle_packing" in call("runs") and "finished" in call("runs", "runs")


def test_prompt_of_a_run_and_of_a_problem(call_json: Any) -> None:
    for subject in ("latest", "circle_packing"):
        prompt = call_json("prompt", subject)
        assert "## Parent" in prompt["user"] and next(block["name"] for block in prompt["blocks"]) == "system"


def test_problems_are_listed(call_json: Any) -> None:
    names = [problem["name"] for problem in call_json("problems")["problems"]]
    assert {"circle_packing", "online_bin_packing"} <= set(names)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(call: Any, shell: str) -> None:
    assert "evolve" in call("completion", shell)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["|st"], "status"),
        (["run", "|budget.can"], "budget.candidates="),
        (["run", "|problem=circ"], "problem=circle_packing"),
        (["run", "|llm=off"], "llm=offline"),
        (["status", "|lat"], "latest"),
    ],
)
def test_completion_finds(call: Any, words: list[str], found: str) -> None:
    assert found in call("_complete", "evolve", *words).splitlines()
