"""Runs of a tiny problem without processes: a scripted model, an evaluator that is a function of the text, a real store."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evolve.lineage import Run
from evolve.lineage.export import lines
from evolve.llm.provider import Provider
from evolve.llm.scripted import Scripted
from evolve.loading import load_problem
from evolve.population import Store
from evolve.problem import Problem
from evolve.proposer import Proposing
from evolve.runner import launch, rundir
from evolve.runner.budget import Budget
from evolve.runner.evaluator import Evaluator
from evolve.runner.launch import Ended
from evolve.runner.replay import Record
from evolve.runner.setup import Setup
from evolve.search import Strategy
from evolve.search.inspirations import BetterAndComplementary
from evolve.search.migration import Migration
from evolve.search.operators import WeightedOperators
from evolve.search.reset import ResetWeakest
from evolve.search.selectors import PowerLaw
from evolve.types import Call, Evaluation, Files, Prompt, StageOutcome, Status

INITIAL = "def f():\n    return 0\n"
RUN = "tiny-1"
Script = Callable[[Prompt, str], str]
Judge = Callable[[int, str], Evaluation]


def source(value: float, note: str = "") -> str:
    return f"def f():\n    return {value}{note}\n"


def rewrite(value: float, note: str = "") -> str:
    return f"TITLE: return {value}\n```python\n{source(value, note)}```\n"


def value_of(text: str) -> float:
    return float(re.search(r"return (-?[\d.]+)", text)[1])


def answer(prompt: Prompt, call: str) -> str:
    """Answers by what the prompt says alone: most add to the parent's value, some repeat others, some are no edit."""
    chosen = prompt.seed[-1]
    if chosen % 11 == 5:
        return "I would rather not."
    if chosen % 7 == 3:
        return rewrite(7.0)  # seen before, from the second time on
    return rewrite(value_of(prompt.parent["initial.py"]) + chosen % 5 - 1.5 + chosen / 1000)


def outcomes(text: str) -> list[StageOutcome]:
    """Returns what two stages make of a program: the value; a crash where the value is about a multiple of four."""
    value = value_of(text)
    small = StageOutcome(stage="small", status=Status.OK, score=value / 2, metrics={"score": value / 2})
    if int(value) % 4 == 3:
        return [small, StageOutcome(stage="main", status=Status.CRASH, feedback=f"{value} is refused")]
    return [small, StageOutcome(stage="main", status=Status.OK, score=value, metrics={"score": value})]


class Judging:
    """An evaluator that judges by a pure function of the text, after `latency` (of the candidate's id) turns of the loop.

    `second` changes what a stage that is run once more comes to.
    """

    isolation = "none"

    def __init__(
        self,
        slots: int = 2,
        judge: Callable[[str], list[StageOutcome]] = outcomes,
        latency: Any = lambda c: 1,
        second: Callable[[StageOutcome], StageOutcome] = lambda outcome: outcome,
    ):
        self.slots = slots
        self.queue = 2 * slots
        self.evaluated: list[int] = []
        self.ran: list[tuple[int, str]] = []
        self.measured: list[tuple[int, int]] = []
        self.tested: list[tuple[int, str]] = []
        self.held_out: list[tuple[int, int]] = []
        self._judge, self._latency, self._second = judge, latency, second

    def missing(self, problem: Problem) -> list[str]:
        return []

    async def start(self, problem: object = None, measured_on: str = "") -> None:
        pass

    async def close(self) -> None:
        pass

    async def evaluate(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int,
        thresholds: Mapping[str, float],
        draw_seed: int,
        done: Sequence[StageOutcome],
        on_stage: Callable[[StageOutcome], None],
        serve: Any,
    ) -> Evaluation:
        self.evaluated.append(candidate)
        known = {outcome.stage: outcome for outcome in done}
        found = []
        for outcome in self._judge(files["initial.py"]):
            await turns(self._latency(candidate))
            if outcome.stage not in known:
                self.ran.append((candidate, outcome.stage))
                on_stage(outcome)
            found.append(known.get(outcome.stage, outcome))
        last = found[-1]
        same = {name: getattr(last, name) for name in ("status", "score", "metrics", "feedback")}
        return Evaluation(stages=tuple(found), **same)

    async def measure(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int,
        draw_seed: int,
        replicate: int = 0,
        holdout: bool = False,
        stage: str = "",
        serve: object = None,
    ) -> StageOutcome:
        if stage:
            self.tested.append((candidate, files["initial.py"]))
            await turns(self._latency(candidate))
            return next(outcome for outcome in self._judge(files["initial.py"]) if outcome.stage == stage)
        (self.held_out if holdout else self.measured).append((candidate, replicate))
        await turns(self._latency(candidate))
        found = replace(self._judge(files["initial.py"])[-1], replicate=replicate)
        return replace(found, stage="holdout") if holdout else self._second(found)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Slow(Scripted):
    """A scripted model whose calls take turns of the loop that depend on the call's candidate."""

    def __init__(self, answers: Script, latency: Callable[[Prompt], int], concurrency: int = 8):
        super().__init__(answers, concurrency=concurrency)
        self._turns = latency

    async def complete(self, prompt: Prompt, *, call: Call) -> Any:
        await turns(self._turns(prompt))
        return await super().complete(prompt, call=call)


class Notes:
    """A screen that keeps what it is told, and the runner."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.runner: Any = None

    def note(self, kind: str, text: str) -> None:
        self.notes.append((kind, text))

    def watch(self, runner: Any) -> Any:
        self.runner = runner
        return nullcontext()


def tiny(folder: Path, more: str = "") -> Problem:
    folder.mkdir(exist_ok=True)
    (folder / "evaluator.py").write_text("def score(instance, output): return output\n")
    (folder / "initial.py").write_text(INITIAL)
    (folder / "problem.yaml").write_text(f"stages: {{small: {{}}, main: {{}}}}\n{more}\n")
    return load_problem(str(folder))


STRATEGY = Strategy(
    parents=[PowerLaw()],
    inspirations=BetterAndComplementary(),
    operators=WeightedOperators(weights={"diff": 0.5, "rewrite": 0.25, "crossover": 0.25}),
    migration=Migration(every=4),
    reset=ResetWeakest(every=12, minimum=8),
)


@dataclass
class Case:
    """One run in a folder of its own: started, looked at, stopped at some moment, gone on with."""

    root: Path
    provider: Provider
    evaluator: Evaluator
    budget: Budget
    window: int | None = None
    seed: int = 1
    spec: str = ""
    proposing: Proposing = field(default_factory=lambda: Proposing(turns=1))
    strategy: Strategy = STRATEGY
    islands: int = 2
    record: Record | None = None
    embedder: Provider | None = None
    url: str = ""  # in place of an SQLite file in the folder

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.screen = Notes()
        self._run: Run | None = None
        self.problem = tiny(self.root / "tiny", self.spec)

    @property
    def folder(self) -> Path:
        return self.root / "run"

    @property
    def database(self) -> Path:
        return self.folder / "run.db"

    def setup(self) -> Setup:
        limits = {name: getattr(self.budget, name) for name in Budget.__dataclass_fields__}
        return Setup(
            config={"seed": self.seed, "budget": limits, "problem": "tiny"},
            words=[],
            problem=self.problem,
            search_settings={
                "seed": self.seed,
                "islands": self.islands,
                "strategy": self.strategy,
                "rules": {},
                "window": self.window,
            },
            provider=self.provider,
            evaluator=self.evaluator,
            budget=self.budget,
            proposing=self.proposing,
            record=self.record,
            embedder=self.embedder,
        )

    async def start(self) -> Ended:
        url = self.url or f"sqlite:///{self.database}"
        return await launch.start(self.setup(), RUN, self.folder, url, self.screen)

    async def resume(self, **changes: Any) -> Ended:
        """Goes on with the run, with other parts than before where they are given."""
        for name, value in changes.items():
            setattr(self, name, value)
        ref = rundir.read(self.folder)
        store = ref.open()
        ended = await launch.resume(self.setup(), ref, store, self.screen)
        store.close()
        return ended

    def run(self) -> Run:
        """Returns the stored run, opened when it is first read."""
        self._run = self._run or Run.open(self.folder)
        return self._run

    def status(self) -> dict[str, Any]:
        return self.run().status()

    def export(self) -> list[str]:
        return list(lines(self.run(), measured=False))

    def snapshot(self, root: Path) -> Case:
        """Returns the case as a kill at this moment leaves it: what is committed, its runner gone."""
        copy = replace(self, root=root)
        shutil.copytree(self.folder, copy.folder, ignore=shutil.ignore_patterns("run.db*"))
        with sqlite3.connect(self.database) as live, sqlite3.connect(copy.database) as kept:
            live.backup(kept)
            kept.execute("UPDATE runs SET lease_owner = lease_owner || '0'")  # a start time that no process has
        live.close()
        kept.close()
        written = (copy.folder / rundir.FILE).read_text().replace(str(self.folder), str(copy.folder))
        (copy.folder / rundir.FILE).write_text(written)
        return copy


def case(root: Path, candidates: int = 40, script: Script = answer, **changes: Any) -> Case:
    parts = {"provider": Scripted(script, concurrency=3), "evaluator": Judging(), **changes}
    return Case(root=root, budget=parts.pop("budget", Budget(candidates=candidates)), **parts)


def calls(case: Case) -> list[Any]:
    return case.run().store.call_rows(RUN)


def store_of(case: Case) -> Store:
    return case.run().store
