"""Launching: a configuration becomes a new run, or a stored run goes on; both end in the same report."""

from __future__ import annotations

import asyncio
import logging
import platform
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from evolve.errors import EvolveError, RunError, StoreError, UsageError
from evolve.llm.provider import Provider
from evolve.population import Store, Writer, create_run, delete_run
from evolve.population.store import Row
from evolve.problem import Problem
from evolve.proposer import Proposing
from evolve.proposer.conversation import BEST_OF
from evolve.runner import confirm, rundir
from evolve.runner.artifacts import ArtifactSpace
from evolve.runner.asks import Asks, Question, alone
from evolve.runner.budget import Budget, Spent
from evolve.runner.calls import EVALUATE
from evolve.runner.pending import read_pending
from evolve.runner.proposals import VECTORS, first_prompt
from evolve.runner.replay import Order, Record
from evolve.runner.runner import HEARTBEAT_S, Evaluator, Runner
from evolve.search import Search
from evolve.search.randomness import draw_seed
from evolve.types import Candidate, Evaluation, Files, ProposalRequest, StageOutcome, Status

DISTRIBUTION = "evolve-engine"
PRICE = (
    "set llm.price={input_usd_per_mtok: X, output_usd_per_mtok: Y}, where the model has such a key, or budget.usd=null"
)


class Screen(Protocol):
    """Shows a run to a person. `watch` is entered while it runs; `note` says one thing at once."""

    def note(self, kind: str, text: str) -> None: ...

    def watch(self, runner: Runner) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The objects that a run is made of; `evolve.config` builds them."""

    config: Mapping[str, Any]
    words: Sequence[str]
    problem: Problem
    search_settings: Mapping[str, Any]
    provider: Provider
    evaluator: Evaluator
    budget: Budget
    proposing: Proposing = field(default_factory=Proposing)
    record: Record | None = None  # a run that is replayed
    embedder: Provider | None = None
    artifact_mb: float = 200.0


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
    made = rundir.prepare(folder)
    try:
        store = Store(url, create=True)
        async with _started(setup, founding=True) as founding:
            _show_price(setup, screen)
            ref = _create(setup, store, run_id, folder)
            writer = Writer(store, ref.run_id)
            writer.claim()
            try:
                async with _kept(writer):
                    runner = _runner(setup, Search(**setup.search_settings), store, writer, Spent(), screen, ref)
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
    before = store.run(ref.run_id)["state"]
    writer = Writer(store, ref.run_id)
    writer.claim()
    state = "interrupted" if before == "running" else before
    try:
        search = Search.load(store.events(ref.run_id), **setup.search_settings)
        model = setup.problem.comparable_on
        measured_on = "" if model == "any" else store.measured_on(ref.run_id, model)
        # founding: killed before it had any
        async with _kept(writer), _started(setup, not search.size, measured_on) as founding:
            _show_price(setup, screen)
            spent = _spent(store, ref.run_id, search.open())
            runner = _runner(setup, search, store, writer, spent, screen, ref, resumed=True)
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


async def planned(setup: Setup) -> dict[str, str]:
    """Returns what would run: evaluator and provider are started for it, nobody is called and nothing is left behind."""
    async with _started(setup, founding=False):
        problem, ceiling, budget = setup.problem, largest_call_usd(setup), setup.budget
        limits = {name: getattr(budget, name) for name in Budget.__dataclass_fields__}
        directions = ", ".join(
            f"{'max' if sign > 0 else 'min'}imize {name}" for name, sign in problem.objectives.items()
        )
        if not ceiling:
            cost = "unknown: the model has no known price (llm.price)" if ceiling is None else "nothing"
        elif budget.usd is not None:
            cost = f"${budget.usd:g} (budget.usd, never exceeded); the first call up to ${ceiling:.4f}"
        else:
            cost = (
                largest_cost(setup, ceiling) if budget.candidates else f"no limit; the first call up to ${ceiling:.4f}"
            )
        return {
            "problem": f"{problem.name} ({problem.path}): {directions}; initial programs {len(problem.initials)}",
            "stages": ", ".join(f"{stage.name} ({stage.timeout_s:g} s)" for stage in problem.stages),
            "llm": f"{setup.provider.model}, {setup.provider.concurrency} at once",
            "evaluator": f"{setup.evaluator.slots} at once, isolation {setup.evaluator.isolation}",
            "schedule": "async" if setup.search_settings["window"] is None else "ordered",
            "budget": ", ".join(f"{name} {limit:g}" for name, limit in limits.items() if limit is not None),
            "largest cost": cost,
        }


# ---------------------------------------------------------------- parts


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
        _check_requirements(setup)
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


def _check_requirements(setup: Setup) -> None:
    """Raises an error where this machine lacks what the problem requires, or nobody can write a first program."""
    if not setup.problem.initials and not setup.provider.converses:
        raise UsageError(
            f"problem={setup.problem.name}: {setup.problem.path} has no initial program, and llm={setup.provider.model} "
            "can't write one; add initial.py, or use a language model"
        )
    lacking = ", ".join(setup.evaluator.missing(setup.problem))
    if lacking:
        raise RunError(
            f"problem={setup.problem.name}: needs {lacking}, not found here; install it, or run it elsewhere"
        )


class Founding:
    """The evaluation of the initial programs, begun before the run exists. What is to be
    kept of it, a model's answers and checkpoints, waits until there is one."""

    def __init__(self, setup: Setup):
        self._kept = ["checkpoint", *["llm"] * (setup.provider.evaluation_concurrency > 0)]
        self._asking = asyncio.Event()
        self._asks: asyncio.Future[Asks] = asyncio.get_running_loop().create_future()
        self._work = asyncio.create_task(_founders(setup, self._serving))

    async def settled(self) -> None:
        """Waits until it is done, or can't go on without the run. Raises what it raised."""
        asking = asyncio.create_task(self._asking.wait())
        await asyncio.wait([self._work, asking], return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        if self._work.done():
            self._work.result()

    async def founders(self, asks: Asks) -> list[tuple[Files, Evaluation]]:
        """Returns the initial programs with their evaluations, now that there is a run."""
        self._asks.set_result(asks)
        await asyncio.wait([self._work])
        if self._work.cancelled():
            raise RunError("stopped before the initial programs were evaluated; 'evolve resume' does that again")
        return self._work.result()

    def cancel(self) -> None:
        self._work.cancel()

    async def close(self) -> None:
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    def _serving(self, candidate: int) -> Callable[[Question], Awaitable[Any]]:
        async def serve(question: Question) -> Any:
            if question["kind"] not in self._kept:
                return await alone(question)
            self._asking.set()
            return await (await asyncio.shield(self._asks)).of(candidate)(question)

        return serve


async def _founders(
    setup: Setup, serving: Callable[[int], Callable[[Question], Awaitable[Any]]]
) -> list[tuple[Files, Evaluation]]:
    """Evaluates the initial programs, if there are any. Raises RunError with the reason unless one of them is ok."""
    found: list[tuple[Files, Evaluation]] = []
    if not setup.problem.initials:
        return found
    for candidate, files in enumerate(setup.problem.initials, 1):
        seed = draw_seed(setup.search_settings["seed"], candidate)
        same: dict[str, Any] = {"candidate": candidate, "draw_seed": seed, "serve": serving(candidate)}
        evaluation = await setup.evaluator.evaluate(
            setup.problem, files, thresholds={}, done=(), on_stage=lambda outcome: None, **same
        )
        best = max((e.score for _, e in found if e.score is not None), default=None)
        if confirm.is_due(evaluation, best):
            again = partial(_again, setup, files, same)
            evaluation = await confirm.confirmed(again, setup.problem, evaluation)
        found.append((files, evaluation))
    if any(evaluation.status is Status.OK for _, evaluation in found):
        return found
    _, first = found[0]
    whose = (
        "its evaluator.py fails"
        if first.status is Status.EVALUATOR_ERROR
        else f"the initial program ends as {first.status}"
    )
    lines = [line.strip() for line in first.feedback.strip().splitlines() if line.strip()]
    more = "" if first.status is Status.SUSPECT else f"; 'evolve check {setup.config['problem']}' shows all of it"
    raise RunError(f"problem={setup.problem.name}: {whose}: {lines[-1] if lines else 'no reason given'}{more}")


async def _again(setup: Setup, files: Files, same: Mapping[str, Any], replicate: int) -> StageOutcome:
    return await setup.evaluator.measure(setup.problem, files, replicate=replicate, **same)


def _show_price(setup: Setup, screen: Screen) -> None:
    """Says what a paid model can cost at most. Raises UsageError for a budget in dollars and a model without a price."""
    ceiling, budget = largest_call_usd(setup), setup.budget
    if budget.usd is not None and ceiling is None:
        raise UsageError(
            f"budget.usd={budget.usd:g}: {setup.provider.model} has no known price; "
            + ("budget.usd=null goes on without" if setup.provider.outlives else PRICE)
        )
    if ceiling and budget.usd is None and budget.candidates:
        screen.note("cost", f"{largest_cost(setup, ceiling)}; budget.usd=X is never exceeded")


def largest_call_usd(setup: Setup) -> float | None:
    """Returns the largest price that the first call can have, None where no price is known."""
    search = Search(**setup.search_settings)
    known: dict[int, Candidate] = {}
    if setup.problem.initials:
        first = search.add("initial", [0])
        known[first] = Candidate(id=first, status=Status.OK, files=setup.problem.initials[0])
        search.tell(first, Status.OK, 0.0, {})
    request = search.ask()
    assert isinstance(request, ProposalRequest)  # no other kind is asked by this version
    return setup.provider.ceiling_usd(first_prompt(setup.problem, search, request, known, setup.proposing))


def largest_cost(setup: Setup, ceiling: float) -> str:
    """Says what a run of so many candidates can cost at most."""
    candidates, proposing = setup.budget.candidates or 0, setup.proposing
    several = setup.search_settings["strategy"].operators.may_draw(BEST_OF)
    calls = candidates * (max(proposing.turns, proposing.drafts if several else 0) + proposing.judge)
    more = ", those that evaluations make aside" if _asks_a_model(setup.problem) else ""
    return f"{candidates} candidates, {calls} calls like the first at most, can cost up to ${ceiling * calls:.2f}{more}"


def _asks_a_model(problem: Problem) -> bool:
    text = (problem.path / "evaluator.py").read_text(encoding="utf-8", errors="replace")
    return re.search(r"\blm\b", text) is not None


def _create(setup: Setup, store: Store, run_id: str, folder: Path) -> rundir.RunRef:
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
        problem_path=str(setup.problem.path),
        problem_hash=setup.problem.hash,
        config=dict(setup.config),
        words=list(setup.words),
        versions=_versions(),
        isolation=setup.evaluator.isolation,
    )
    try:
        rundir.write(folder, ref, version(DISTRIBUTION))
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
    resumed: bool = False,
) -> Runner:
    if search.window is not None:
        setup.budget.check_repeatable()
    stored = store.run(writer.run_id)
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
        where=str(ref.folder) if ref.folder else f"{ref.database}#{ref.run_id}",
        outstanding=store.outstanding(ref.run_id) if setup.provider.outlives else None,
        last_ids=store.last_ids(writer.run_id),
        busy_s=stored["busy"],
        counts={Status(status): n for status, n in store.counts(writer.run_id).items() if status},
        fingerprints=store.fingerprints(writer.run_id),
        sketches=store.sketches(writer.run_id),
        behaviours=store.behaviours(writer.run_id),
        admitted=store.proposed(writer.run_id),
        order=_order(setup, search),
        embedder=setup.embedder,
        vectors=store.vectors(ref.run_id, VECTORS) if setup.embedder else (),
        pending=read_pending(store, writer.run_id, search) if resumed else None,
        note=(note := _noting(screen)),
        artifacts=ArtifactSpace(setup.artifact_mb, store.artifact_bytes(writer.run_id), note),
    )
    for stage, curve in store.curves(writer.run_id, [stage.name for stage in setup.problem.stages if stage.report]):
        runner.asks.remember(stage, curve)
    return runner


def _order(setup: Setup, search: Search) -> Order | None:
    """Returns the order of a replayed run; an ordered one's follows from the schedule."""
    if setup.record is None or search.window is not None:
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
        if ref.folder and runner.state != "failed" and (best := runner.search.best):
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
            f"restore the folder {row['problem_path']} as it was, or start a new run"
        )
