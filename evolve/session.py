"""Sessions: command-line words in, a run started or resumed; what the CLI, a sweep's job and the Python API share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve import config as configuration
from evolve.errors import RunError, UsageError
from evolve.population.store import Row
from evolve.runner import fork, launch, rundir, warm
from evolve.runner.fork import Fork
from evolve.runner.launch import Ended, Screen
from evolve.runner.rescore import unfinished
from evolve.runner.runner import Runner
from evolve.runner.setup import Setup


async def run(
    words: Sequence[str], screen: Screen, config_dirs: Sequence[str] = (), run_dir: Path | None = None
) -> Ended:
    """Starts a new run (or goes on with the one in `run_dir` where on_existing=resume)."""
    return await run_composed(configuration.compose(words, config_dirs), words, screen, run_dir, config_dirs)


async def plan(words: Sequence[str], config_dirs: Sequence[str] = ()) -> dict[str, str]:
    """Returns what `run` would do, without calling a model."""
    config, words, forked = _forked(configuration.compose(words, config_dirs), words, config_dirs)
    config = configuration.replaying(config, words)
    return await launch.planned(_begun(configuration.build(config, words), forked))


async def run_composed(
    config: Mapping[str, Any],
    words: Sequence[str],
    screen: Screen,
    run_dir: Path | None = None,
    config_dirs: Sequence[str] = (),
) -> Ended:
    config, words, forked = _forked(config, words, config_dirs)
    config = configuration.replaying(config, words)
    setup = _begun(configuration.build(config, words), forked)
    run_id = rundir.new_id(setup.problem.name)
    given = None if config["run_dir"] is None else Path(str(config["run_dir"]))
    folder = run_dir or given or Path("runs") / run_id
    if config["on_existing"] == "resume" and (folder / rundir.FILE).exists():
        taken = [word for word in words if word.split("=")[0].split(".")[0] in configuration.RESUMABLE]
        return await resume(str(folder), taken, screen, config_dirs)
    return await launch.start(setup, run_id, folder, configuration.database_url(config, folder), screen)


async def resume(run: str, words: Sequence[str], screen: Screen, config_dirs: Sequence[str] = ()) -> Ended:
    """Goes on with a stored run. Raises RunError for one whose problem changed, or that is finished within its budget."""
    ref = rundir.find(run)
    store = ref.open()
    row = store.run(ref.run_id)
    kept = _kept(row["words"], words)
    config = configuration.resumed(row["config"], kept, words, config_dirs)
    setup = _rebuilt(config, [*kept, *words], row)
    launch.checked(setup, row)
    if not store.size(ref.run_id):  # it has not begun
        setup = _begun(setup, fork.of(config["fork"]) if config.get("fork") else None)
    if unfinished(store, ref.run_id):
        raise RunError(f"run {ref.run_id}: its rescoring was cut short; 'evolve rescore {ref.run_id}' goes on with it")
    waits = any(row["kind"] == "steer" for row in store.inbox(ref.run_id))  # it may be a larger budget
    if row["state"] == "finished" and config["budget"] == row["config"]["budget"] and not waits:
        raise RunError(f"run {ref.run_id} is finished ({row['reason']}); a larger budget goes on: budget.candidates=N")
    return await launch.resume(setup, ref, store, screen)


async def rescore(
    run: str, words: Sequence[str], screen: Screen, config_dirs: Sequence[str] = (), top: int | None = None
) -> Runner:
    """Evaluates a stored run's candidates again with the problem as it is now."""
    ref = rundir.find(run)
    store = ref.open()
    row = store.run(ref.run_id)
    kept = _kept(row["words"], words)
    allowed = (*configuration.RESUMABLE, *configuration.FREE)
    config = configuration.resumed(row["config"], kept, words, config_dirs, allowed)
    setup = _rebuilt(config, [*kept, *words], row)
    if setup.problem.name != row["problem"]:
        raise RunError(
            f"run {ref.run_id} is of problem {row['problem']}, {row['problem_path']} is {setup.problem.name}"
        )
    return await launch.rescore(setup, ref, store, screen, top)


def _forked(
    config: Mapping[str, Any], words: Sequence[str], dirs: Sequence[str]
) -> tuple[Mapping[str, Any], Sequence[str], Fork | None]:
    """Returns configuration and words of a fork: as the run that it is of, where its own words say nothing else."""
    if config["fork"] is None:
        if config["fork_only"]:
            raise UsageError("fork_only=true: needs fork=RUN#ID")
        return config, words, None
    if config["warm_start"] is not None:
        raise UsageError("warm_start: goes with a new run; fork=RUN#ID begins with another one's history")
    forked = fork.of(config["fork"])
    words = forked.words(words)
    config = configuration.compose(words, dirs)
    if not config["fork_only"]:
        config = forked.config(config)
    return {**config, "fork": forked.place}, words, forked


def _begun(setup: Setup, forked: Fork | None) -> Setup:
    """Returns the setup of a run that begins from others."""
    config, problem = setup.config, setup.problem
    if setup.record is not None:
        return replace(setup, warm=warm.recorded(setup.record))
    if forked is not None and forked.row["problem"] != problem.name:
        raise UsageError(f"fork={forked.name}: is of problem {forked.row['problem']}, this run is of {problem.name}")
    if forked is not None and config["fork_only"]:
        found = forked.store.candidate(forked.ref.run_id, forked.candidate)
        return replace(setup, problem=replace(problem, initials=(found.files,)))
    if forked is not None:
        forked.check(problem)
        return replace(setup, fork=forked)
    if config.get("warm_start") is None:
        return setup
    refs = warm.runs(config["warm_start"])
    config = {**config, "warm_start": [ref.place for ref in refs]}
    return replace(setup, config=config, warm=warm.founders(refs, setup))


def _kept(before: Sequence[str], words: Sequence[str]) -> list[str]:
    """Returns the earlier words that stand beside new ones: llm=offline leaves nothing of an earlier llm.model."""
    chosen = {word.split("=")[0] for word in words}
    return [word for word in before if word.split("=")[0].split(".")[0] not in chosen]


def _rebuilt(config: Mapping[str, Any], words: Sequence[str], row: Row) -> Setup:
    """Builds a stored run's objects anew; its problem is where it was, if it is still there."""
    place = row["problem_path"] if Path(row["problem_path"]).exists() else config["problem"]
    return replace(configuration.build({**config, "problem": place}, words), config=config)
