"""The verb verify: a stored candidate through the last stage on fresh draws, beside the initial program and what is known."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from evolve import config
from evolve.cli.plain import plain
from evolve.cli.reading import show_json
from evolve.errors import RunError, UsageError
from evolve.lineage import Run
from evolve.problem import Problem, same_value
from evolve.proposer.shown import number
from evolve.runner import launch
from evolve.runner.asks import alone
from evolve.runner.setup import Setup
from evolve.types import Files, StageOutcome, Status, means, standard_error

FIRST = 2_000_000  # the replicate from which draws are counted: no search, and no final, saw these
DIGITS = 8
console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)


def verify(arguments: argparse.Namespace) -> int:
    """Nothing is stored. Exits with 1 where some draw of the candidate is not ok."""
    if arguments.draws < 1:
        raise UsageError(f"--draws {arguments.draws}: at least 1")
    run = Run.open(arguments.run)
    row = run.row()
    found = run.best() if arguments.id is None else run.candidate(arguments.id)
    setup = config.build({**row["config"], "problem": row["problem_path"]})
    launch.checked(setup, row)
    if missing := setup.evaluator.missing(setup.problem):
        raise RunError(f"problem={setup.problem.name}: needs {', '.join(missing)}, not found here; verify where it is")
    initials = setup.problem.initials[:1]
    outcomes = asyncio.run(_measured(setup, [found.files, *initials], arguments.draws))
    shown = {
        "candidate": found.id,
        "stage": setup.problem.stages[-1].name,
        "draws": arguments.draws,
        "stored": {"score": found.score, "metrics": dict(found.metrics)},
        "verified": _summary(outcomes[0]),
        "initial": _summary(outcomes[1]) if initials else None,
        "known": {name: entry["best"] for name, entry in setup.problem.known.items()},
    }
    if arguments.json:
        show_json(shown)
    else:
        _show(setup.problem, shown)
    return 0 if shown["verified"]["status"] == Status.OK else 1


async def _measured(setup: Setup, programs: Sequence[Files], draws: int) -> list[list[StageOutcome]]:
    """Returns each program's outcomes; all of them meet the same draws, one after another."""
    last = replace(setup.problem.stages[-1], draw="paired")
    problem = replace(setup.problem, stages=(*setup.problem.stages[:-1], last))
    measure = partial(setup.evaluator.measure, problem, candidate=1, draw_seed=0, serve=alone)
    try:
        await setup.evaluator.start(problem)
        jobs = [measure(files, replicate=FIRST + draw) for draw in range(draws) for files in programs]
        found = await asyncio.gather(*jobs)
    finally:
        await setup.evaluator.close()
    return [list(found[place :: len(programs)]) for place in range(len(programs))]


def _summary(outcomes: Sequence[StageOutcome]) -> dict[str, Any]:
    """Returns the worst status with its reason, and each metric's mean, standard error and extremes over the ok draws."""
    failed = next((outcome for outcome in outcomes if outcome.status is not Status.OK), None)
    ok = [outcome.metrics for outcome in outcomes if outcome.status is Status.OK]
    metrics = {}
    for name, mean in means(ok).items():
        values = [known[name] for known in ok if name in known]
        stderr = standard_error(values) if len(values) > 1 else None
        metrics[name] = {"mean": mean, "stderr": stderr, "min": min(values), "max": max(values)}
    return {
        "status": (failed.status if failed else Status.OK).value,
        "ok": len(ok),
        "feedback": failed.feedback if failed else "",
        "metrics": metrics,
    }


def _show(problem: Problem, shown: Mapping[str, Any]) -> None:
    verified, initial = shown["verified"], shown["initial"]
    console.print(
        f"{problem.name}: candidate {shown['candidate']}, {verified['ok']} of {shown['draws']} fresh draws of stage "
        f"{shown['stage']} ok",
        style="bold",
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("objective", "stored", "verified", "least", "most", "initial program", "known best"):
        table.add_column(heading, justify="left" if heading == "objective" else "right")
    for name in problem.objectives:
        now, known = verified["metrics"].get(name), shown["known"].get(name)
        stored, first = shown["stored"]["metrics"].get(name), (initial or {"metrics": {}})["metrics"].get(name)
        table.add_row(
            name,
            _number(stored),
            _mean(now),
            *(_number(now and now[end]) for end in ("min", "max")),
            _mean(first),
            _number(known),
        )
    console.print(table)
    if verified["feedback"]:
        console.print(plain(f"{verified['status']}: {verified['feedback']}"))


def _number(value: float | None) -> str:
    return "-" if value is None else number(value, DIGITS)


def _mean(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    spread = found["max"] > found["min"] and not same_value(found["max"], found["min"])
    return number(found["mean"], DIGITS) + (f" ± {found['stderr']:.2g}" if spread else "")
