"""Launching: a configuration becomes a new run, or a stored run goes on; both end in the same report."""

from __future__ import annotations

import asyncio
import gc
import logging
import platform
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from evolve.errors import EvolveError, RunError, StoreError, UsageError
from evolve.population import Store, Writer, create_run, delete_run, history
from evolve.population.store import Row
from evolve.runner import plan, rundir
from evolve.runner import rescore as rescoring
from evolve.runner.artifacts import ArtifactSpace
from evolve.runner.budget import Spent
from evolve.runner.calls import EVALUATE
from evolve.runner.founding import Founding
from evolve.runner.pending import read_pending
from evolve.runner.proposals import VECTORS
from evolve.runner.replay import Order
from evolve.runner.runner import HEARTBEAT_S, Runner
from evolve.runner.setup import Setup
from evolve.search import Search
from evolve.types import Status

DISTRIBUTION = "evolve-engine"


class Screen(Protocol):
    """Shows a run to a person. `watch` is entered while it runs; `note` says one thing at once."""

    def note(self, kind: str, text: str) -> None: ...

    def watch(self, runner: Runner) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended: its state, why, and where it is."""

    state: str
    reason: str
    ref: rundir.RunRef
    fault: BaseException | None = None


async def start(setup: Setup, run_id: str, folder: Path, url: str, screen: Screen) -> Ended:
    """Runs a new search. Nothing is left behind when it can't begin (a wrong key, an initial program that fails).

    Where the initial program's evaluation asked a model or for a checkpoint, the run stays, since what it has is paid for.
    """
    _check_proposer(setup)
    made = rundir.prepare(folder)
    try:
        store = Store(url, create=True)
        async with _started(setup, founding=setup.fork is None) as founding:
            plan.warn(setup, screen.note)
            ref = _create(setup, store, run_id, folder)
            writer = Writer(store, ref.run_id)
            writer.claim()
            try:
                async with _kept(writer):
                    search = Search.load(store.events(ref.run_id), **setup.search_settings)
                    spent = _spent(store, ref.run_id, search.open())
                    runner = _runner(setup, search, store, writer, spent, screen, ref)
                    if setup.came_from:
                        runner.note("from", setup.came_from)
                    return await _carry_out(runner, ref, screen, founding)
            except BaseException:
                with suppress(StoreError):
                    writer.release("interrupted")
                raise
    finally:
        if made and not (folder / rundir.FILE).exists():
            rundir.discard(folder)


async def resume(setup: Setup, ref: rundir.RunRef, store: Store, screen: Screen) -> Ended:
    """Goes on with a stored run from where its last durable step left it."""
    _check_proposer(setup)
    before = store.run(ref.run_id)["state"]
    writer = Writer(store, ref.run_id)
    writer.claim()
    state = "interrupted" if before == "running" else before
    try:
        with _uncollected():
            search = Search.load(store.decisions(ref.run_id), **setup.search_settings)
        model = setup.problem.comparable_on
        measured_on = "" if model == "any" else store.measured_on(ref.run_id, model)
        # founding: killed before it had any
        async with _kept(writer), _started(setup, not search.size, measured_on) as founding:
            plan.warn(setup, screen.note)
            spent = _spent(store, ref.run_id, search.open())
            with _uncollected():
                runner = _runner(setup, search, store, writer, spent, screen, ref)
            state = "interrupted"
            settings = {
                "config": dict(setup.config),
                "words": list(setup.words),
                "isolation": setup.evaluator.isolation,
            }
            return await _carry_out(runner, ref, screen, founding, **settings)
    except BaseException:
        with suppress(StoreError):
            writer.release(state)
        raise


async def rescore(setup: Setup, ref: rundir.RunRef, store: Store, screen: Screen, top: int | None) -> Runner:
    """Evaluates a stored run's candidates again, as `evolve.runner.rescore` says; a resume goes on with it."""
    before = store.run(ref.run_id)["state"]
    writer = Writer(store, ref.run_id)
    writer.claim()
    try:
        search = Search.load(store.events(ref.run_id), **setup.search_settings)
        what = rescoring.planned(store, ref.run_id, setup.problem, search, top)
        async with _kept(writer), _started(setup, founding=False):
            if what.left is None:
                await writer.write(*rescoring.begin(what, search, writer))
            runner = _runner(setup, search, store, writer, _spent(store, ref.run_id, search.open()), screen, ref)
            runner.note("rescore", f"revision {what.revision}: {len(what.candidates)} candidates are evaluated again")
            if what.unranked:
                runner.note("rescore", f"{len(what.unranked)} are not, can't be compared and are ranked no more")
            kept = {"config": dict(setup.config), "words": list(setup.words), "isolation": setup.evaluator.isolation}
            with _log_file(ref):
                await rescoring.carry_out(runner, what, problem_hash=setup.problem.hash, **kept)
    finally:
        with suppress(StoreError):
            # final and hold-out of a finished run are still to be had with the problem as it is now
            ends_again = before == "finished" and (setup.problem.noisy or setup.problem.holdout)
            writer.release("interrupted" if before == "running" or ends_again else before)
    return runner


async def planned(setup: Setup) -> dict[str, str]:
    """Returns what would run: evaluator and provider are started for it, nobody is called, no run is left behind."""
    _check_proposer(setup)
    async with _started(setup, founding=False):
        return plan.of(setup)


# ---------------------------------------------------------------- parts


@contextmanager
def _uncollected() -> Iterator[None]:
    """Holds the garbage collector back while a large state is built, and spares it looking through that ever after."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


@asynccontextmanager
async def _kept(writer: Writer) -> AsyncIterator[None]:
    """Runs the writer's thread and renews its lease, whatever the block waits for."""
    writer.start()
    heart = asyncio.create_task(_beat(writer))
    try:
        yield
    finally:
        heart.cancel()
        await asyncio.gather(heart, return_exceptions=True)
        writer.close()


async def _beat(writer: Writer) -> None:
    with suppress(EvolveError):  # whoever writes next is told
        while True:
            await writer.write()
            await asyncio.sleep(HEARTBEAT_S)


@asynccontextmanager
async def _started(setup: Setup, founding: bool, measured_on: str = "") -> AsyncIterator[Founding | None]:
    """Starts the evaluator, then the provider while the initial programs are evaluated; closes both whatever happens.

    Not all at once: Ray starts in an environment without keys, in which a provider would miss its own.
    """
    begun: Founding | None = None
    try:
        _check_machine(setup)
        await setup.evaluator.start(setup.problem, measured_on)
        begun = Founding(setup) if founding else None
        await setup.provider.start()
        if setup.embedder is not None:
            await setup.embedder.start()
        if begun is not None:
            await begun.settled()
        yield begun
    finally:
        if begun is not None:
            await begun.close()
        for result in await asyncio.gather(setup.provider.close(), setup.evaluator.close(), return_exceptions=True):
            if isinstance(result, BaseException):
                logging.getLogger("evolve").warning("while closing: %s", result)


def _check_proposer(setup: Setup) -> None:
    """Raises UsageError where nobody can write a first program, or change one."""
    problem, provider = setup.problem, setup.provider
    if not setup.founders and not provider.converses:
        raise UsageError(
            f"problem={problem.name}: {problem.path} has no initial program, and llm={provider.model} can't write one; "
            "add initial.py, or use a language model"
        )
    if setup.budget.candidates != 0 and (why := provider.refusal(problem.edit)):
        raise UsageError(
            f"problem={problem.name}: may change {', '.join(problem.edit)}, but {why}; use a language model, "
            "for example llm=litellm llm.model=... (docs/models.md)"
        )


def _check_machine(setup: Setup) -> None:
    """Raises RunError where this machine lacks what the problem requires."""
    lacking = ", ".join(setup.evaluator.missing(setup.problem))
    if lacking:
        raise RunError(
            f"problem={setup.problem.name}: needs {lacking}, not found here; install it, or run it elsewhere"
        )


def _create(setup: Setup, store: Store, run_id: str, folder: Path) -> rundir.RunRef:
    fork = setup.fork
    ref = rundir.RunRef(
        run_id=run_id,
        database=store.shown_url,
        problem=setup.problem.name,
        created_at=time.time(),
        folder=folder.resolve(),
    )
    create_run(
        store,
        run_id,
        problem=setup.problem.name,
        problem_path=str(setup.problem.folder),
        problem_hash=setup.problem.hash,
        config=dict(setup.config),
        words=list(setup.words),
        versions=_versions(),
        isolation=setup.evaluator.isolation,
        **({"history": partial(history.upto, fork.store, fork.ref.run_id, fork.seq)} if fork else {}),
    )
    try:
        rundir.write(folder, ref, version(DISTRIBUTION), setup.came_from)
    except (OSError, RunError):
        delete_run(store, run_id)
        raise
    return ref


def _versions() -> dict[str, str]:
    names = (DISTRIBUTION, "numpy", "sqlalchemy", "litellm", "ray")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _runner(
    setup: Setup,
    search: Search,
    store: Store,
    writer: Writer,
    spent: Spent,
    screen: Screen,
    ref: rundir.RunRef,
) -> Runner:
    if search.window is not None:
        setup.budget.check_repeatable()
    stored = store.run(writer.run_id)
    writer.revision = store.revision(writer.run_id)
    runner = Runner(
        problem=setup.problem,
        search=search,
        provider=setup.provider,
        evaluator=setup.evaluator,
        store=store,
        writer=writer,
        budget=setup.budget,
        spent=spent,
        proposing=setup.proposing,
        where=ref.place,
        outstanding=store.outstanding(ref.run_id) if setup.provider.outlives else None,
        last_ids=store.last_ids(writer.run_id),
        busy_s=stored["busy"],
        counts={Status(status): n for status, n in store.counts(writer.run_id).items() if status},
        fingerprints=store.first_text(writer.run_id),
        tuned=store.tuned(writer.run_id),
        sketches=store.sketches(writer.run_id),
        behaviours=store.first_behaviour(writer.run_id),
        admitted=store.proposed(writer.run_id),
        order=_order(setup, search),
        embedder=setup.embedder,
        vectors=store.vectors(ref.run_id, VECTORS) if setup.embedder else (),
        pending=read_pending(store, writer.run_id, search),
        note=(note := _noting(screen)),
        artifacts=ArtifactSpace(setup.artifact_mb, store.artifact_bytes(writer.run_id), note),
    )
    for stage, curve in store.curves(writer.run_id, [stage.name for stage in setup.problem.stages if stage.report]):
        runner.asks.remember(stage, curve)
    return runner


def _order(setup: Setup, search: Search) -> Order | None:
    """Returns the order of a replayed run; None where nothing is replayed."""
    if setup.record is None:
        return None
    return setup.record.order(search, {stage.name: stage.replicates for stage in setup.problem.stages})


def _noting(screen: Screen) -> Callable[[str, str], None]:
    """Returns what shows a note to a person and keeps it in the log."""

    def note(kind: str, text: str) -> None:
        logging.getLogger("evolve").info("%s: %s", kind, text)
        screen.note(kind, text)

    return note


def _spent(store: Store, run_id: str, untold: Sequence[int]) -> Spent:
    """Returns what a stored run used; evaluations of candidates not told yet count when they are told."""
    totals = store.call_totals(run_id)
    same = ("calls", "tokens_in", "tokens_out", "tokens_cached", "cost_usd", "unpriced")
    return Spent(
        evaluations=store.evaluations(run_id, untold),
        wall_s=store.run(run_id)["wall_s"],
        lost=totals["lost"],
        lost_usd=totals["held_usd"],
        evaluation_calls=store.call_totals(run_id, EVALUATE)["calls"],
        **{name: totals[name] for name in same},
    )


async def _carry_out(
    runner: Runner, ref: rundir.RunRef, screen: Screen, founding: Founding | None, **settings: Any
) -> Ended:
    """Runs to the end; a resumed run (without founders) first keeps the settings that it goes on with."""
    with _log_file(ref), _signals(runner, founding), screen.watch(runner):
        runner.note("isolation", runner.evaluator.isolation)
        if settings:
            lost = [] if runner.provider.outlives else runner.writer.calls_lost()
            await runner.writer.write(lost, runner.writer.run_columns(**settings))
        if founding is not None:
            runner.found(await founding.founders(runner.asks))
        await runner.run()
        if ref.folder and runner.state != "failed" and (best := runner.winner()):
            with suppress(OSError):  # a full disk; the program is in the database
                rundir.write_best(ref.folder, runner.store.candidate(ref.run_id, best).files)
    return Ended(state=runner.state, reason=runner.reason, ref=ref, fault=runner.fault)


@contextmanager
def _signals(runner: Runner, founding: Founding | None) -> Iterator[None]:
    """Ctrl-C (or SIGTERM) once drains, twice stops at once. Outside the main thread signals are somebody else's."""
    loop = asyncio.get_running_loop()
    pressed = 0

    def press() -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            runner.note("draining", "what is in flight ends first; once more stops at once")
            runner.drain()
        else:
            runner.halt()
            if founding is not None:
                founding.cancel()

    caught: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, press)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


@contextmanager
def _log_file(ref: rundir.RunRef) -> Iterator[None]:
    """Keeps what the library logs in log.txt of the run directory."""
    if ref.folder is None:
        yield
        return
    root = logging.getLogger("evolve")
    handler = logging.FileHandler(ref.folder / "log.txt", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def checked(setup: Setup, row: Row | Mapping[str, Any]) -> None:
    """Raises RunError when the problem's content is not the one that the run was made with."""
    if setup.problem.hash != row["problem_hash"]:
        raise RunError(
            f"problem {row['problem']} has changed since run {row['run_id']} began (its content has another hash); "
            f"'evolve rescore {row['run_id']}' evaluates its candidates anew, warm_start={row['run_id']} starts a new run from "
            f"its best ones; or restore {row['problem_path']} as it was"
        )
