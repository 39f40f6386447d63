"""The Python API: run a search from a notebook or a script, and open stored runs."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from evolve.errors import RunError
from evolve.lineage import Run

T = TypeVar("T")


class Silent:
    """A screen that shows nothing and keeps what was noted."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []

    def note(self, kind: str, text: str) -> None:
        self.notes.append((kind, text))

    def watch(self, runner: Any) -> Any:
        return nullcontext()


def run(problem: str | Path = "circle_packing", overrides: Sequence[str] = ()) -> Run:
    """Runs a search to its end and returns it; works inside a running event loop too (a notebook).

    `overrides` are those of the command line. Raises EvolveError as the command line would print it, RunError when the
    run fails.
    """
    from evolve import session

    ended = in_own_loop(session.run([f"problem={problem}", *overrides], Silent()))
    if ended.state == "failed":
        raise RunError(ended.reason)
    return Run.open(ended.ref.folder or f"{ended.ref.database}#{ended.ref.run_id}")


def open_run(run: str | Path) -> Run:
    """Opens a stored run: a directory, `latest`, a unique prefix of its id, or URL#run_id."""
    return Run.open(run)


def in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end: here, or in a thread of its own where a loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1, thread_name_prefix="evolve") as thread:
        return thread.submit(asyncio.run, work).result()
