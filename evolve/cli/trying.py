"""`evolve try RUN FILE --call ID`: has a running search test a draft before it is sent as the answer to a call."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from evolve.cli.plain import plain_all
from evolve.cli.reading import measured, show_json
from evolve.errors import RunError, UsageError
from evolve.lineage import Run

EVERY_S = 0.2
console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)


def try_(arguments: argparse.Namespace) -> int:
    run, file = Run.open(arguments.run), Path(arguments.file)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: can't be read as text: {error}") from None
    found = _asked(run, {"call": arguments.call, "name": file.name, "text": text})
    if "error" in found:
        raise RunError(found["error"])
    if arguments.json:
        show_json(found)
    else:
        shown = plain_all(found)
        console.print(f"{shown['stage']}: {shown['status']}  {measured({'score': None, **shown})}")
        if shown["feedback"]:
            console.print(shown["feedback"])
        console.print(f"{shown['left']} tries are left", style="dim")
    return 0 if found["status"] == "ok" else 1


def _asked(run: Run, body: dict[str, Any]) -> Any:
    """Leaves the message and waits for its answer. Raises RunError where nobody runs the run."""
    message = run.store.put(run.run_id, "try", body)
    try:
        while (found := run.store.answered(message)) is None:
            if (state := run.state()) not in ("running", "paused"):
                raise RunError(f"run {run.run_id} is {state}: nobody is there to try it; 'evolve resume' goes on")
            time.sleep(EVERY_S)
        return found
    finally:
        run.store.withdraw(message)
