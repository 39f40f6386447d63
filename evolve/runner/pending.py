"""What a stored run still has to do: candidates that were asked and not told, and how far each of them got."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evolve.population import Store
from evolve.population.store import TUNED, Row
from evolve.proposer import Draft
from evolve.runner.calls import EMBED, NOVELTY, PROPOSE
from evolve.runner.tuning import Tuning
from evolve.search import Search
from evolve.search.search import request_of
from evolve.types import Evaluation, Files, ProposalRequest, StageOutcome, Status

CHECKS = (EMBED, NOVELTY)
HUMAN, ELITE = "human", "tuned"  # the origins of a candidate that a person added, and of an elite's better constants
TURN, TRY = "turn", "try"  # where a draft is from: an answer, or an agent's try before it


@dataclass(slots=True, kw_only=True)
class Proposed:
    """What came of a proposal: files to evaluate, or a status that needs no evaluation. `draft` is the number of its answer."""

    files: Files
    status: Status | None = None
    reason: str = ""
    title: str = ""
    hypothesis: str = ""
    duplicate_of: int | None = None
    draft: int | None = None


@dataclass(slots=True, kw_only=True)
class InFlight:
    """A candidate that is not told yet, and how far it got. `sent`, `answers` and `measured` are of an earlier runner."""

    request: ProposalRequest | None = None  # None: an initial program, a person's
    sent: str | None = None  # the first prompt's text
    operator: str = ""  # that the first prompt asks for, which may be another than the request's
    answers: list[tuple[int, str]] = field(default_factory=list)  # (call, completion) that no draft was made of yet
    drafts: list[Draft] = field(default_factory=list)
    tried: int = 0  # drafts that an agent tried
    tested: int = 0  # drafts that were evaluated and are not the candidate
    said: dict[str, str] = field(default_factory=dict)  # by purpose, what models said of its novelty
    settled: bool = False  # no further answer is asked for
    proposed: Proposed | None = None
    durable: Future[None] | None = None  # the commit of what was proposed
    measured: Sequence[StageOutcome] = ()
    measured_tuned: Sequence[StageOutcome] = ()  # with the constants that tuning found
    trials: Mapping[int, float | None] = field(default_factory=dict)  # scores by number
    tuning: Tuning | None = None
    result: Evaluation | None = None
    confirmed: bool | None = None  # whether its second evaluation has ended; None: there is none

    @property
    def files(self) -> Files:
        """The text that stands: the tuned one where it is better."""
        if self.tuning is not None and self.tuning.won:
            return self.tuning.files
        return self.proposed.files if self.proposed else {}


def read_pending(store: Store, run_id: str, search: Search) -> dict[int, InFlight]:
    """Reads how far each open candidate of a stored run got, in the order of asking."""
    pending: dict[int, InFlight] = {}
    for event in store.events_of(run_id, ["asked", "added", "proposed"], search.open()):
        candidate = event.candidate or 0
        if event.kind == "asked":
            pending[candidate] = InFlight(request=request_of(candidate, event.data))
            _add_drafts(pending[candidate], store, run_id, candidate)
        elif event.kind == "added":
            pending[candidate] = InFlight()
        else:
            bodies = store.texts(run_id, event.data["files"].values())
            known = {name: event.data[name] for name in ("title", "hypothesis", "reason", "duplicate_of", "draft")}
            files = {path: bodies[content] for path, content in event.data["files"].items()}
            proposed = Proposed(files=files, status=_status(event.data["status"]), **known)
            pending[candidate].proposed = proposed
            pending[candidate].measured = stored_outcomes(store, run_id, candidate)
            pending[candidate].measured_tuned = [
                outcome_of(row, {}) for row in store.evaluation_rows_aside(run_id, candidate)
            ]
            pending[candidate].trials = {row["number"]: row["score"] for row in store.trial_rows(run_id, candidate)}
    return pending


def proposed_files(store: Store, run_id: str, candidate: int) -> Files:
    """Returns a candidate's files as they were proposed, before its tuning."""
    [event] = store.events_of(run_id, ["proposed"], [candidate])
    bodies = store.texts(run_id, event.data["files"].values())
    return {path: bodies[content] for path, content in event.data["files"].items()}


def stored_outcomes(store: Store, run_id: str, candidate: int) -> list[StageOutcome]:
    """Returns the stages that a candidate ran through, in their order, with what they left."""
    bodies_of: dict[int, dict[str, bytes]] = {}
    for row in store.artifacts(run_id, [candidate]):
        bodies_of.setdefault(row["evaluation"], {})[row["name"]] = row["body"]
    revision = store.revision(run_id)  # what was measured before a rescoring counts no more
    rows = [row for row in store.evaluation_rows(run_id, candidate) if row["revision"] == revision]
    return [outcome_of(row, bodies_of.get(row["id"], {})) for row in rows]


def outcome_of(row: Row, artifacts: Mapping[str, bytes]) -> StageOutcome:
    same = {name: row[name] for name in StageOutcome.__dataclass_fields__ if name in row}
    status, instances, curve = Status(row["status"]), tuple(row["instances"]), tuple(map(tuple, row["curve"]))
    return StageOutcome(**{**same, "status": status, "instances": instances, "curve": curve, "artifacts": artifacts})


def stored_drafts(store: Store, run_id: str, candidate: int) -> list[Draft]:
    """Returns the drafts that were made of a candidate's answers, with what their evaluation came to."""
    rows = [row for row in store.draft_rows(run_id, candidate) if row["origin"] == TURN]
    revision, measured = store.revision(run_id), store.evaluation_rows(run_id, candidate, drafts=True)
    ran = {row["draft"]: row for row in measured if row["revision"] == revision}
    answers = {row["id"]: row["completion"] for row in store.call_rows(run_id, candidate)}
    bodies = store.texts(
        run_id, {*answers.values(), *(content for row in rows for content in row["files"].values())} - {None}
    )
    found = []
    for row in rows:
        same = {name: row[name] for name in ("number", "call", "reason", "title", "hypothesis", "duplicate_of")}
        draft = Draft(answer=bodies[answers[row["call"]]], status=_status(row["status"]), **same)
        draft.files = {path: bodies[content] for path, content in row["files"].items()}
        if draft.name in ran:
            draft.outcome = outcome_of(ran[draft.name], {})
        found.append(draft)
    return found


def _status(stored: str | None) -> Status | None:
    return Status(stored) if stored else None


def _add_drafts(flight: InFlight, store: Store, run_id: str, candidate: int) -> None:
    asked = store.call_rows(run_id, candidate)
    rows = [row for row in asked if row["purpose"] == PROPOSE]
    first = next((row["prompt"] for row in rows if row["number"] == 0), None)
    flight.drafts = stored_drafts(store, run_id, candidate)
    known = {draft.call for draft in flight.drafts}
    done = {row["id"]: row["completion"] for row in rows if row["state"] == "done" and row["id"] not in known}
    said = {row["purpose"]: row["completion"] for row in asked if row["purpose"] in CHECKS and row["state"] == "done"}
    bodies = store.texts(run_id, [*done.values(), *said.values(), *([first] if first else [])])
    flight.said = {purpose: bodies[completion] for purpose, completion in said.items()}
    flight.sent = bodies[first] if first else None
    flight.answers = [(call, bodies[completion]) for call, completion in done.items()]
    numbers = (row["number"] for row in store.draft_rows(run_id, candidate) if row["origin"] == TRY)
    flight.tried = max(numbers, default=-1) + 1  # not their count: a kill may have left out an earlier one
    flight.tested = sum(row["draft"] != TUNED for row in store.evaluation_rows(run_id, candidate, drafts=True))
