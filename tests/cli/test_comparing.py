"""`evolve compare`: real runs of a sweep, side by side."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch
from tests.cli.test_errors import fails
from tests.command import ok

FILES = {
    "initial.py": "def f(x):\n    return 1.0\n",
    "evaluator.py": "def instances(stage, rng):\n    return [0.0, 0.5]\n"
    "def score(instance, output):\n    return {'error': abs(output - instance.input)}\n",
    "problem.yaml": "objectives: {error: minimize}\nknown: {error: {best: 0.0, source: exact}}\n",
}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose sweep/ holds two runs of two configurations, of 4 candidates each."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "line").mkdir()
    (folder / "empty").mkdir()
    for name, text in FILES.items():
        (folder / "line" / name).write_text(text)
    ok(
        "run",
        "-m",
        "problem=./line",
        "llm.mutations=1,2",
        "selection.tuning=null",
        "budget.candidates=4",
        "run_dir=sweep",
        cwd=folder,
    )
    return folder


@pytest.fixture
def call(swept: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def calling(*words: str) -> str:
        assert dispatch(["compare", *words]) == 0
        return capsys.readouterr().out

    monkeypatch.chdir(swept)
    return calling


def test_a_sweep_is_a_table(call):
    out = call("sweep")
    assert out.startswith("line: error, smaller is better, best known 0;")
    assert "after 4 candidates\n" in out and "usd: not compared, no run used any" in out
    assert re.search(r"^  llm\.mutations=[12] +1 x  0\.\d+$", out, re.M)
    assert re.search(r"^  \(llm\.mutations=\d\) - \(llm\.mutations=\d\): [+-]\S+, one seed$", out, re.M)


def test_runs_can_be_named_in_all_ways(call, swept):
    run_id = json.loads((swept / "sweep/1/run.json").read_text())["run_id"]
    url = f"sqlite:///{swept}/sweep/1/run.db#{run_id}"
    assert call("sweep") == call("sweep/0", "sweep/1") == call("sweep/multirun.yaml", "sweep/0", "sweep/1")
    assert call("sweep") == call("sweep/0", url, "latest") == call("sweep/0", run_id, "--debug")


def test_json_is_one_object_with_what_status_says(call, swept, capsys):
    found = json.loads(call("sweep", "--json"))
    assert [run["candidates"] for run in found["runs"]] == [4, 4]
    for run in found["runs"]:
        dispatch(["status", run["folder"], "--json"])
        status = json.loads(capsys.readouterr().out)
        assert status["best"]["metrics"]["error"] == run["best"] and 0 <= run["seconds"] - status["wall_s"] < 5
    curve = found["axes"]["candidates"]["curves"][found["groups"][0]["name"]]
    assert found["axes"]["candidates"]["at"] == [0, 1, 2, 3, 4] and curve["median"][0] == 0.75  # the initial program
    assert curve["median"] == sorted(curve["median"], reverse=True) and curve["low"] is None


def test_a_plot_is_written(call, swept):
    call("sweep", "--plot", "plot.png")
    assert (swept / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nowhere"], 1, "no such run directory or run id"),
        (["empty"], 1, "empty: no run here"),
        (["line/initial.py"], 1, "no run here"),
        (["sweep", "nowhere"], 1, "nowhere: no such run"),
        ([], 2, "RUN"),
        (["sweep", "--plot", "plot.jpg"], 2, "must end in .png or .svg"),
        (["sweep", "--plot", "no/plot.png"], 1, "no/plot.png: can't be written"),
        (["sweep", "--fast"], 2, "--fast: not understood"),
    ],
)
def test_a_mistake_is_one_line(swept, monkeypatch, capsys, words, code, says):
    monkeypatch.chdir(swept)
    assert says in fails(["compare", *words], code, capsys)


@pytest.mark.parametrize(("name", "text"), [("run.db", "not a database, whatever its name says"), ("run.json", "{}")])
def test_a_run_that_can_not_be_read_is_one_line(swept, tmp_path, capsys, name, text):
    shutil.copytree(swept / "sweep/0", tmp_path / "0")
    (tmp_path / "0" / name).write_text(text)
    assert name in fails(["compare", str(tmp_path / "0"), str(swept / "sweep/1")], 1, capsys)
