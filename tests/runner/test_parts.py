"""The runner's small parts: meters, budgets, run directories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve.errors import RunError, UsageError
from evolve.population import file_url
from evolve.runner import rundir
from evolve.runner.budget import Budget, Spent
from evolve.runner.meter import Meter, utilisation

# ---------------------------------------------------------------- meters


def test_a_meter_sums_the_time_of_busy_slots():
    now = [0.0]
    meter = Meter(2, lambda: now[0], busy_s=1.0)
    with meter.occupied():
        now[0] = 2.0
        with meter.occupied():
            now[0] = 3.0
    now[0] = 10.0
    assert meter.busy_s() == 1.0 + 3.0 + 1.0 and meter.busy == 0


@pytest.mark.parametrize(
    ("busy", "slots", "wall", "share"), [(5, 2, 5, 0.5), (0, 0, 5, 0.0), (1, 1, 0, 0.0), (9, 1, 5, 1.0)]
)
def test_utilisation_is_a_share(busy, slots, wall, share):
    assert utilisation(busy, slots, wall) == share


# ---------------------------------------------------------------- budgets


@pytest.mark.parametrize(
    ("spent", "reached"),
    [
        ({}, []),
        ({"candidates": 10}, ["candidates"]),
        ({"evaluations": 10}, ["evaluations"]),
        ({"cost_usd": 6.0, "lost_usd": 4.0}, ["usd"]),
        ({"cost_usd": 6.0, "held_usd": 4.0}, []),
        ({"tokens_in": 6, "tokens_out": 4}, ["tokens"]),
        ({"wall_s": 10.0}, ["seconds"]),
        ({"candidates": 9, "wall_s": 9.9}, []),
    ],
)
def test_the_budget_that_is_reached_is_named(spent, reached):
    budget = Budget(candidates=10, evaluations=10, usd=10, tokens=10, seconds=10)
    assert Spent(**spent).reached(budget) == reached


def test_what_has_no_limit_is_never_reached():
    assert Spent(candidates=10**9, tokens_in=10**9, wall_s=1e9).reached(Budget(candidates=None, usd=1)) == []


@pytest.mark.parametrize("limits", [{"candidates": 1.0}, {"tokens": -1}, {"usd": True}, {"seconds": "5"}])
def test_limits_that_make_no_sense_are_refused(limits):
    [(name, value)] = limits.items()
    with pytest.raises(UsageError, match=rf"budget\.{name}={value}: must be a"):
        Budget(**limits)


# ---------------------------------------------------------------- run directories


def made(folder: Path, run_id: str, created_at: float = 0.0, database: str = "sqlite:////x/run.db") -> Path:
    folder.mkdir(parents=True)
    ref = rundir.RunRef(run_id=run_id, database=database, created_at=created_at, folder=folder)
    rundir.write(folder, ref, "0.1")
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_is_found_by_folder_prefix_latest_and_url(here):
    made(here / "runs" / "a", "pack-1", 1.0), made(here / "runs" / "b", "pack-2", 2.0)
    assert rundir.find("runs/a").run_id == "pack-1" and rundir.find("pack-1").folder == here / "runs" / "a"
    assert rundir.find("latest").run_id == "pack-2"
    found = rundir.find("postgresql://host/db#pack-9")
    assert (found.run_id, found.database, found.folder) == ("pack-9", "postgresql://host/db", None)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("pack", "means several runs: pack-1, pack-2; give more of the id"),
        ("zzz", "no such run directory or run id; 'evolve runs' lists"),
        ("empty", r"no run here \(it has no run\.json\)"),
    ],
)
def test_what_is_no_run_is_told(here, run, message):
    made(here / "a", "pack-1"), made(here / "b", "pack-2"), (here / "empty").mkdir()
    with pytest.raises(RunError, match=f"^{run}: {message}"):
        rundir.find(run)


def test_there_is_no_latest_run_in_an_empty_folder(here):
    with pytest.raises(RunError, match=r"latest: there is no run in this folder or in \./runs"):
        rundir.find("latest")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"run_id": 1}', "\\xff"])
def test_a_broken_run_json_is_told_and_hides_no_other_run(here, content):
    made(here / "good", "pack-1")
    (here / "bad").mkdir()
    (here / "bad" / "run.json").write_text(content)
    with pytest.raises(RunError, match=r"bad/run\.json: can't be read"):
        rundir.read(here / "bad")
    assert [ref.run_id for ref in rundir.scan(here)] == ["pack-1"]


def test_a_taken_directory_is_refused_and_a_free_one_made(here):
    assert rundir.prepare(here / "new" / "run") and not rundir.prepare(here / "new" / "run")
    with pytest.raises(RunError, match=r"run_dir=.*: holds a run already; 'evolve resume"):
        rundir.prepare(made(here / "taken", "pack-1"))


def test_a_directory_that_can_not_be_written_is_refused(here):
    (here / "file").write_text("")
    with pytest.raises(RunError, match=r"can't be written \(.*\); choose another run_dir"):
        rundir.prepare(here / "file" / "run")


def test_the_best_replaces_the_best_before(here):
    rundir.write_best(here, {"a.py": "1", "lib/b.py": "2"})
    rundir.write_best(here, {"a.py": "3"})
    assert [p.name for p in (here / "best").rglob("*")] == ["a.py"] and (here / "best" / "a.py").read_text() == "3"


def test_run_json_says_where_the_run_is(here):
    content = json.loads((made(here / "a", "pack-1") / "run.json").read_text())
    assert content == {
        "run_id": "pack-1",
        "database": "sqlite:////x/run.db",
        "problem": "",
        "created_at": 0.0,
        "folder": str(here / "a"),
        "evolve": "0.1",
    }


def test_a_run_directory_that_was_moved_or_copied_has_its_own_database(here):
    folder = made(here / "a", "pack-1", database=file_url(here / "a" / "run.db"))
    folder.rename(here / "b")
    assert rundir.read(here / "b").database == file_url(here / "b" / "run.db")


def test_of_two_runs_that_begin_in_one_directory_one_is_refused(here):
    folder = made(here / "a", "pack-1")
    with pytest.raises(RunError, match="another run has just begun here"):
        rundir.write(folder, rundir.RunRef(run_id="pack-2", database="x", folder=folder), "0.1")
