"""`evolve run` and `evolve resume`: words in, a search on the screen, three useful commands at the end."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from evolve import config, session
from evolve.cli.reading import shown_path
from evolve.cli.screen import screen_for
from evolve.errors import RunError, UsageError
from evolve.runner.launch import Ended


def run(words: list[str]) -> int:
    dirs, words = _config_dirs(words)
    multirun = [word for word in words if word in ("-m", "--multirun")]
    flags = [word for word in words if word.startswith("-") and word not in multirun]
    keys = _without_flags(words)
    if multirun:
        if len(flags) > 0:
            raise UsageError(f"{flags[0]}: no such option beside -m; see 'evolve run --help'")
        return sweep(keys, dirs)
    if flags[:1] == ["--cfg"]:
        import yaml

        print(yaml.safe_dump(config.compose([k for k in keys if k != "job"], dirs), sort_keys=False), end="")  # noqa: T201
        return 0
    if flags:
        raise UsageError(f"{flags[0]}: no such option; see 'evolve run --help'")
    screen = screen_for(sys.stdout)
    return report(carried_out(session.run(keys, screen, dirs)))


def resume(arguments: argparse.Namespace) -> int:
    return report(
        asyncio.run(session.resume(arguments.run, arguments.words, screen_for(sys.stdout), arguments.config_dir))
    )


def carried_out(work: Coroutine[Any, Any, Ended]) -> Ended:
    """Runs a session; a signal before its runner takes signals over ends it at once, with one line."""

    async def guarded() -> Ended:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise RunError("stopped before the first candidate") from None


def report(ended: Ended) -> int:
    """Names the run and what a user wants next; returns the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    where = shown_path(ended.ref.folder) if ended.ref.folder else f"{ended.ref.database}#{ended.ref.run_id}"
    if ended.fault is not None:
        raise ended.fault
    if ended.state in ("failed", "paused"):
        print(f"evolve: {ended.reason}; mend it and run 'evolve resume {where}'", file=sys.stderr)  # noqa: T201
        return 1
    console.print(f"\n{ended.state.capitalize()} ({ended.reason}). The run is {where}")
    best = _best(ended)
    more = "" if ended.state == "interrupted" else f" {_larger(ended)}"
    for command, what in (
        (f"evolve best {where}", "the best program"),
        (f"evolve lineage {where} {best}", "how it came about"),
        (f"evolve resume {where}{more}", "go on"),
    ):
        console.print(f"  {command:<60}  [dim]{what}[/dim]")
    return 0 if ended.state == "finished" else 1


def _best(ended: Ended) -> int:
    return ended.ref.open().best(ended.ref.run_id) or 1


def _larger(ended: Ended) -> str:
    """Returns the word that lets a finished run go on: twice the budget that ended it."""
    budget = ended.ref.open().run(ended.ref.run_id)["config"]["budget"]
    name = next((name for name in budget if f"budget.{name}" in ended.reason), "candidates")
    return f"budget.{name}={2 * (budget[name] or 100):g}"


def _config_dirs(words: Sequence[str]) -> tuple[list[str], list[str]]:
    dirs, rest, taking = [], [], False
    for word in words:
        if taking:
            dirs.append(word)
        elif word.startswith("--config-dir="):
            dirs.append(word.partition("=")[2])
        elif word != "--config-dir":
            rest.append(word)
        taking = not taking and word == "--config-dir"
    if taking:
        raise UsageError("--config-dir needs a folder")
    return dirs, rest


def _without_flags(words: Sequence[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


# ---------------------------------------------------------------- sweeps


_ended: list[Ended] = []  # of the jobs that ran in this process
_failed: list[str] = []


def sweep(words: Sequence[str], dirs: Sequence[str]) -> int:
    """Runs every combination through Hydra's sweeper and launcher, each job in a directory of its own."""
    _validate_each(words, dirs)
    if not any(word.startswith("run_dir=") for word in words):
        words = [*words, f"run_dir=runs/sweep-{time.strftime('%Y%m%d-%H%M%S')}"]
    _ended.clear()
    _failed.clear()
    overrides = [config.normalise(word) for word in words]
    with _hydra_argv(["-m", *[x for d in dirs for x in ("--config-dir", str(Path(d).resolve()))], *overrides]):
        from evolve.cli.job import main

        with config.translated(words):
            main()
    for line in _failed:
        print(f"evolve: {line}", file=sys.stderr)  # noqa: T201
    return 1 if _failed or any(ended.state != "finished" for ended in _ended) else 0


def _validate_each(words: Sequence[str], dirs: Sequence[str]) -> None:
    """Builds the configuration of every value of every sweep, so that a mistake is told before the first job."""
    values = [config.sweep_values(word) for word in words if not word.startswith("hydra")]
    first = [choices[0] for choices in values]
    config.build(config.compose(first, dirs))
    for place, choices in enumerate(values):
        for choice in choices[1:]:
            config.build(config.compose([*first[:place], choice, *first[place + 1 :]], dirs))


@contextmanager
def _hydra_argv(words: list[str]) -> Any:
    before, sys.argv = sys.argv, ["evolve", *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # its own handler prints and exits; ours says it in one line
    try:
        yield
    finally:
        sys.argv = before


def finished(ended: Ended) -> None:
    """Takes in a sweep's job that ended; stops the sweep when the user stopped the job."""
    _ended.append(ended)
    report(ended)
    if ended.state == "interrupted":
        raise KeyboardInterrupt


def failed(line: str) -> None:
    _failed.append(line)
