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
from typing import Any, TypeVar

from evolve import config, session
from evolve.cli.plain import plain
from evolve.cli.report import report
from evolve.cli.screen import abs_objective, screen_for
from evolve.errors import RunError, UsageError
from evolve.proposer.shown import number

T = TypeVar("T")


def run(words: list[str]) -> int:
    try:
        options, rest = _options().parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}; see 'evolve run --help'") from None
    dirs, keys = options.config_dir, [word for word in rest if not word.startswith("-")]
    unknown = [word for word in rest if word.startswith("-")]
    if options.multirun:
        unknown += ["--cfg"] * bool(options.cfg) + ["--dry-run"] * options.dry_run
    if unknown:
        beside = " beside -m" if options.multirun else ""
        raise UsageError(f"{unknown[0]}: no such option{beside}; see 'evolve run --help'")
    if options.multirun:
        return sweep(keys, dirs)
    if options.cfg:
        import yaml

        print(yaml.safe_dump(config.compose(keys, dirs), sort_keys=False), end="")  # noqa: T201
        return 0
    if options.dry_run:
        for name, text in asyncio.run(session.plan(keys, dirs)).items():
            print(plain(f"{name:<13} {text}"))  # noqa: T201
        return 0
    screen = screen_for(sys.stdout)
    return report(carried_out(session.run(keys, screen, dirs)))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--config-dir", action="append", default=[])
    parser.add_argument("--cfg", choices=["job"])
    parser.add_argument("--dry-run", action="store_true")
    return parser


def resume(arguments: argparse.Namespace) -> int:
    screen = screen_for(sys.stdout)
    return report(carried_out(session.resume(arguments.run, arguments.words, screen, arguments.config_dir)))


def rescore(arguments: argparse.Namespace) -> int:
    if arguments.top is not None and arguments.top < 1:
        raise UsageError(f"--top {arguments.top}: must be 1 or more")
    given = (arguments.run, arguments.words, screen_for(sys.stdout), arguments.config_dir, arguments.top)
    runner = carried_out(session.rescore(*given), f"stopped; 'evolve rescore {arguments.run}' goes on")
    best = runner.search.best or 0
    said = f"{runner.problem.objective} {number(abs_objective(runner, runner.search.score(best)))}" if best else "none"
    print(plain(f"best: candidate {best}, {said}; 'evolve resume {arguments.run}' goes on"))  # noqa: T201
    return 0


def carried_out(work: Coroutine[Any, Any, T], stopped: str = "stopped before the first candidate") -> T:
    """Runs a session; a signal before its runner takes signals over ends it at once, with one line."""

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise RunError(stopped) from None


# ---------------------------------------------------------------- sweeps


def sweep(words: Sequence[str], dirs: Sequence[str]) -> int:
    """Runs every combination through Hydra's sweeper and launcher, each job in a directory of its own."""
    _validate_each(words, dirs)
    if not any(word.startswith("run_dir=") for word in words):
        words = [*words, f"run_dir=runs/sweep-{time.strftime('%Y%m%d-%H%M%S')}"]
    overrides = [config.normalise(word) for word in words]
    with _hydra_argv(["-m", *[x for d in dirs for x in ("--config-dir", str(Path(d).resolve()))], *overrides]):
        from evolve.cli import job

        with config.translated(words):
            job.main()
    return 1 if job.failures else 0


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
