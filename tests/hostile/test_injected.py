"""Thirty hostile candidates beside an ordered run, on its own workers, change no byte of it and don't keep it from ending."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve import config
from evolve.lineage import Run
from evolve.lineage.export import lines
from evolve.problem import Problem
from evolve.runner import launch
from evolve.runner.evaluator import Evaluator
from evolve.types import Evaluation, Files, Status
from tests.hostile.bait import Marks, lasting_processes, marked_files
from tests.hostile.cast import HERE, Hostile, armed, candidates
from tests.runner.driving import Notes

pytestmark = pytest.mark.integration

CANDIDATES = 300
EVERY = 8  # evaluations of the run (some candidates are duplicates and have none)
WORDS = [
    "problem=circle_packing",
    "schedule=ordered",
    f"budget.candidates={CANDIDATES}",
    "selection.tuning=null",
    "evaluator.workers=2",
    "evaluator.isolation=bare",
]
EXTRA_S = 120.0  # thirty times both stages' limits and the restart of a worker, on two workers
CHOSEN = """
    abort child_answers child_holds_pipes child_ignoring_signals daemon daemon_by_exec exception_huge exit_after_answer
    files_as_links files_by_the_million files_remove_the_folder hooks kill_its_starter loop_endless memory_in_children
    memory_slowly message_flood message_forged_early message_of_4_gb patch_builtins patch_modules patch_numpy
    patch_the_harness pickle_as_message print_a_gigabyte result_of_many_lists segfault stop_its_starter
    threads_that_outlive walk_frames
"""
SHIM = """

def pack(n):
    return solve([0], lambda key: "1")
"""


class Injecting:
    """An evaluator that, now and then, sends a hostile one beside it to the same workers."""

    def __init__(self, inner: Evaluator, hostile: Sequence[Hostile], marks: Marks):
        self._inner = inner
        self._hostile = list(hostile)
        self._arms = armed((HERE / "problem/initial/arms.py").read_text(), marks)
        self._evaluations = 0
        self._tasks: list[asyncio.Task[Evaluation]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def close(self) -> None:
        self.outcomes = await asyncio.gather(*self._tasks)
        await self._inner.close()

    async def evaluate(self, problem: Problem, files: Files, *, candidate: int, **facts: Any) -> Evaluation:
        self._evaluations += 1
        if self._evaluations % EVERY == 0 and self._hostile:
            self._tasks.append(asyncio.create_task(self._inject(problem, self._hostile.pop())))
        return await self._inner.evaluate(problem, files, candidate=candidate, **facts)

    async def _inject(self, problem: Problem, hostile: Hostile) -> Evaluation:
        files: Mapping[str, str] = {problem.edit[0]: hostile.text + SHIM, "arms.py": self._arms}
        facts: dict[str, Any] = {"thresholds": {}, "draw_seed": 0, "done": (), "on_stage": lambda outcome: None}
        return await self._inner.evaluate(problem, files, candidate=0, **facts)


async def run(folder: Path, hostile: Sequence[Hostile], marks: Marks) -> tuple[list[str], list[Evaluation], float]:
    """Returns a run's canonical export, what became of the injected ones, and the seconds that it took."""
    setup = config.build(config.compose([*WORDS, f"run_dir={folder}"]))
    injecting = Injecting(setup.evaluator, hostile, marks)
    began = time.monotonic()
    ended = await launch.start(
        replace(setup, evaluator=injecting), "injected-1", folder, f"sqlite:///{folder}/run.db", Notes()
    )
    assert ended.state == "finished", ended.reason
    stored = Run.open(folder)
    try:
        return list(lines(stored, measured=False)), injecting.outcomes, time.monotonic() - began
    finally:
        stored.store.close()


async def test_injected_candidates_change_no_byte(tmp_path: Path) -> None:
    marks = Marks()
    known = {hostile.name: hostile for hostile in candidates()}
    hostile = [known[name] for name in CHOSEN.split()]
    assert len(hostile) == 30
    plain, none, plain_s = await run(tmp_path / "plain", [], marks)
    injected, outcomes, injected_s = await run(tmp_path / "injected", hostile, marks)
    assert not none and len(outcomes) == len(hostile)
    assert len(plain) > CANDIDATES and injected == plain
    assert injected_s < plain_s + EXTRA_S
    assert all(outcome.score is None for outcome in outcomes)
    faults = [outcome.feedback for outcome in outcomes if outcome.status in (Status.INFRA, Status.EVALUATOR_ERROR)]
    assert not faults
    assert not lasting_processes(marks) and not marked_files(marks)
