"""Measures the engine: `python -m tests.benchmarks.engine [--json]`. Start-up, the first child, CPU per candidate.

Figures are medians of a few repeats on whatever machine this is; quote ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evolve import config
from evolve.lineage import Run
from evolve.llm.scripted import Scripted
from evolve.population import Store, Writer, create_run
from evolve.proposer import Proposing
from evolve.runner.budget import Budget, Spent
from evolve.runner.runner import Runner
from evolve.search import Search
from evolve.types import Evaluation, StageOutcome, Status
from tests.command import SCRIPT, ok
from tests.llm_server import perturb


class Instant:
    """An evaluator that takes no time: a score from the text's hash."""

    slots = 2
    queue = 4
    isolation = "none"

    def missing(self, problem: object) -> list[str]:
        return []

    async def start(self, problem: object = None, measured_on: str = "") -> None: ...

    async def close(self) -> None: ...

    async def evaluate(
        self, problem: Any, files: Any, *, on_stage: Callable[[StageOutcome], None], **_: Any
    ) -> Evaluation:
        outcome = await self.measure(problem, files)
        on_stage(outcome)
        return Evaluation.of([outcome])

    async def measure(self, problem: Any, files: Any, replicate: int = 0, **_: Any) -> StageOutcome:
        await asyncio.sleep(0)
        score = hash(files["initial.py"]) % 10**6 / 1e6
        metrics = {problem.objective: score}
        return StageOutcome(stage="main", status=Status.OK, metrics=metrics, score=score, replicate=replicate)


def median_s(command: list[str], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def first_child_s(folder: Path) -> float:
    """Seconds from the command to the first evaluated child, by the clock of its row."""
    began = time.time()
    ok("run", "budget.candidates=1", f"run_dir={folder}", cwd=folder.parent)
    run = Run.open(folder)
    times = run.store.event_times(run.run_id)
    told = [event.seq for event in run.store.events(run.run_id) if event.kind == "told"]
    return times[told[1]] - began


def cpu_ms_per_candidate(folder: Path, candidates: int) -> dict[str, float]:
    """CPU of search, database and bookkeeping, with a model and an evaluator that cost nearly nothing."""
    setup = config.build(config.compose([]))
    answers = iter(range(10**9))
    parent = setup.problem.initials[0]["initial.py"]

    def answer(prompt: Any, call: str) -> str:
        old, new = perturb(prompt.parent["initial.py"], next(answers))
        return f"TITLE: change a number\nHYPOTHESIS: chance\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"

    began = time.process_time()
    for _ in range(200):
        perturb(parent, next(answers))
    model_ms = (time.process_time() - began) * 5
    store = Store(f"sqlite:///{folder}/run.db", create=True)
    create_run(store, "r", problem="p", problem_path="", problem_hash="", config={}, words=[], versions={})
    writer = Writer(store, "r")
    writer.claim()

    async def run() -> float:
        runner = Runner(
            problem=setup.problem,
            search=Search(**setup.search_settings),
            provider=Scripted(answer),
            evaluator=Instant(),
            store=store,
            writer=writer,
            budget=Budget(candidates=candidates),
            spent=Spent(),
            proposing=Proposing(turns=1),
        )
        writer.start()
        first = await Instant().evaluate(setup.problem, setup.problem.initials[0], on_stage=lambda outcome: None)
        runner.found([(setup.founders[0], first)])
        before = time.process_time()
        await runner.run()
        return time.process_time() - before

    spent_s = asyncio.run(run())
    writer.close()
    return {"engine_ms": spent_s / candidates * 1e3 - model_ms, "model_ms": model_ms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--candidates", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "help_s": median_s([SCRIPT, "--help"]),
            "first_child_s": statistics.median(first_child_s(Path(folder, f"first{i}")) for i in range(3)),
            **cpu_ms_per_candidate(Path(folder), arguments.candidates),
        }
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:<16}{value:8.3f}")


if __name__ == "__main__":
    main()
