"""The end of a run on the screen: its name, and the three commands that a user wants next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from evolve.cli.plain import plain
from evolve.cli.reading import final_of, held_out, shown_path
from evolve.lineage import Run
from evolve.runner.launch import Ended


def report(ended: Ended) -> int:
    """Names the run and what a user wants next; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
    where = shown_path(ended.ref.folder) if ended.ref.folder else f"{ended.ref.database}#{ended.ref.run_id}"
    if ended.fault is not None:
        raise ended.fault
    if ended.state in ("failed", "paused"):
        print(plain(f"evolve: {ended.reason}; mend it and run 'evolve resume {where}'"), file=sys.stderr)  # noqa: T201
        return 1
    console.print(plain(f"\n{ended.state.capitalize()} ({ended.reason}). The run is {where}"))
    where = shlex.quote(where)
    run = Run(ended.ref, ended.ref.open())
    best = run.status()["best"]
    if (final := run.final()) is not None:
        console.print(plain(f"Final: {final_of(final)}"))
    if (holdout := run.holdout()) is not None:
        console.print(plain(f"Hold-out: {held_out(holdout)}"))
    more = "" if ended.state == "interrupted" else f" {_larger(ended.reason, run.row()['config']['budget'])}"
    found = [
        (f"evolve best {where}", "the best program"),
        (f"evolve lineage {where} {best and best['id']}", "how it came about"),
    ]
    none = [(f"evolve show {where} 1", "no candidate is ok: what became of the first")]
    for command, what in [*(found if best else none), (f"evolve resume {where}{more}", "go on")]:
        console.print(Text.assemble(plain(f"  {command:<60}  "), (what, "dim")))
    return 0 if ended.state == "finished" else 1


def _larger(reason: str, budget: Mapping[str, Any]) -> str:
    """Returns the word that lets a finished run go on: twice the budget that ended it."""
    name = next((name for name in budget if f"budget.{name}" in reason), "candidates")
    return f"budget.{name}={2 * (budget[name] or 100):g}"
