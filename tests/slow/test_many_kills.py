"""Kills at many random moments: every resume ends with exactly its budget, and no row is left behind."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path

import pytest

from evolve.lineage import Run
from tests.command import ok
from tests.integration.test_runs import asked, counted, killed_after
from tests.runner.driving import case
from tests.runner.test_kill import kill_many

pytestmark = pytest.mark.slow

BUDGET = 40


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("schedule", ["async", "ordered"])
def test_runs_killed_three_times_each(tmp_path: Path, schedule: str, seed: int) -> None:
    rng = random.Random(f"{schedule} {seed}")
    words = ["run", f"schedule={schedule}", f"seed={seed}", f"budget.candidates={BUDGET}", "run_dir=R"]
    for moment in sorted(rng.sample(range(2, 30), 3)):
        killed_after(words, tmp_path, lambda: asked(tmp_path / "R"), moment, rng.random() * 0.2)
        words = ["resume", "R"]
    ok("resume", "R", cwd=tmp_path)
    counted(tmp_path / "R", BUDGET)
    no_row_is_left_behind(Run.open(tmp_path / "R"))


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_a_hundred_kills_of_short_runs(tmp_path: Path, request: pytest.FixtureRequest, database: str) -> None:
    whole = case(tmp_path / "whole", 25, window=4)
    await whole.start()
    kills, seeds = 0, count(1)
    while kills < 100:
        seed = next(seeds)
        window = [None, 4][seed % 2]
        url = request.getfixturevalue("postgres").new() if database == "postgres" else ""
        done, export = kill_many(tmp_path / str(seed), url, seed, window)
        assert window is None or export == whole.export()
        kills += done


def no_row_is_left_behind(run: Run) -> None:
    """Asserts that calls, evaluations, events and candidates are about one another."""
    origins = {row["id"]: row["origin"] for row in run.store.rows(run.run_id)}
    ids, asked = set(origins), {candidate for candidate, origin in origins.items() if origin == "asked"}
    assert ids == set(range(1, len(ids) + 1)) and len(asked) == BUDGET
    names = ("candidate", "stage", "replicate", "draft")
    stages = [row for drafts in (False, True) for row in run.store.evaluation_rows(run.run_id, drafts=drafts)]
    evaluated = [tuple(row[name] for name in names) for row in stages]
    assert len(evaluated) == len(set(evaluated)) and {candidate for candidate, *_ in evaluated} <= ids
    tried = [(row["candidate"], row["number"]) for row in run.store.trial_rows(run.run_id)]
    assert len(tried) == len(set(tried)) and {candidate for candidate, _ in tried} <= ids
    calls = run.store.call_rows(run.run_id)
    assert {row["candidate"] for row in calls if row["state"] == "done"} == asked
    assert sum(row["state"] == "done" for row in calls) == BUDGET
    told = [event.candidate for event in run.store.events(run.run_id) if event.kind == "told"]
    assert sorted(told) == sorted(ids)
