"""A user's mistake: one line that says what, where and the remedy; no traceback; nothing left behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evolve.cli import dispatch

INITIAL = "def f(x):\n    return 1.0\n"
EVALUATOR = "def score(instance, output):\n    return 1.0\n"
C = "int f() { return 1; }\n"


def fails(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a command that must fail with that code and one line; returns the line."""
    assert dispatch(words) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("evolve: ")]
    assert len(lines) == 1
    return lines[0]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["budget.usd=1"]])
def test_a_language_that_the_offline_proposer_does_not_know(more, capsys, empty_folder):
    line = fails(["run", "problem=cpp_tsp", *more], 2, capsys)
    assert "problem=cpp_tsp: may change initial.cpp, but llm=offline changes Python" in line
    assert "and not .cpp; use a language model, for example llm=litellm" in line
    assert not list(empty_folder.iterdir())


def test_a_language_that_the_offline_proposer_does_not_know_beside_one_that_it_does(capsys, empty_folder):
    (empty_folder / "p/initial").mkdir(parents=True)
    for name, text in {"initial/a.py": INITIAL, "initial/b.c": C, "evaluator.py": EVALUATOR}.items():
        (empty_folder / "p" / name).write_text(text)
    assert dispatch(["run", "problem=./p", "--dry-run"]) == 0
    (empty_folder / "p/problem.yaml").write_text("edit: [b.c]\nentry: f\n")
    assert "may change b.c, but llm=offline" in fails(["run", "problem=./p", "--dry-run"], 2, capsys)


def test_a_run_goes_on_with_no_proposer_that_does_not_know_its_language(tmp_path, capsys):
    (tmp_path / "p").mkdir()
    files = {"initial.c": C, "evaluator.py": EVALUATOR, "problem.yaml": "entry: text\n"}
    for name, text in files.items():
        (tmp_path / "p" / name).write_text(text)
    words = ["llm=command", "llm.command=cat", "budget.candidates=1", "run_dir=R"]
    assert dispatch(["run", "problem=./p", *words]) == 0
    line = fails(["resume", "R", "llm=offline", "budget.candidates=2"], 2, capsys)
    assert "problem=p: may change initial.c, but llm=offline" in line
    assert dispatch(["status", "R", "--json"]) == 0 and '"state": "finished"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("sed=1", "did you mean 'seed'"),
        ("+x=1", "can't be added"),
        ("budget.candidats=3", "budget.candidates"),
        ("budget.candidates=many", "whole number"),
        ("llm=oflline", "offline"),
        ("llm.model=gpt-4o", "llm=litellm has it"),
        ("llm=litellm", "llm.model must be set"),
        ("problem=circle_pack", "circle_packing"),
        ("problem=./nowhere", "no such folder"),
        ("param.m=3", "declared: n"),
        ("param.n=many", "must be int"),
        ("stage.mian.timeout_s=1", "did you mean 'stage.main'"),
        ("stage.main.timeout=3", "timeout_s"),
        ("stage.main.timeout_s=abc", "must be a number"),
        ("seed=-1", "0 or more"),
        ("problem=a,b", "-m"),
        ("seed", "KEY=VALUE"),
        ("--fast", "no such option"),
        ("evaluator.workers=0", "workers"),
        ("database.artifact_mb=-1", "database.artifact_mb"),
        ("evaluator.isolation=none", "must be one of auto, strict, guarded, bare"),
    ],
)
def test_words_that_mean_nothing(word: str, says: str, capsys: pytest.CaptureFixture[str], empty_folder: Path) -> None:
    assert says in fails(["run", word], 2, capsys)
    assert not list(empty_folder.iterdir())


def test_seconds_measure_the_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert "budget.seconds" in fails(["run", "schedule=ordered", "budget.seconds=5"], 2, capsys)


def problem(folder: Path, initial: str | None = INITIAL, evaluator: str = EVALUATOR, spec: str = "") -> str:
    folder.mkdir()
    (folder / "evaluator.py").write_text(evaluator)
    if initial is not None:
        (folder / "initial.py").write_text(initial)
    if spec:
        (folder / "problem.yaml").write_text(spec)
    return f"problem={folder}"


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"initial": None, "spec": "entry: f"}, "no initial program"),
        ({"initial": "def f(:\n"}, "line 1"),
        ({"initial": "def f(x):\n    return 1 / 0\n", "evaluator": EVALUATOR + "def instances(stage, rng): return [1]\n"},
         "ZeroDivisionError"),
        ({"initial": "def f(x=0):\n    return 1\n", "evaluator": "def score(instance, output):\n    raise KeyError('lost')\n"},
         "KeyError"),
        ({"evaluator": "x = 1\n"}, "score"),
        ({"spec": "entri: f\n"}, "did you mean 'entry'"),
        ({"spec": "stages: [\n"}, "line"),
        ({"spec": "incumbent: true\n"}, "two stages or more"),
    ],
)  # fmt: skip
def test_folders_that_are_wrong(
    facts: dict[str, str], says: str, capsys: pytest.CaptureFixture[str], empty_folder: Path
) -> None:
    word = problem(empty_folder / "mine", **facts)
    code = 2 if "initial" in facts and facts["initial"] is None else 1
    assert says in fails(["run", word, "evaluator.workers=1", "run_dir=r"], code, capsys)
    assert not (empty_folder / "r").exists()


def test_a_run_directory_that_is_taken(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "evolve resume" in fails(["run", f"run_dir={workplace}/runs/a"], 1, capsys)


def test_a_run_directory_that_cannot_be_written(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "file").write_text("")
    assert "can't be written" in fails(["run", "run_dir=file/r"], 1, capsys)


@pytest.mark.parametrize("verb", ["status", "best", "resume"])
def test_no_such_run(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "evolve runs" in fails([verb, "nothing"], 1, capsys)


def test_a_folder_that_is_no_run(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "d").mkdir()
    assert "no run here" in fails(["status", "d"], 1, capsys)


def test_a_candidate_that_is_not_there(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "from 1 to 43" in fails(["show", f"{workplace}/runs/a", "99"], 1, capsys)


def test_a_finished_run_wants_a_larger_budget(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "larger budget" in fails(["resume", f"{workplace}/runs/a"], 1, capsys)


def test_resume_takes_no_other_problem(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "can't change on resume" in fails(["resume", f"{workplace}/runs/a", "problem=online_bin_packing"], 2, capsys)


def test_a_database_of_another_version(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(empty_folder / "other.db") as connection:
        connection.execute("create table schema (version integer)")
        connection.execute("insert into schema values (99)")
    words = ["run", f"database.url=sqlite:///{empty_folder}/other.db", "run_dir=r"]
    assert "version 99" in fails(words, 1, capsys)


def test_a_database_that_is_none(empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (empty_folder / "x.db").write_text("no database " * 1000)
    assert "not an SQLite database" in fails(
        ["run", f"database.url=sqlite:///{empty_folder}/x.db", "run_dir=r"], 1, capsys
    )


@pytest.mark.parametrize(
    "words", [["nonsense"], ["show", "latest", "x"], ["status"], ["check", "circle_packing", "seed=1"]]
)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fails(words, 2, capsys)
