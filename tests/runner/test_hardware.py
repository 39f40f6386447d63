"""A run keeps to the hardware and says how it isolates: what the runner stores and hands on."""

from __future__ import annotations

from dataclasses import replace

from evolve.runner.budget import Budget
from evolve.types import StageOutcome
from tests.runner.driving import RUN, Judging, case, outcomes, store_of


class Placed(Judging):
    """Judges on one model of CPU; keeps what it is started with."""

    isolation = "strict"

    async def start(self, problem: object = None, measured_on: str = "") -> None:
        self.measured_on = measured_on


def judge(text: str) -> list[StageOutcome]:
    placed = {"node_class": {"cpu_model": "A", "gpu_model": ""}, "isolation": "strict"}
    return [replace(outcome, **placed) for outcome in outcomes(text)]


async def test_a_resume_starts_on_the_hardware_that_the_run_was_measured_on(tmp_path):
    run = case(tmp_path, 3, evaluator=Placed(2, judge), spec="comparable_on: cpu_model")
    await run.start()
    assert run.evaluator.measured_on == ""
    await run.resume(budget=Budget(candidates=5), evaluator=Placed(2, judge))
    assert run.evaluator.measured_on == "A"


async def test_hardware_and_level_are_stored_with_each_evaluation_and_named_at_the_start(tmp_path):
    run = case(tmp_path, 2, evaluator=Placed(2, judge))
    await run.start()
    rows = store_of(run).evaluation_rows(RUN)
    assert {(row["node_class"]["cpu_model"], row["isolation"]) for row in rows} == {("A", "strict")}
    assert run.status()["isolation"] == "strict" and run.screen.notes[0] == ("isolation", "strict")
    assert "isolation: strict" in (run.folder / "log.txt").read_text()
    assert not any("strict" in line for line in run.export())
