"""`evolve verify`: a stored program on draws that no search saw, called in process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch

FAINT = """
from evolve.problem import Instance, Invalid
def instances(stage, rng): return [Instance(float(rng.normal()))]
def score(instance, output):
    if output > 9: raise Invalid("too large")
    return {"height": output, "drawn": instance.input}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of a noisy problem: what is drawn is added to a constant."""
    monkeypatch.chdir(tmp_path)
    problem = tmp_path / "faint"
    problem.mkdir()
    (problem / "evaluator.py").write_text(FAINT)
    (problem / "initial.py").write_text("def f(x):\n    level = 1.0\n    return level + x\n")
    (problem / "problem.yaml").write_text(
        "deterministic: false\nobjectives: {height: maximize}\nknown: {height: {best: 9, source: a bound}}\n"
        "stages: {main: {timeout_s: 5, draw: paired}}\n"
    )
    words = ["problem=./faint", "budget.candidates=4", "selection.tuning=null", "seed=1", "run_dir=R"]
    assert dispatch(["run", *words]) == 0
    return tmp_path


def verified(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = dispatch(["verify", "R", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_mean_over_fresh_draws_stands_beside_the_initial_program(run: Path, capsys: Any) -> None:
    code, found = verified(capsys, "1", "--draws", "4")
    assert code == 0 and found["draws"] == found["verified"]["ok"] == 4 and found["known"] == {"height": 9}
    assert found["verified"] == found["initial"]  # the same program on the same draws
    height, drawn = (found["verified"]["metrics"][name] for name in ("height", "drawn"))
    assert height["mean"] == pytest.approx(1 + drawn["mean"]) and height["stderr"] > 0 and height["min"] < height["max"]
    stored = json.loads(capture(capsys, "show", "R", "1", "--json"))
    assert found["stored"]["metrics"] == stored["metrics"] and stored["metrics"]["drawn"] != drawn["mean"]


def capture(capsys: Any, *words: str) -> str:
    capsys.readouterr()
    assert dispatch(words) == 0
    return str(capsys.readouterr().out)


def test_draws_are_the_same_each_time_and_nothing_is_stored(run: Path, capsys: Any) -> None:
    before = capture(capsys, "export", "R")
    assert verified(capsys, "--draws", "2") == verified(capsys, "--draws", "2")
    assert capture(capsys, "export", "R") == before


def test_a_program_that_fails_somewhere_is_told_by_the_exit_code(run: Path, capsys: Any) -> None:
    source = run / "initial.py"
    source.write_text("def f(x):\n    return 1.0 if x > 0 else 10.0\n")
    assert dispatch(["steer", "R", "add", str(source)]) == 0
    assert dispatch(["resume", "R", "budget.candidates=5"]) == 0
    listed = capture(capsys, "export", "R").splitlines()
    [added] = [event["candidate"] for line in listed if (event := json.loads(line)).get("kind") == "added"][1:]
    code, found = verified(capsys, str(added), "--draws", "8")
    assert code == 1 and found["verified"]["status"] == "invalid" and 0 < found["verified"]["ok"] < 8
    assert found["verified"]["feedback"] == "too large" and found["initial"]["ok"] == 8
    assert dispatch(["verify", "R", str(added), "--draws", "8"]) == 1
    assert "invalid: too large" in capsys.readouterr().out


def test_what_can_not_be_verified_is_told(run: Path, capsys: Any) -> None:
    assert dispatch(["verify", "R", "--draws", "0"]) == 2 and "--draws 0" in capsys.readouterr().err
    assert dispatch(["verify", "R", "77"]) == 1 and "no candidate 77" in capsys.readouterr().err
    (run / "faint" / "evaluator.py").write_text(FAINT + "\n")
    assert dispatch(["verify", "R"]) == 1 and "has changed" in capsys.readouterr().err
