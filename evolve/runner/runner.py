"""The runner: proposals and evaluations in steady state, one writer, one way to stop. The only asynchronous engine module."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evolve.errors import EvolveError, FatalError, RunError
from evolve.llm.provider import Provider
from evolve.population import Firsts, Store, Writer, digest
from evolve.population.store import TUNED
from evolve.population.writer import Change
from evolve.problem import Problem
from evolve.proposer import Draft, Proposing
from evolve.runner import calls, confirm, final
from evolve.runner.artifacts import ArtifactSpace
from evolve.runner.asks import Asks, alone
from evolve.runner.behaviour import Behaviours, facts, last_instances
from evolve.runner.budget import Budget, Spent
from evolve.runner.calls import OutOfMoney
from evolve.runner.elites import Elites
from evolve.runner.evaluator import Evaluator
from evolve.runner.inbox import Inbox
from evolve.runner.meter import Meter
from evolve.runner.pending import ELITE, HUMAN, InFlight, Proposed, outcome_of, proposed_files
from evolve.runner.proposals import Proposals, needed
from evolve.runner.replay import Order
from evolve.runner.setup import Founder
from evolve.runner.steering import Steering
from evolve.runner.tries import Tries
from evolve.runner.tuning import Tuning, Values, is_promising
from evolve.search import Search
from evolve.search.randomness import draw_seed, generator
from evolve.search.tuners import load
from evolve.types import (
    FINAL,
    Candidate,
    Completion,
    Evaluation,
    Event,
    Files,
    ProposalRequest,
    StageOutcome,
    Status,
)

HEARTBEAT_S = 5.0
PAUSE_AFTER = 5  # so many infra or evaluator faults in a row pause the run
HELD = "by 'evolve steer'; 'evolve steer RUN go' goes on"
CACHED = 1024  # candidates kept in memory for prompts


class Runner:
    """Runs a search until a budget is used up, or until it is told to stop.

    `note(kind, text)` is told what a person should see at once (best, infra, evaluator_error, paused, draining).
    All state belongs to the event loop that `run` is awaited in; `drain` and `halt` may be called from its signal handlers.
    """

    def __init__(
        self,
        *,
        problem: Problem,
        search: Search,
        provider: Provider,
        evaluator: Evaluator,
        store: Store,
        writer: Writer,
        budget: Budget,
        spent: Spent,
        proposing: Proposing,
        where: str = "",
        outstanding: Mapping[tuple[Any, ...], int] | None = None,
        order: Order | None = None,
        embedder: Provider | None = None,
        vectors: Sequence[tuple[int, str]] = (),
        last_ids: tuple[int, int] = (0, 0),
        busy_s: Mapping[str, float] | None = None,
        counts: dict[Status, int] | None = None,
        fingerprints: Firsts | None = None,
        tuned: Mapping[str, int] | None = None,
        sketches: Sequence[tuple[int, Sequence[int]]] = (),
        behaviours: Firsts | None = None,
        admitted: int = 0,
        pending: Mapping[int, InFlight] | None = None,
        artifacts: ArtifactSpace | None = None,
        note: Callable[[str, str], None] = lambda kind, text: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.problem, self.search, self.provider, self.evaluator = problem, search, provider, evaluator
        self.store, self.writer, self.budget, self.spent, self.note = store, writer, budget, spent, note
        self.where, self.state, self.reason = where, "running", ""
        self.counts = counts if counts is not None else {}
        busy = busy_s or {}
        self.llm_meter = Meter(provider.concurrency, clock, busy.get("llm", 0.0))
        self.judge_meter = Meter(provider.evaluation_concurrency, clock, busy.get("judges", 0.0))
        self.evaluator_meter = Meter(evaluator.slots, clock, busy.get("evaluators", 0.0))
        self._clock = clock
        self._wall_before, self._began = spent.wall_s, clock()
        self.calls = calls.Calls(
            provider=provider, writer=writer, budget=budget, spent=spent,
            meters={
                calls.PROPOSE: self.llm_meter, calls.NOVELTY: self.llm_meter, calls.EMBED: self.llm_meter,
                calls.EVALUATE: self.judge_meter,
            },
            may_start=self._affordable,
            last_id=last_ids[0], seed=search.seed, note=note, clock=clock,
            on_paused=self._pause, where=where, outstanding=outstanding, embedder=embedder,
        )  # fmt: skip
        self.asks = Asks(
            provider=provider, calls=self.calls, writer=writer, problem=problem, stop=self._stop,
            incumbent=self._incumbent,
        )  # fmt: skip
        self._last_evaluation = last_ids[1]
        self.proposals = Proposals(
            problem=problem, search=search, rules=proposing, converses=provider.converses, calls=self.calls, writer=writer,
            write=self._write, candidates=self._candidates, files=self._files,
            fingerprints=fingerprints or Firsts(), tuned=tuned, sketches=sketches,
            embeds=embedder is not None, vectors=vectors,
        )  # fmt: skip
        self._behaviours = Behaviours(behaviours or Firsts())
        self._admitted = admitted
        self._order = order  # of a record that is replayed; only an asynchronous one's is not given by the schedule
        self._cache: OrderedDict[int, Candidate] = OrderedDict()
        self._requests: deque[ProposalRequest] = deque()
        self._tests: deque[Coroutine[Any, Any, None]] = deque()  # drafts and trials of tuning that wait for their stage
        self._backlog: deque[int] = deque()
        self._in_flight: dict[int, InFlight] = dict(pending or {})  # in the order of asking
        self._artifacts = artifacts or ArtifactSpace(note=note)
        self._held_out: set[int] = set()
        self._final = False
        self._elites_turn = False
        self._proposals: set[asyncio.Task[None]] = set()
        self._evaluations: set[asyncio.Task[None]] = set()
        self._faults = 0
        self._draining = False
        self.held = False  # a person paused the run
        self._steering = Steering(self, self._write)
        tuning = search.strategy.tuning
        self._tunes_idle = tuning is not None and tuning.idle
        self._elites = Elites(self, self._write, tuning.evaluations) if tuning is not None else None
        tries = Tries(
            problem=problem, writer=writer, write=self._write, proposals=self.proposals, in_flight=self._in_flight,
            tries=provider.tries, test=lambda *draft: self._tests.append(self._try(*draft)),
        )  # fmt: skip
        self._inbox = Inbox(store, writer.run_id, {"try": tries.take, "steer": self._steering.take})
        self._done = asyncio.Event()
        self.fault: BaseException | None = None  # a fault in Evolve itself, for --debug

    # ------------------------------------------------------------ from outside

    async def run(self) -> str:
        """Runs to the end; returns the run's state (finished, interrupted, paused, failed)."""
        heart, inbox = asyncio.create_task(self._beat()), set[asyncio.Task[None]]()
        try:
            self._take_up()
            self._start(inbox, self._read_inbox())
            await self._done.wait()
        finally:
            self._done.set()  # what ends from here on starts nothing
            for test in self._tests:
                test.close()
            tasks = [heart, *inbox, *self._proposals, *self._evaluations]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._finish()
        return self.state

    def drain(self) -> None:
        """Asks nothing more, lets what is in flight end."""
        if not self._draining:
            self._stop("interrupted", "stopped by the user")
            self._pump()

    def halt(self) -> None:
        """Ends at once; what is in flight is taken up by a resume."""
        self._stop("interrupted", "stopped by the user")
        self._done.set()

    def wall_s(self) -> float:
        return self._wall_before + self._clock() - self._began

    # ------------------------------------------------------------ steering

    @property
    def repeats(self) -> bool:
        """Says whether the run follows a record."""
        return self._order is not None

    def hold(self, held: bool) -> Change:
        """Starts nothing new until it is told to go on; the lease stays. Raises RunError where that changes nothing."""
        if self._draining or self.held == held:
            raise RunError("the run is ending" if self._draining else f"the run is {'' if held else 'not '}paused")
        self.held = held
        return self.writer.run_columns(state="paused" if held else "running", reason=HELD if held else "")

    def allow(self, budget: Budget) -> Change:
        """Goes on with another budget, which a resume keeps. Raises RunError where the run is ending."""
        if self.state != "running":
            raise RunError("the run is ending; give the budget to 'evolve resume'")
        self.budget = budget
        self.calls.allow(budget, again=not self._draining)
        config = self.store.run(self.writer.run_id)["config"]
        limits = {name: getattr(budget, name) for name in Budget.__dataclass_fields__}
        return self.writer.run_columns(config={**config, "budget": {**config["budget"], **limits}})

    def add(
        self, files: Files, title: str, island: int, origin: str = HUMAN, parent: int | None = None
    ) -> tuple[int, list[Change]]:
        """Takes in a person's candidate, or one made of an elite, to be evaluated like any."""
        candidate, proposed = self.search.add(origin, [island], parent), Proposed(files=files, title=title)
        self._admitted += 1
        columns = {**self.proposals.added(candidate, proposed), "admitted": self._admitted}
        changes = [
            self.writer.candidate(candidate, origin, island=island, parent=parent),
            self.writer.log([*self.search.take_events(), self._proposed_event(candidate, proposed)]),
            self.writer.files(candidate, files, title=title, **columns),
        ]
        self._in_flight[candidate] = InFlight(settled=True)
        self._enter(candidate, self._in_flight[candidate], proposed)
        return candidate, changes

    def add_tuned(self, files: Files, elite: int, measured: Sequence[StageOutcome]) -> list[Change]:
        """Takes in an elite's better text, with the stages that it need not run again."""
        title = f"constants of {elite} tuned"
        candidate, changes = self.add(files, title, self.search.home(elite), ELITE, elite)
        self._in_flight[candidate].measured = measured
        return [*changes, *(self._stage(candidate, outcome) for outcome in measured)]

    def recorded(self, candidate: int) -> Candidate:
        """Returns a candidate of the record that is followed."""
        assert self._order is not None
        return self._order.candidate(candidate)

    def _follow(self) -> None:
        """Repeats what a person did in the record, where that comes next."""
        while self._order is not None and (event := self._order.steered()) is not None:
            self._steering.repeat(event)
            self._order.done(event.kind, event.candidate or 0)
            if event.candidate:
                self._order.admitted(event.candidate)
                self._admit_answers()

    # ------------------------------------------------------------ initial programs

    def found(self, evaluations: Sequence[tuple[Founder, Evaluation]]) -> None:
        """Enters the first programs, already evaluated: of k initial ones i founds the islands i, i + k, i + 2k, ...

        Of more programs than islands those that are left join them in turn, as do those of earlier runs. All in one
        transaction: a run has its first programs, or is as empty as a new one.
        """
        changes = []
        count, initials = len(self.search.islands), sum(founder.origin == "initial" for founder, _ in evaluations)
        for index, (founder, evaluation) in enumerate(evaluations):
            files, title, warm = founder.files, founder.title, index - initials
            islands = [warm % count] if warm >= 0 else list(range(index, count, initials)) or [index % count]
            candidate = self.search.add(founder.origin, islands)
            proposed = Proposed(files=files, title=title)
            self._in_flight[candidate] = InFlight(proposed=proposed)
            for outcome in evaluation.stages:
                if not outcome.replicate:
                    self.asks.remember(outcome.stage, outcome.curve)
            changes += [
                self.writer.candidate(candidate, founder.origin, island=islands[0]),
                self.writer.log([self._proposed_event(candidate, proposed)]),
                self.writer.files(candidate, files, title=title, **self.proposals.found(candidate, files)),
                *(self._stage(candidate, outcome) for outcome in evaluation.stages),
                *self._told(candidate, evaluation),
            ]
        self._write(*changes)

    # ------------------------------------------------------------ the loop

    def _pump(self) -> None:
        """Starts whatever can start now; called whenever something has ended."""
        if self._done.is_set():
            return
        try:
            self._give_up()
            self._admit_answers()
            self._tell_results()
            self._start_proposals()
            self._start_evaluations()
            if not self._affordable():
                self.calls.end()  # what waits to try again does not
        except Exception as error:  # noqa: BLE001 - called by the loop, where nobody would see it
            self._fail(error)
        if not self._proposals and not self._evaluations and not self._paused:
            self._end()

    def _end(self) -> None:
        """Ends a run in which nothing is left to do, but for the hold-out."""
        self._settle()
        finalists: list[int] = []
        best = None
        try:
            finalists = self._finalists()
            best = None if finalists else self._to_hold_out()
        except EvolveError as error:
            self._fail(error)
        if finalists:
            self._start(self._evaluations, self._hold_final(finalists))
        elif best is not None:
            self._start(self._evaluations, self._hold_out(best))
        else:
            self._done.set()

    def _limits_reached(self) -> list[str]:
        self.spent.candidates = self.search.asked
        self.spent.wall_s = self.wall_s()
        reached = self.spent.reached(final.searching(self.budget) if self.problem.noisy else self.budget)
        # what a record's calls used is not spent again
        return reached if self._order is None else [name for name in reached if name not in ("usd", "tokens")]

    @property
    def _paused(self) -> bool:
        return self.held and not self._draining

    def _may_ask(self) -> bool:
        if self._order is not None and not self._order.is_next("asked", self.search.size + 1):
            return False
        return not self._draining and not self.held and self.search.may_ask() and not self._limits_reached()

    def _affordable(self) -> bool:
        """Says whether calls may start for what was asked: the budget of candidates bounds only the asking."""
        return self._limits_reached() in ([], ["candidates"])

    def _give_up(self) -> None:
        """Settles the proposals whose next call can't leave any more: what they have so far is paid for."""
        if self._affordable() and self.state != "finished":
            return
        for request in list(self._requests):
            if self._in_flight[request.id].drafts:
                self._requests.remove(request)
                self._in_flight[request.id].settled = True

    def _ask(self) -> None:
        request = self.search.ask()
        self._in_flight[request.id] = InFlight(request=request)
        if self._order is None or request.id in self._order.told:
            self._requests.append(request)
        if self._order is not None:
            self._order.done("asked", request.id)
            self._follow()
        columns = {name: getattr(request, name) for name in ("island", "operator", "parent")}
        self._write(
            self.writer.log(self.search.take_events()),
            self.writer.candidate(request.id, "asked", inspirations=list(request.inspirations), **columns),
        )

    def _start_proposals(self) -> None:
        """Fills the proposal slots. `ordered` asks for the whole window; `async` only when a slot is free to be used."""
        while self._may_ask() and (self._sequenced or self._has_room()):
            self._ask()
        slots = self.provider.concurrency
        while (
            self._requests and len(self._proposals) < slots and not (self._draining or self.held) and self._affordable()
        ):
            self._start(self._proposals, self._propose(self._requests.popleft()))

    @property
    def _sequenced(self) -> bool:
        """Says whether the schedule, or a record, decides when to ask."""
        return self.search.window is not None or self._order is not None

    def _has_room(self) -> bool:
        """A slot is free, and what waits to be evaluated does not grow without bound."""
        asked = len(self._proposals) + len(self._requests)
        return asked < self.provider.concurrency and len(self._tests) + len(self._backlog) < self.evaluator.queue

    def _start_evaluations(self) -> None:
        while not self._paused and len(self._evaluations) < self.evaluator.slots and (work := self._next_evaluation()):
            self._start(self._evaluations, work)

    def _next_evaluation(self) -> Coroutine[Any, Any, None] | None:
        """Returns what a free slot does: what was proposed, in turn with elites that stagnation names, or, while the model is
        waited for, any elite's trial."""
        if self._tests:
            return self._tests.popleft()
        elites = None if self._sequenced or self._draining or self._limits_reached() else self._elites
        self._elites_turn = not self._elites_turn
        if elites is not None and (self._elites_turn or not self._backlog) and (due := elites.due()) is not None:
            return due
        if self._backlog:
            return self._evaluate(self._backlog.popleft())
        return elites.spare() if elites is not None and self._tunes_idle and self._proposals else None

    def _admit_answers(self) -> None:
        """Makes candidates of settled proposals: as they come, in a record's order, or ordered by id."""
        if self._order is not None:
            while (flight := self._in_flight.get(next_one := self._order.admission())) and self._may_admit(flight):
                self._order.admitted(next_one)
                self._admit(next_one, flight)
            return
        for candidate, flight in list(self._in_flight.items()):
            if self._may_admit(flight):
                self._admit(candidate, flight)
            elif flight.proposed is None and flight.result is None and self.search.window is not None:
                break

    @staticmethod
    def _may_admit(flight: InFlight) -> bool:
        return flight.settled and flight.proposed is None and flight.result is None

    def _tell_results(self) -> None:
        """Tells what may be told; `ordered` asks each proposal due before the next tell, so a drained run resumes alike."""
        told = True
        while told:
            told = False
            self._follow()
            while self._sequenced and self._may_ask():
                self._ask()
            # a record says itself what comes next: it may have been resumed with a larger budget, after what was told first
            ended = bool(self._limits_reached()) or self.state == "finished" or self._order is not None
            for candidate, flight in list(self._in_flight.items()):
                if flight.result is None or not self.search.may_tell(candidate, asking_ended=ended):
                    continue
                if self._order is not None and not self._order.is_next("told", candidate):
                    continue
                if not self._confirms(candidate, flight, flight.result):
                    self._write(*self._told(candidate, flight.result))
                    told = True

    def _start(self, tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(tasks, ended))

    def _ended(self, tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)
        self._pump()

    # ------------------------------------------------------------ proposing

    async def _propose(self, request: ProposalRequest) -> None:
        missing = [candidate for candidate in needed(self.search, request) if candidate not in self._cache]
        if missing:
            self._cache.update(await asyncio.to_thread(self.store.candidates, self.writer.run_id, missing))
        flight = self._in_flight[request.id]
        asks = not flight.drafts or self.proposals.goes_on(flight)
        found = await (self.proposals.next(flight) if asks else self.proposals.ask_about(flight))
        if isinstance(found, Draft | Completion):
            self._drafted(request.id, flight)
        elif isinstance(found, FatalError):
            self._stop("failed", str(found))
        elif isinstance(found, OutOfMoney):
            self._stop("finished", str(found))
            flight.settled = bool(flight.drafts)
        elif found is None:  # cut short: the run's end settles it, or leaves it to a resume
            self._requests.appendleft(request)
        else:
            flight.settled = bool(flight.drafts)
            if not flight.drafts:
                flight.result = Evaluation(status=Status.INFRA, feedback=str(found))

    def _drafted(self, candidate: int, flight: InFlight) -> None:
        """Sends a proposal's newest draft where it belongs: to its test, back to the model, or on to admission."""
        if self.proposals.wants_outcome(flight):
            self._tests.append(self._test_draft(candidate, flight, flight.drafts[-1]))
        elif self.proposals.goes_on(flight) or self.proposals.check(flight):
            assert flight.request is not None  # what is drafted was asked
            self._requests.appendleft(flight.request)
        else:
            flight.settled = True

    async def _test_draft(self, candidate: int, flight: InFlight, draft: Draft) -> None:
        draft.outcome = await self._test(candidate, draft.files, draft.name)
        if draft.outcome is not None:
            self._drafted(candidate, flight)

    async def _try(self, candidate: int, files: Files, name: str, then: Callable[[StageOutcome], None]) -> None:
        """Runs an agent's draft. It saves nothing and finds nothing saved: checkpoints are the candidate's."""
        outcome = await self._test(candidate, files, name, keeps=False)
        if outcome is not None:
            then(outcome)

    async def _test(self, candidate: int, files: Files, name: str, keeps: bool = True) -> StageOutcome | None:
        """Runs a draft through the first stage, as its candidate would be; keeps the outcome under the draft's name.

        None where the run's end cut it short.
        """
        stage, serve = self.problem.stages[0].name, self.asks.of(candidate, keeps)
        with self.evaluator_meter.occupied():
            outcome = await self._measure(candidate, files, stage=stage, serve=serve)
        if candidate in self.asks.cut:
            return None
        if candidate in self._in_flight:
            self._in_flight[candidate].tested += 1
        else:  # a try, whose candidate was told meanwhile
            self.spent.evaluations += 1
        self._write(self._stage(candidate, outcome, name), self._no_checkpoints(candidate) if keeps else [])
        return outcome

    # ------------------------------------------------------------ from completion to candidate

    def _admit(self, candidate: int, flight: InFlight) -> None:
        proposed, columns, promoted = self.proposals.settle(candidate, flight)
        self._admitted += 1
        columns["admitted"] = self._admitted
        flight.durable = self._write(
            self.writer.log([self._proposed_event(candidate, proposed)]),
            self.writer.files(
                candidate, proposed.files, title=proposed.title, hypothesis=proposed.hypothesis, **columns
            ),
            promoted,
        )
        self._enter(candidate, flight, proposed)

    def _enter(self, candidate: int, flight: InFlight, proposed: Proposed) -> None:
        """Queues a proposed candidate for evaluation, or settles it without one."""
        flight.proposed = proposed
        if proposed.status is None:
            self._backlog.append(candidate)
        else:
            flight.result = Evaluation(status=proposed.status, feedback=proposed.reason)

    def _proposed_event(self, candidate: int, proposed: Proposed) -> Event:
        data = {
            "files": {path: digest(text) for path, text in proposed.files.items()},
            "title": proposed.title,
            "hypothesis": proposed.hypothesis,
            "status": proposed.status,
            "reason": proposed.reason,
            "duplicate_of": proposed.duplicate_of,
            "draft": proposed.draft,
            "admitted": self._admitted,
        }
        return Event(seq=self.search.proposed_seq(candidate), kind="proposed", candidate=candidate, data=data)

    # ------------------------------------------------------------ evaluating

    async def _evaluate(self, candidate: int) -> None:
        flight = self._in_flight[candidate]
        assert flight.proposed is not None
        if flight.durable is not None:
            await flight.durable
        evaluation = await self._run_through(candidate, flight, flight.proposed.files, flight.measured)
        if candidate in self.asks.cut:
            return
        flight.tuning = await self._tuning(candidate, flight, evaluation)
        if flight.tuning is None:
            flight.result = evaluation
        else:
            self._tune(candidate, flight, flight.tuning)

    async def _run_through(
        self, candidate: int, flight: InFlight, files: Files, done: Sequence[StageOutcome], text: str | None = None
    ) -> Evaluation:
        """Runs a candidate's text through all stages; checkpoints are of the text that was proposed."""
        with self.evaluator_meter.occupied():
            return await self.evaluator.evaluate(
                self.problem,
                files,
                candidate=candidate,
                thresholds=flight.request.thresholds if flight.request else {},  # a person's runs through all stages
                draw_seed=draw_seed(self.search.seed, candidate),
                done=[o for o in done if o.replicate < self._replicates(o.stage)],
                on_stage=lambda outcome: self._measured(candidate, outcome, text),
                serve=self.asks.of(candidate, keeps=text is None),
            )

    def _incumbent(self, candidate: int, stage: str) -> int | None:
        """Returns whose output a stage lends to a candidate: that was decided when it was asked."""
        flight = self._in_flight.get(candidate)
        return flight.request.incumbents.get(stage) if flight is not None and flight.request is not None else None

    def _measured(self, candidate: int, outcome: StageOutcome, text: str | None = None) -> None:
        if candidate not in self.asks.cut:
            self._write(self._stage(candidate, outcome, text))

    async def _measure(self, candidate: int, files: Files, **what: Any) -> StageOutcome:
        """Runs one stage alone: as one more `replicate`, as the `holdout`, or for a draft."""
        what = {"draw_seed": draw_seed(self.search.seed, candidate), "serve": self.asks.of(candidate), **what}
        return await self.evaluator.measure(self.problem, files, candidate=candidate, **what)

    def _replicates(self, stage: str) -> int:
        return self.problem.stage(stage).replicates

    def _stage(self, candidate: int, outcome: StageOutcome, draft: str | None = None) -> Change:
        self._last_evaluation += 1
        leads = outcome.score is not None and self.search.incumbents.leads(outcome.stage, outcome.score)
        return self.writer.evaluation(self._last_evaluation, candidate, self._artifacts.fit(outcome, leads), draft)

    # ------------------------------------------------------------ tuning

    async def _tuning(self, candidate: int, flight: InFlight, evaluation: Evaluation) -> Tuning | None:
        """Returns the tuning of a candidate that is worth it and has constants."""
        tune = flight.request.tune if flight.request is not None else None

        def is_new() -> bool:
            first = self._behaviours.first(evaluation)
            return len(last_instances(evaluation)) > 1 and not (first and self.search.knew(candidate, first))

        if tune is None or flight.proposed is None or not is_promising(tune, evaluation, is_new):
            return None
        await asyncio.to_thread(load, tune["method"])
        return Tuning.begun(
            flight.proposed.files,
            self.problem.edit,
            self.problem.tune.stage,
            evaluation,
            method=tune["method"],
            most=self._most_trials(candidate, flight, tune["evaluations"]),
            rng=generator(self.search.seed, "tuning", candidate),
            stored=flight.trials,
        )

    def _most_trials(self, candidate: int, flight: InFlight, planned: int) -> int:
        """Returns how many trials a tuning has: those of the record, or those made before its best text was evaluated."""
        if self._order is not None:
            return self._order.trials.get(candidate, 0)
        return len(flight.trials) if flight.measured_tuned else planned

    def _tune(self, candidate: int, flight: InFlight, tuning: Tuning) -> None:
        """Goes on with a tuning where its last batch has ended: by the next one, by its best text, or not at all."""
        goes_on = self._sequenced or (self._affordable() and not self._draining)
        trials = tuning.next() if goes_on else {}
        self._tests += [self._try_constants(candidate, flight, tuning, *trial) for trial in trials.items()]
        if not trials and tuning.improved:
            self._tests.append(self._evaluate_tuned(candidate, flight, tuning))
        elif not trials:
            flight.result = tuning.before

    async def _try_constants(
        self, candidate: int, flight: InFlight, tuning: Tuning, number: int, vector: Values
    ) -> None:
        if await self.try_constants(candidate, tuning, number, vector):
            self._tune(candidate, flight, tuning)

    async def try_constants(self, candidate: int, tuning: Tuning, number: int, vector: Values, first: int = 0) -> bool:
        """Makes a trial and keeps it, numbered from `first` on; says whether that was the last of its batch."""
        stage = self.problem.tune.stage
        with self.evaluator_meter.occupied():
            outcome = await self._measure(candidate, tuning.text(vector), stage=stage, serve=alone)
        self.spent.evaluations += 1
        self._write(self.writer.trial(candidate, first + number, vector, outcome))
        within = outcome.status is Status.OK and not self.problem.violation(outcome.metrics)
        return tuning.take(number, outcome.score if within else None)

    async def run_through_alone(self, candidate: int, files: Files) -> Evaluation:
        """Runs a text through all stages in a told candidate's place; nothing of it is kept."""
        with self.evaluator_meter.occupied():
            return await self.evaluator.evaluate(
                self.problem, files, candidate=candidate, thresholds={}, done=(), serve=alone,
                draw_seed=draw_seed(self.search.seed, candidate), on_stage=lambda outcome: None,
            )  # fmt: skip

    async def _evaluate_tuned(self, candidate: int, flight: InFlight, tuning: Tuning) -> None:
        evaluation = await self._run_through(candidate, flight, tuning.files, flight.measured_tuned, TUNED)
        if candidate in self.asks.cut:
            return
        tuning.end(evaluation, self.problem)
        flight.result = evaluation if tuning.won else tuning.before

    def _settle_tuning(self, candidate: int, flight: InFlight, tuning: Tuning, facts: Mapping[str, Any]) -> Change:
        """Makes the text that stands the candidate's own, and counts what the other one took."""
        other = tuning.before if tuning.won else tuning.after
        self.spent.evaluations += len(other.stages) if other is not None else 0
        if not tuning.won or flight.proposed is None:
            return []
        flight.proposed.files = tuning.files
        self.proposals.tuned(candidate, facts["fingerprint"])
        return self.writer.tuned(candidate, tuning.files)

    # ------------------------------------------------------------ after the evaluation

    def _confirms(self, candidate: int, flight: InFlight, result: Evaluation) -> bool:
        """Says whether a result that is about to be the best waits for its second evaluation; starts that in a free slot."""
        if flight.confirmed is not None:
            return not flight.confirmed
        ok = result.status is Status.OK and result.score is not None
        due = ok and self.search.leads(result.score or 0.0, self.problem.violation(result.metrics))
        if not (due if self._order is None else candidate in self._order.confirmed):
            return False
        if len(self._evaluations) < self.evaluator.slots and not self._paused:
            flight.confirmed = False
            self._start(self._evaluations, self._confirm(candidate, flight, result))
        return True

    async def _confirm(self, candidate: int, flight: InFlight, result: Evaluation) -> None:
        files, tuned = flight.files, flight.tuning is not None and flight.tuning.won
        before, text = (flight.measured_tuned, TUNED) if tuned else (flight.measured, None)
        with self.evaluator_meter.occupied():
            evaluation = await confirm.confirmed(
                lambda replicate: self._measure(candidate, files, replicate=replicate),
                self.problem,
                result,
                stored=[o for o in before if o.replicate >= self._replicates(o.stage)],
                on_stage=lambda outcome: self._measured(candidate, outcome, text),
                best=self._to_race(),
            )
        # one that was cut short has no result: a resume evaluates it again, with the answers that are stored
        flight.result = None if candidate in self.asks.cut else evaluation
        flight.confirmed = True

    def _to_race(self) -> confirm.Best | None:
        best = self.search.best
        if best is None or not self.problem.noisy:
            return None
        known = self._candidates([best])[best]
        return confirm.Best(score=self.search.score(best), n=known.n or 1)

    def _finalists(self) -> list[int]:
        """Returns who takes part in the final of a noisy run that has used up its budget and had none yet."""
        due = self.problem.noisy and self.state == "finished" and not self._final and self._order is None
        return self.search.top(final.FINALISTS) if due else []

    async def _hold_final(self, finalists: Sequence[int]) -> None:
        self._final = True
        files = self._candidates(finalists)
        stored = {(row["candidate"], row["replicate"]): row for row in self.store.final_rows(self.writer.run_id)}

        async def measure(candidate: int, replicate: int) -> StageOutcome | None:
            if (candidate, replicate) in stored:  # of a final that a kill cut short
                return outcome_of(stored[candidate, replicate], {})
            outcome = await self._measure(candidate, files[candidate].files, replicate=replicate)
            if outcome.status is Status.INFRA:
                outcome = await self._measure(candidate, files[candidate].files, replicate=replicate)
            if candidate in self.asks.cut or outcome.status is Status.INFRA:
                return None  # what it asks for can't be had any more, or no worker can
            outcome = replace(outcome, stage=FINAL)
            self.spent.evaluations += 1
            self._write(self._stage(candidate, outcome), self._no_checkpoints(candidate))
            return outcome

        with self.evaluator_meter.occupied():
            await final.hold(measure, finalists, final.share(self.spent.evaluations - len(stored), self.budget))

    def winner(self) -> int | None:
        """Returns the best candidate: of a noisy run that had its final, who won that."""
        held = final.winner(self.store.final_rows(self.writer.run_id)) if self.problem.noisy else None
        return held or self.search.best

    def _to_hold_out(self) -> int | None:
        """Returns the best candidate of a run that has ended in order, unless the hold-out was run on it."""
        best = self.winner()
        if not self.problem.holdout or self.state not in ("finished", "interrupted") or best in (None, *self._held_out):
            return None
        row = self.store.holdout_row(self.writer.run_id)
        return None if row is not None and row["candidate"] == best else best

    async def _hold_out(self, candidate: int) -> None:
        """Evaluates the best on the instances kept for the end; its row is read by people alone."""
        self._held_out.add(candidate)
        files = self._candidates([candidate])[candidate].files
        with self.evaluator_meter.occupied():
            outcome = await self._measure(candidate, files, holdout=True)
        if candidate in self.asks.cut:  # what it asked came too late
            return
        self.spent.evaluations += 1
        self._write(self._stage(candidate, outcome), self._no_checkpoints(candidate))

    def _told(self, candidate: int, evaluation: Evaluation) -> list[Change]:
        """Tells the search; returns what the population is to keep of it."""
        before = self.search.best
        flight = self._in_flight[candidate]
        tuning = flight.tuning
        tuned = tuning.facts(evaluation) if tuning is not None and tuning.trials else None
        files = tuning.files if tuning is not None and tuning.won else flight.proposed.files if flight.proposed else {}
        self.spent.evaluations += len(evaluation.stages) + flight.tested
        behaviour = self._behaviours.of(candidate, evaluation)
        self.search.tell(
            candidate,
            evaluation.status,
            evaluation.score,
            confirm.stage_scores(evaluation),
            behaves_as=behaviour.get("behaves_as"),
            tuned=tuned,
            **facts(self.problem, files, evaluation),
        )
        made = self._settle_tuning(candidate, flight, tuning, tuned) if tuning and tuned else []
        if self._order is not None:
            self._order.done("told", candidate)
        self._remember(candidate, evaluation, behaviour.get("behaves_as"))
        self._watch(candidate, evaluation, before)
        return [made, *self._kept(candidate, evaluation, behaviour)]

    def retold(self, candidate: int, files: Files, evaluation: Evaluation, revision: int) -> list[Change]:
        """Tells the search what a stored candidate comes to in a new revision; returns what the population is to keep of it."""
        behaviour = self._behaviours.of(candidate, evaluation)
        stages = [self._stage(candidate, outcome) for outcome in evaluation.stages]
        told: dict[str, Any] = {"status": evaluation.status.value, "score": evaluation.score, "revision": revision}
        told |= {"stage_scores": confirm.stage_scores(evaluation), **facts(self.problem, files, evaluation)}
        self.search.enter("reevaluated", {**told, "behaves_as": behaviour.get("behaves_as")}, candidate)
        self.spent.evaluations += len(evaluation.stages)
        return [*stages, *self._kept(candidate, evaluation, behaviour)]

    def _kept(self, candidate: int, evaluation: Evaluation, behaviour: Mapping[str, Any]) -> list[Change]:
        """Returns what the population keeps of what was just told."""
        columns = {
            "status": evaluation.status.value,
            "score": evaluation.score,
            "stderr": evaluation.stderr,
            "n": None if evaluation.score is None else evaluation.n,
            "violation": self.problem.violation(evaluation.metrics) if evaluation.status is Status.OK else 0.0,
            "stage": evaluation.stages[-1].stage if evaluation.stages else "",
            "metrics": dict(evaluation.metrics),
            "features": dict(evaluation.features),
            "feedback": evaluation.feedback,
            **behaviour,
        }
        told = [self.writer.log(self.search.take_events()), self.writer.candidate_columns(candidate, **columns)]
        return [*told, self._no_checkpoints(candidate)]

    def _no_checkpoints(self, candidate: int) -> Change:
        keeps = any(stage.checkpoint for stage in self.problem.stages)
        return self.writer.no_checkpoints(candidate) if keeps else []

    def _remember(self, candidate: int, evaluation: Evaluation, behaves_as: int | None) -> None:
        """Keeps a told candidate for prompts, and forgets what was needed to get it there."""
        flight = self._in_flight.pop(candidate)
        request, proposed = flight.request, flight.proposed or Proposed(files={})
        decided = {}
        if request is not None:
            self.counts[evaluation.status] = self.counts.get(evaluation.status, 0) + 1
            decided = {name: getattr(request, name) for name in ("island", "operator", "parent", "inspirations")}
        measured = {
            name: getattr(evaluation, name) for name in ("status", "score", "n", "metrics", "feedback", "features")
        }
        made = {name: getattr(proposed, name) for name in ("title", "hypothesis", "files", "duplicate_of")}
        seen: dict[str, Any] = {
            "artifacts": evaluation.artifacts(),
            "instances": last_instances(evaluation),
            "behaves_as": behaves_as,
        }
        turn_s = {outcome.stage: outcome.turn_s for outcome in reversed(evaluation.stages)}
        self._cache[candidate] = Candidate(id=candidate, turn_s=turn_s, **seen, **decided, **measured, **made)
        while len(self._cache) > CACHED:
            self._cache.popitem(last=False)

    def _watch(self, candidate: int, evaluation: Evaluation, best_before: int | None) -> None:
        """Notes a new best; pauses the run when fault follows fault."""
        if self.search.best != best_before and evaluation.status is Status.OK:
            self.note("best", str(candidate))
        faulty = evaluation.status in (Status.EVALUATOR_ERROR, Status.INFRA)
        self._faults = self._faults + 1 if faulty else 0
        if not faulty:
            return
        last = (evaluation.feedback.strip().splitlines() or ["no reason given"])[-1]
        self.note(evaluation.status.value, f"candidate {candidate}: {last}")
        if self._faults >= PAUSE_AFTER and self.state == "running":
            self._stop("paused", f"{self._faults} times in a row {evaluation.status}: {last}")

    # ------------------------------------------------------------ reading and writing

    def _candidates(self, ids: Sequence[int]) -> dict[int, Candidate]:
        """Returns candidates from memory or the database (told ones only change by rescoring)."""
        found = {candidate: cached for candidate in ids if (cached := self._cache.get(candidate))}
        for candidate in found:
            self._cache.move_to_end(candidate)
        missing = [candidate for candidate in ids if candidate not in found]
        if missing:
            read = self.store.candidates(self.writer.run_id, missing)
            self._cache.update(read)
            found.update(read)
        return found

    def _files(self, candidate: int) -> Files:
        """Returns any candidate's files as they were proposed, told or not."""
        flight = self._in_flight.get(candidate)
        if flight and flight.proposed:
            return flight.proposed.files
        if self.proposals.is_tuned(candidate):
            return proposed_files(self.store, self.writer.run_id, candidate)
        return self._candidates([candidate])[candidate].files

    def _write(self, *changes: Change) -> asyncio.Future[None]:
        """Queues changes without waiting; a failure stops the run."""
        written = self.writer.write(*changes)
        written.add_done_callback(self._written)
        return written

    def _written(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            self._stop("failed", str(error))
            self._done.set()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            await self._write(self._progress())
            self._pump()  # a budget of seconds may have been reached

    async def _read_inbox(self) -> None:
        await self._inbox.read()
        self._pump()
        await self._inbox.watch(self._pump)

    def _progress(self) -> Change:
        meters = {"llm": self.llm_meter, "judges": self.judge_meter, "evaluators": self.evaluator_meter}
        busy = {pool: meter.busy_s() for pool, meter in meters.items()}
        busy |= {f"{pool.removesuffix('s')}_slots": meter.slots for pool, meter in meters.items()}
        return self.writer.run_columns(wall_s=self.wall_s(), busy=busy)

    def _take_up(self) -> None:
        """Puts the work that a stored run still has where it belongs."""
        for candidate, flight in self._in_flight.items():
            if flight.proposed is not None:
                if self._order is not None:
                    self._order.admitted(candidate)
                self._enter(candidate, flight, flight.proposed)
            elif flight.request is not None and (self._order is None or candidate in self._order.told):
                for call, text in flight.answers:
                    self.proposals.drafted(flight, call, text)
                if flight.drafts:
                    self._drafted(candidate, flight)
                else:
                    self._requests.append(flight.request)

    # ------------------------------------------------------------ stopping

    def _set_state(self, state: str, reason: str) -> None:
        if self.state == "running":
            self.state, self.reason = state, reason

    def _pause(self, reason: str | None) -> None:
        """Keeps it that no model answers, or that one does again; the run waits."""
        reason = reason or (HELD if self._paused else None)
        self._write(self.writer.run_columns(state="paused" if reason else "running", reason=reason or ""))

    def _stop(self, state: str, reason: str) -> None:
        """Ends the run: nothing new starts; what is in flight ends and counts."""
        self._set_state(state, reason)
        self._draining = True
        # what a user stops, ends with its evaluations' calls
        self.calls.end(*[calls.PROPOSE, calls.NOVELTY, calls.EMBED] * (state == "interrupted"))
        if state in ("failed", "paused"):
            self.note(state, reason)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, EvolveError):
            self._stop("failed", str(error))
        else:
            self.fault = error
            self._stop("failed", f"a fault in Evolve itself: {type(error).__name__}: {error}")

    def _settle(self) -> None:
        """Says why a run ended that nobody stopped."""
        reached = " and ".join(f"budget.{name}" for name in self._limits_reached())
        if self._order is not None and self._order.ended():
            self._set_state("finished", "all of the record is replayed")
        stuck = f"came to a stand with {len(self.search.open())} candidates in flight; this is a fault in Evolve itself"
        self._set_state(*(("finished", f"{reached} is used up") if reached else ("failed", stuck)))

    async def _finish(self) -> None:
        columns = {"state": self.state, "reason": self.reason, "lease_owner": ""}
        try:
            await self.writer.write(self._progress(), self.writer.run_columns(**columns))
        except EvolveError as error:
            self.state, self.reason = "failed", str(error)
