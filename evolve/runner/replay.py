"""Replay: a stored run as the model, as the order of asking, admitting and telling, and where wanted as the evaluator."""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from evolve import checks
from evolve.errors import FatalError, ProviderError, UsageError
from evolve.llm.provider import Provider
from evolve.population import Store, digest
from evolve.population.store import Row
from evolve.problem import Problem
from evolve.proposer.constants import constants, replaced
from evolve.runner.calls import EMBED, NOVELTY, PROPOSE
from evolve.runner.pending import ELITE, HUMAN, outcome_of, proposed_files, stored_drafts, stored_outcomes
from evolve.search import Search
from evolve.types import APART, Call, Candidate, Completion, Evaluation, Event, Files, Prompt, StageOutcome, Status

PLACE = ("candidate", "purpose", "number", "stage", "replicate", "instance")
SHOWN = 30  # lines of a difference
MEASURED = re.compile(r"^Time used: .*$", re.M)
RECORDED, RUN = "recorded", "run"


class Record:
    """A stored run that is replayed. `evaluations`: `run` them again, or take those that are `recorded`."""

    def __init__(self, store: Store, run_id: str, *, strict: bool = True, evaluations: str = RUN):
        checks.flag("replay.strict", strict)
        if evaluations not in (RUN, RECORDED):
            raise UsageError(f"replay.evaluations={evaluations}: must be {RUN} or {RECORDED}")
        if store.revision(run_id):
            raise UsageError(f"replay.run={run_id}: was rescored on its way, which no replay repeats")
        if store.run(run_id)["config"].get("fork"):
            raise UsageError(f"replay.run={run_id}: began as a fork, which no replay repeats")
        self.store, self.run_id, self.strict, self.evaluations = store, run_id, strict, evaluations

    def order(self, search: Search, replicates: Mapping[str, int]) -> Order:
        """Returns what is still to come, for a search that has come so far; `replicates` are those of each stage."""
        events = self.store.events_of(self.run_id, ["asked", "proposed", "tuned", "told", "added", "steered"])
        told = {event.candidate for event in events if event.kind == "told"}
        still = set(search.open())

        def to_come(candidate: int, asked: bool) -> bool:
            return candidate > search.size or (not asked and candidate in still)

        steered = [event for event in events if event.kind == "steered"]
        taken = {event.seq for event in steered[: search.steered.count]}

        def is_move(event: Event) -> bool:
            if event.kind == "steered":
                return event.seq not in taken
            if event.kind == "added" and event.data["origin"] not in (HUMAN, ELITE):
                return False
            return event.kind not in ("proposed", "tuned") and to_come(event.candidate or 0, event.kind != "told")

        return Order(
            moves=filter(is_move, events),
            candidate=lambda candidate: self.store.candidate(self.run_id, candidate),
            admissions=[
                event.candidate or 0
                for event in sorted(events, key=lambda event: event.data.get("admitted") or 0)
                if event.kind == "proposed" and event.data["admitted"] and to_come(event.candidate or 0, False)
            ],
            told=told,
            trials={event.candidate or 0: event.data["trials"] for event in events if event.kind == "tuned"},
            confirmed={
                row["candidate"]
                for row in self.store.evaluation_rows(self.run_id)
                if row["stage"] in replicates and row["replicate"] >= replicates[row["stage"]]
            },
        )


class Order:
    """What a recorded run did next: candidates asked and told in one sequence, proposals admitted in another.

    `told` are the candidates whose outcome the record has; one that was in flight at its end has none. `confirmed` were
    looked at twice, which depends on who else was about to be told. `candidate` reads one of the record's. `trials` says how
    many each tuning had: an end of the run cuts it short.
    """

    def __init__(
        self,
        moves: Iterable[Event],
        admissions: Iterable[int],
        told: set[int | None],
        confirmed: set[int],
        candidate: Callable[[int], Candidate],
        trials: Mapping[int, int],
    ):
        self._moves, self._admissions, self.told, self.confirmed = deque(moves), deque(admissions), told, confirmed
        self.candidate, self.trials = candidate, trials

    def is_next(self, kind: str, candidate: int) -> bool:
        return bool(self._moves) and (self._moves[0].kind, self._moves[0].candidate or 0) == (kind, candidate)

    def steered(self) -> Event | None:
        """Returns what nobody asked for, where that comes next; a candidate waits for its turn of admission as well."""
        move = self._moves[0] if self._moves else None
        mine = move is not None and (
            move.kind == "steered" or (move.kind == "added" and self.admission() == move.candidate)
        )
        return move if mine else None

    def done(self, kind: str, candidate: int) -> None:
        if self.is_next(kind, candidate):
            self._moves.popleft()

    def ended(self) -> bool:
        return not self._moves

    def admission(self) -> int:
        """Returns the candidate that is admitted next, 0 for none."""
        return self._admissions[0] if self._admissions else 0

    def admitted(self, candidate: int) -> None:
        if candidate in self._admissions:
            self._admissions.remove(candidate)


class Replay(Provider):
    """Answers with what a record's model answered: a call is found by its place and checked by its prompt.

    `like` is the provider that the record was made with: what it is like decides what is asked. Where the record is not
    `strict`, another prompt with the same text will do as well, and what is not found so is counted in `misses`.
    """

    def __init__(self, record: Record, like: Provider):
        self._record = record
        self.model, self.converses, self.edits = like.model, like.converses, like.edits
        self.concurrency, self.evaluation_concurrency = like.concurrency, like.evaluation_concurrency
        self.misses = 0
        self._done: dict[tuple[Any, ...], Row] = {}
        self._by_prompt: dict[str, Row] = {}
        self._failed: dict[tuple[Any, ...], str] = {}

    async def start(self) -> None:
        for row in self._record.store.call_rows(self._record.run_id):
            place = tuple(row[name] for name in PLACE)
            if row["state"] == "done":
                self._done.setdefault(place, row)
                self._by_prompt.setdefault(row["prompt"], row)
            elif row["state"] == "failed":
                self._failed[place] = row["error"]

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Returns the recorded answer. Raises FatalError, with the difference, for a prompt that the record does not have."""
        place = tuple(getattr(call, name) for name in PLACE)
        row, text = self._done.get(place), digest(prompt.text)
        if row is None and place in self._failed:
            raise ProviderError(self._failed[place])
        if row is None and self._ended_before(call):
            raise ProviderError(f"replay: the record's proposal ended before the call {_said(call)}")
        found = row if row is not None and self._equal(row, prompt) else self._by_prompt.get(text)
        if found is None and self._record.strict:
            raise FatalError(self._difference(row, prompt, call))
        if found is None:
            self.misses += 1
            found = row
        if found is None:
            raise ProviderError(f"replay: the record has neither a call {_said(call)} nor one with this prompt")
        answer = self._record.store.texts(self._record.run_id, [found["completion"]])[found["completion"]]
        tokens = {name: found[name] for name in ("tokens_in", "tokens_out", "tokens_cached")}
        return Completion(text=answer, model=found["model"], cost_usd=0.0, **tokens)

    def _ended_before(self, call: Call) -> bool:
        """Says whether the record has the proposal's calls up to this one: its budget was used up then."""
        before = Call(id=0, candidate=call.candidate, number=max(call.number - 1, 0))
        later = call.purpose in (NOVELTY, EMBED) or (call.purpose == PROPOSE and call.number > 0)
        return later and tuple(getattr(before, name) for name in PLACE) in self._done

    def _equal(self, row: Row, prompt: Prompt) -> bool:
        """Compares prompts but for the times that were measured, which no two runs share."""
        if row["prompt"] == digest(prompt.text):
            return True
        return MEASURED.sub("", self._prompt(row)) == MEASURED.sub("", prompt.text)

    def _prompt(self, row: Row) -> str:
        return self._record.store.texts(self._record.run_id, [row["prompt"]])[row["prompt"]]

    def _difference(self, row: Row | None, prompt: Prompt, call: Call) -> str:
        if row is None:
            return (
                f"replay.run={self._record.run_id}: the record has no call {_said(call)}; replay.strict=false goes on"
            )
        lines = difflib.unified_diff(
            self._prompt(row).splitlines(), prompt.text.splitlines(), "recorded", "now", lineterm="", n=1
        )
        shown = "\n".join(islice(lines, SHOWN))
        return (
            f"replay.run={self._record.run_id}: the prompt of the call {_said(call)} is not the recorded one; "
            f"replay.strict=false goes on\n{shown}\n"
        )


def _said(call: Call) -> str:
    place = f" in stage {call.stage}, replicate {call.replicate}, instance {call.instance}" if call.stage else ""
    return f"(candidate {call.candidate}, {call.purpose}, number {call.number}{place})"


class Recorded:
    """An evaluator that runs nothing: it has the outcomes of a record go through the real one's cascade."""

    slots, queue, isolation = 8, 16, RECORDED

    def __init__(self, evaluator: Any, record: Record):
        self._evaluator, self._record = evaluator, record

    def missing(self, problem: Problem) -> list[str]:
        return []

    async def start(self, problem: Problem, measured_on: str = "") -> None:
        pass

    async def close(self) -> None:
        pass

    async def evaluate(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int,
        done: Sequence[StageOutcome],
        on_stage: Callable[[StageOutcome], None],
        **how: Any,
    ) -> Evaluation:
        known = {(outcome.stage, outcome.replicate) for outcome in done}
        own = [o for o in self._outcomes(candidate, files) if o.replicate < problem.stage(o.stage).replicates]
        for outcome in own:
            if (outcome.stage, outcome.replicate) not in known:
                on_stage(outcome)
        found: Evaluation = await self._evaluator.evaluate(problem, files, candidate=candidate, done=own, **how)
        return found

    async def measure(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int,
        replicate: int = 0,
        holdout: bool = False,
        stage: str = "",
        **how: Any,
    ) -> StageOutcome:
        store, run_id = self._record.store, self._record.run_id
        if holdout:
            row = store.holdout_row(run_id)
            found = outcome_of(row, {}) if row is not None and row["candidate"] == candidate else None
        elif stage:
            drafts = (draft.outcome for draft in stored_drafts(store, run_id, candidate) if draft.files == files)
            own = (o for o in self._outcomes(candidate, files) if (o.stage, o.replicate) == (stage, 0))
            known = (outcome for outcome in (*drafts, self._trial(problem, candidate, files)) if outcome is not None)
            found = next(known, next(own, None))
        else:
            last = problem.stages[-1].name
            own = (o for o in self._outcomes(candidate, files) if (o.stage, o.replicate) == (last, replicate))
            found = next(own, None)
        if found is None:
            what = "hold-out" if holdout else f"stage {stage or problem.stages[-1].name}, replicate {replicate}"
            raise FatalError(
                f"replay.run={run_id}: candidate {candidate} has no recorded {what}; set replay.evaluations=run"
            )
        return found

    def _outcomes(self, candidate: int, files: Files) -> list[StageOutcome]:
        """Returns the stages that one of the candidate's texts ran through: the one that stands, or the other one."""
        store, run_id = self._record.store, self._record.run_id
        if files != store.candidate(run_id, candidate).files:
            return [outcome_of(row, {}) for row in store.evaluation_rows_aside(run_id, candidate)]
        stored = stored_outcomes(store, run_id, candidate)
        return [outcome for outcome in stored if outcome.stage not in APART]

    def _trial(self, problem: Problem, candidate: int, files: Files) -> StageOutcome | None:
        """Returns the trial of tuning that had those files."""
        store, run_id = self._record.store, self._record.run_id
        rows = store.trial_rows(run_id, candidate)
        if not rows:
            return None
        proposed = proposed_files(store, run_id, candidate)
        found = constants(proposed, problem.edit)
        row = next((row for row in rows if replaced(proposed, found, row["vector"]) == files), None)
        if row is None:
            return None
        return StageOutcome(stage=row["stage"], status=Status(row["status"]), score=row["score"])
