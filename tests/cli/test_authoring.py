"""The verbs for those who write problems, on problems of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluators import gpu
from evolve.cli import dispatch
from evolve.cli.authoring import described
from evolve.problem import load_problem

NOISY = """
def instances(stage, rng): return [int(rng.integers(1, 100))]
def score(instance, output): return float(instance.input)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/initial.py").write_text("def f(x):\n    return 1.0\n")
    (tmp_path / "mine/evaluator.py").write_text(NOISY)
    return tmp_path / "mine"


def test_a_mean_is_shown_with_its_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "problem.yaml").write_text("stages: {main: {replicates: 3, draw: paired}}\n")
    assert dispatch(["check", "./mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scores = [stage["score"] for stage in found["stages"]]
    assert [stage["replicate"] for stage in found["stages"]] == [0, 1, 2] and len(set(scores)) > 1
    assert found["n"] == 3 and found["score"] == pytest.approx(sum(scores) / 3) and found["stderr"] > 0
    assert dispatch(["check", "./mine"]) == 0
    assert f"score {found['score']:.10g} ± {found['stderr']:.2g} (n = 3)" in capsys.readouterr().out


UNSTEADY = """
import time
def score(instance, output): return output + time.time_ns() % 1_000_003
"""


@pytest.mark.parametrize("words", [[], ["--candidate", "mine/initial.py"]])
def test_what_scores_otherwise_each_time_is_told_with_the_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (folder / "evaluator.py").write_text(UNSTEADY)
    (folder / "initial.py").write_text("def f():\n    return 1.0\n")
    assert dispatch(["check", "./mine", "--json", *words]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["score"], len(found["stages"])) == ("suspect", None, 1)
    assert "two evaluations disagree" in found["feedback"] and "deterministic: false" in found["feedback"]
    (folder / "problem.yaml").write_text("deterministic: false\n")
    assert dispatch(["check", "./mine", "--json", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["n"], found["score"]) == ("ok", 1, found["stages"][0]["score"])


def test_what_needs_more_than_is_here_is_skipped_and_never_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "problem.yaml").write_text("requires: [no-such-compiler]\n")
    assert dispatch(["check", "./mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["stages"]) == ("skipped", [])
    assert found["feedback"] == "needs no-such-compiler, not found here"
    assert dispatch(["run", "problem=./mine", "run_dir=r"]) == 1
    assert "problem=mine: needs no-such-compiler, not found here; install it" in capsys.readouterr().err
    assert not Path("r").exists()
    about = described(load_problem("./mine"))
    assert (about["runs_here"], about["missing"]) == (False, ["no-such-compiler"])


@pytest.mark.skipif(bool(gpu.devices()), reason="this machine has a GPU")
def test_without_a_gpu_the_stages_that_need_none_are_checked_and_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "problem.yaml").write_text("stages: {quick: {}, main: {profile: gpu}}\n")
    found = json.loads(shown(["check", "./mine", "--json"], capsys))
    assert (found["status"], [stage["status"] for stage in found["stages"]]) == ("skipped", ["ok", "skipped"])
    assert "needs a GPU" in found["feedback"]
    value = found["stages"][0]["metrics"]["score"]
    assert f"score = {value:g}" in json.loads(shown(["prompt", "./mine", "--json"], capsys))["user"]
    assert dispatch(["run", "problem=./mine", "run_dir=r"]) == 1
    assert "problem=mine: needs gpu, not found here" in capsys.readouterr().err


def test_a_run_says_how_it_isolates_and_what_the_hold_out_came_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "problem.yaml").write_text("holdout: {instances: 4}\n")
    assert dispatch(["run", "problem=./mine", "budget.candidates=3", "run_dir=r", "evaluator.workers=1"]) == 0
    out = capsys.readouterr().out
    level = json.loads(shown(["status", "r", "--json"], capsys))["isolation"]
    assert out.splitlines()[0] == f"isolation: {level}" and f"isolation: {level}" in Path("r/log.txt").read_text()
    best = json.loads(shown(["best", "r", "--json"], capsys))
    assert best["holdout"]["status"] == "ok" and {stage["isolation"] for stage in best["stages"]} == {level}
    line = f"score {best['holdout']['metrics']['score']:.10g}  (candidate {best['id']}, instances 1)"
    assert f"Hold-out: {line}" in out and f"hold-out: {line}" in shown(["best", "r"], capsys)


def shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert dispatch(words) == 0
    return capsys.readouterr().out


SEVERAL = """
from evolve.problem import Instance, Result
def instances(stage, rng): return [Instance(k, name=f"case {k}") for k in range(3)]
def score(instance, output):
    return Result({"score": output}, feedback=f"{instance.input} items left", artifacts={"log": "a line"})
"""


def test_the_feedback_and_texts_of_several_instances_reach_the_prompt(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "evaluator.py").write_text(SEVERAL)
    user = json.loads(shown(["prompt", "./mine", "--json"], capsys))["user"]
    assert "Feedback:\ncase 0: 0 items left\ncase 1: 1 items left\ncase 2: 2 items left" in user
    assert user.count("log (text, 6 bytes):\n```\na line\n```") == 3


def test_a_run_from_nothing_without_a_best_has_a_next_prompt(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "initial.py").unlink()
    (folder / "problem.yaml").write_text("entry: f\nedit: [initial.py]\n")
    words = ["problem=./mine", "llm=command", "llm.command=/bin/false", "llm.attempts=1", "budget.candidates=1"]
    dispatch(["run", *words, "run_dir=r", "evaluator.workers=1"])
    capsys.readouterr()
    assert "## Parent" not in json.loads(shown(["prompt", "r", "--json"], capsys))["user"]
