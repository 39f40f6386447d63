"""`evolve steer`: what its words mean, and one line for those that mean nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch
from evolve.cli.steering import message
from evolve.errors import UsageError
from tests.cli.test_errors import fails


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("pause", {"do": "pause"}),
        ("resume", {"do": "go"}),
        ("budget.usd=null", {"do": "budget", "name": "usd", "value": None}),
        ("weight diff=0.5", {"do": "weight", "name": "diff", "value": 0.5}),
        ("hint try x = 1", {"do": "hint", "text": "try x = 1"}),
        ("ban import os", {"do": "ban", "line": "import os"}),
    ],
)
def test_words(words: str, body: dict[str, Any]) -> None:
    assert message(words.split()) == body


def test_a_folder_is_added_whole(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "a.py").write_text("1\n")
    (tmp_path / "lib" / "b.py").write_text("2\n")
    found = message(["add", str(tmp_path)], island=2)
    assert found["files"] == {"a.py": "1\n", "lib/b.py": "2\n"} and found["island"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "not understood; say pause, go"),
        ("paus", "not understood"),
        ("hint", "not understood"),
        ("budget.candidats=3", "did you mean 'candidates'"),
        ("budget.candidates", "NAME=VALUE"),
        ("weight dif=1", "did you mean 'diff'"),
        ("weight diff", "NAME=VALUE"),
        ("add nowhere.py", "nowhere.py: can't be read as text"),
    ],
)
def test_words_that_mean_nothing(words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        message(words.split())


@pytest.mark.parametrize("options", [{"clear": True}, {"island": 1}])
def test_options_that_go_with_others(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="goes with"):
        message(["pause"], **options)


def test_a_run_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such run directory" in fails(["steer", "nowhere", "pause"], 1, capsys)


RAMP = {
    "initial.py": "def f(x):\n    return 0.5\n",
    "evaluator.py": "def instances(stage, rng):\n    return [0.25, 1.0]\ndef score(instance, output):\n"
    "    return -abs(output - instance.input)\n",
}


@pytest.mark.integration
def test_a_changed_problem_a_warm_start_and_forks_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ramp").mkdir()
    for name, text in RAMP.items():
        Path("ramp", name).write_text(text)
    assert dispatch(["run", "problem=./ramp", "budget.candidates=8", "seed=3", "run_dir=a", "evaluator.workers=1"]) == 0
    Path("ramp", "evaluator.py").write_text(RAMP["evaluator.py"].replace("-abs", "-2 * abs"))
    changed = fails(["resume", "a", "budget.candidates=9"], 1, capsys)
    assert "'evolve rescore ramp-" in changed and "warm_start=ramp-" in changed
    assert "rescore that run first" in fails(["run", "fork=a#3", "run_dir=x"], 1, capsys)
    assert dispatch(["rescore", "a", "--top", "3"]) == 0
    assert "revision 1: " in (said := capsys.readouterr().out) and "'evolve resume a' goes on" in said
    assert dispatch(["resume", "a", "budget.candidates=10"]) == 0
    assert dispatch(["run", "problem=./ramp", "warm_start=a,a", "budget.candidates=2", "run_dir=b"]) == 0
    assert dispatch(["run", "fork=a#10", "seed=4", "budget.candidates=12", "run_dir=c"]) == 0
    assert dispatch(["run", "fork=a#3", "fork_only=true", "budget.candidates=2", "run_dir=d"]) == 0
    for run, origin, asked in [("b", "warm_start", 2), ("c", "fork", 12), ("d", "fork", 2)]:
        capsys.readouterr()
        assert dispatch(["status", run, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (list(found["from"]), found["candidates"]["asked"]) == ([origin], asked)
        assert str(tmp_path / "a") in str(found["from"])
    assert json.loads(Path("c", "run.json").read_text())["from"] == f"{tmp_path / 'a'}#10"
    assert "another one's history" in fails(["run", "fork=a#3", "warm_start=a"], 2, capsys)
    assert "is a run of ramp, this one is of circle_packing" in fails(["run", "warm_start=a"], 2, capsys)
    assert "needs fork=RUN#ID" in fails(["run", "fork_only=true"], 2, capsys)
    assert "--top 0: must be 1 or more" in fails(["rescore", "a", "--top", "0"], 2, capsys)
    assert "a rescore takes" in fails(["rescore", "a", "seed=2"], 2, capsys)
