"""What a person sees of a running search: a live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from evolve.cli.plain import plain
from evolve.proposer.shown import number
from evolve.runner.launch import Screen
from evolve.runner.meter import utilisation
from evolve.runner.runner import Runner

BARS = "▁▂▃▄▅▆▇█"
REFRESH_S = 0.25
LINE_EVERY_S = 10.0
SHOWN_AT_ONCE = (
    "isolation",
    "trust",
    "cost",
    "infra",
    "evaluator_error",
    "draining",
    "llm",
    "artifacts",
    "steer",
    "rescore",
    "from",
)


def screen_for(stream: TextIO) -> Screen:
    """Returns the live screen for a terminal, plain lines for anything else."""
    return LiveScreen(stream) if stream.isatty() else Plain(stream)


def line_for(stream: TextIO) -> Screen:
    """Returns one live line for a terminal and a notebook, plain lines for anything else."""
    return OneLine(stream) if stream.isatty() or "ipykernel" in sys.modules else Plain(stream)


class Ticking:
    """A screen that looks at the runner from time to time, in the runner's own loop."""

    every_s = 1.0

    def __init__(self, stream: TextIO):
        self.console = Console(file=stream, highlight=False, soft_wrap=True, emoji=False, markup=False)
        self.runner: Runner | None = None
        self.history: list[float] = []

    def note(self, kind: str, text: str) -> None:
        if kind in SHOWN_AT_ONCE:
            self.print(Text(plain(f"{kind}: {text}"), style="yellow"))

    def look(self, runner: Runner) -> None:
        """Shows how the run stands."""

    def print(self, what: str | Text) -> None:
        """Prints, unless nobody reads any more (`evolve run | head`): the run goes on."""
        try:
            self.console.print(what)
        except (OSError, SystemExit):
            self.console = Console(quiet=True)

    @contextmanager
    def watch(self, runner: Runner) -> Iterator[None]:
        self.runner = runner
        ticking = asyncio.get_running_loop().create_task(self._tick(runner))
        try:
            yield
        finally:
            ticking.cancel()
            self.look(runner)

    async def _tick(self, runner: Runner) -> None:
        while True:
            self.look(runner)
            await asyncio.sleep(self.every_s)


class Plain(Ticking):
    """Lines: one at the start, one per better program, one every few seconds, one at the end."""

    def __init__(self, stream: TextIO):
        super().__init__(stream)
        self._last = 0.0
        self._line = ""

    def note(self, kind: str, text: str) -> None:
        super().note(kind, text)
        if kind == "best" and self.runner is not None and self.runner.search.asked:
            self.print(line(self.runner))
            self._last = time.monotonic()

    def look(self, runner: Runner) -> None:
        if time.monotonic() - self._last >= LINE_EVERY_S or (runner.state != "running" and line(runner) != self._line):
            self._last, self._line = time.monotonic(), line(runner)
            self.print(self._line)


class OneLine(Ticking):
    """Rewrites one line in place; notes are lines of their own above it."""

    @contextmanager
    def watch(self, runner: Runner) -> Iterator[None]:
        try:
            with super().watch(runner):
                yield
        finally:
            self._write("\n")

    def look(self, runner: Runner) -> None:
        self.print(line(runner), end="")

    def print(self, what: str | Text, end: str = "\n") -> None:
        self._write(f"\r{plain(str(what)):<100}{end}")

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads any more: the run goes on
            self.console.file.write(text)
            self.console.file.flush()


class LiveScreen(Ticking):
    """Redraws one screen in place."""

    every_s = REFRESH_S

    @contextmanager
    def watch(self, runner: Runner) -> Iterator[None]:
        with (
            Live(console=self.console, refresh_per_second=4, auto_refresh=False, transient=False) as self.live,
            super().watch(runner),
        ):
            yield

    def look(self, runner: Runner) -> None:
        best = runner.search.best
        if best is not None:
            self.history.append(abs_objective(runner, runner.search.score(best)))
        self.live.update(view(runner, self.history), refresh=True)


def abs_objective(runner: Runner, score: float) -> float:
    """Returns a score in the first objective's own direction and unit."""
    return runner.problem.objectives[runner.problem.objective] * score


def line(runner: Runner) -> str:
    """Returns how a run stands, in one line."""
    best = runner.search.best
    value = number(abs_objective(runner, runner.search.score(best))) if best else "none yet"
    return (
        f"{clock(runner.wall_s())}  {progress(runner)}  {runner.problem.objective} {value}{known(runner)}"
        f"{f' (candidate {best})' if best else ''}  {counts(runner)}  {spending(runner)}"
    )


def progress(runner: Runner) -> str:
    told, budget = runner.search.told, runner.budget.candidates
    return f"{told}/{budget} candidates" if budget else f"{told} candidates"


def counts(runner: Runner) -> str:
    return " ".join(f"{status} {n}" for status, n in sorted(runner.counts.items()))


def known(runner: Runner) -> str:
    best = runner.problem.known_best()
    return f" (best known {number(best)})" if best is not None else ""


def spending(runner: Runner) -> str:
    spent = runner.spent
    cost = "cost unknown" if spent.unpriced else f"${spent.cost_usd:.4g}"
    meters, wall_s = (runner.llm_meter, runner.evaluator_meter), runner.wall_s()
    llm, evaluators = (utilisation(meter.busy_s(), meter.slots, wall_s) for meter in meters)
    judges = f"judge calls {spent.evaluation_calls}  " if spent.evaluation_calls else ""
    return f"{cost}  {judges}llm {llm:.0%} busy, evaluators {evaluators:.0%} busy"


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def spark(values: list[float], width: int = 40) -> str:
    """Returns a line of bars for a history, oldest left, thinned to the width."""
    if len(values) > width:
        values = [values[i * (len(values) - 1) // (width - 1)] for i in range(width)]
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


def view(runner: Runner, history: list[float]) -> RenderableType:
    """Returns the live screen."""
    budget, told = runner.budget.candidates, runner.search.told
    named = f"  {runner.writer.run_id}  seed {runner.search.seed}"
    parts: list[RenderableType] = [
        Text.assemble((runner.problem.name, "bold"), named, style="cyan"),
        Text(f"{progress(runner)}   {clock(runner.wall_s())}   {spending(runner)}   calls {runner.spent.calls}"),
    ]
    if budget:
        bar = Table.grid()  # a bar alone ends without a line break
        bar.add_row(ProgressBar(total=budget, completed=told, width=72))
        parts.append(bar)
    if history:
        value, where = (number(history[-1]), "bold green"), f"{known(runner)}  candidate {runner.search.best}"
        parts.append(Text.assemble(f"best {runner.problem.objective} ", value, where))
        parts.append(Text(spark(history, 72), style="green"))
    parts.append(islands(runner))
    parts.append(Text(f"{counts(runner)}  in flight {len(runner.search.open())}"))
    return Group(*parts)


def islands(runner: Runner) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("island", "asked", "ok", "best"):
        table.add_column(heading, justify="right")
    for island in runner.search.islands:
        best = island.best()
        shown = number(abs_objective(runner, -best[1])) if best else "-"
        table.add_row(str(island.index), str(island.own), str(len(island)), shown)
    return table
