"""What a stored run still has to do: candidates that were asked and not told, and how far each of them got."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evolve.population import Store
from evolve.population.store import Row
from evolve.runner.calls import PROPOSE
from evolve.search import Search
from evolve.search.search import request_of
from evolve.types import Evaluation, Files, ProposalRequest, StageOutcome, Status


@dataclass(slots=True, kw_only=True)
class Proposed:
    """What came of a proposal: files to evaluate, or a status that needs no evaluation."""

    files: Files
    status: Status | None = None
    reason: str = ""
    title: str = ""
    hypothesis: str = ""
    duplicate_of: int | None = None


@dataclass(slots=True, kw_only=True)
class InFlight:
    """A candidate that is not told yet, and how far it got. `sent`, `attempts` and `measured` are of an earlier runner."""

    request: ProposalRequest | None = None  # None: an initial program
    attempts: int = 0  # calls made for it
    sent: str | None = None  # the prompt's text
    answer: str | None = None  # a completion that no edit was made of yet
    proposed: Proposed | None = None
    durable: Future[None] | None = None  # the commit of what was proposed
    measured: Sequence[StageOutcome] = ()
    result: Evaluation | None = None
    confirmed: bool | None = None  # whether its second evaluation has ended; None: there is none


def read_pending(store: Store, run_id: str, search: Search) -> dict[int, InFlight]:
    """Reads how far each open candidate of a stored run got, in the order of asking."""
    pending: dict[int, InFlight] = {}
    for event in store.events_of(run_id, ["asked", "proposed"], search.open()):
        candidate = event.candidate or 0
        if event.kind == "asked":
            request = request_of(candidate, event.data)
            assert isinstance(request, ProposalRequest)  # no other kind is asked by this version
            pending[candidate] = InFlight(request=request)
            _add_calls(pending[candidate], store, run_id, candidate)
        else:
            bodies = store.texts(run_id, event.data["files"].values())
            known = {name: event.data[name] for name in ("title", "hypothesis", "reason", "duplicate_of")}
            status = Status(event.data["status"]) if event.data["status"] else None
            files = {path: bodies[content] for path, content in event.data["files"].items()}
            pending[candidate].proposed = Proposed(files=files, status=status, **known)
            bodies_of: dict[int, dict[str, bytes]] = {}
            for row in store.artifacts(run_id, [candidate]):
                bodies_of.setdefault(row["evaluation"], {})[row["name"]] = row["body"]
            rows = store.evaluation_rows(run_id, candidate)
            pending[candidate].measured = [_outcome(row, bodies_of.get(row["id"], {})) for row in rows]
    return pending


def _add_calls(flight: InFlight, store: Store, run_id: str, candidate: int) -> None:
    rows = [row for row in store.call_rows(run_id, candidate) if row["purpose"] == PROPOSE]
    done = [row["completion"] for row in rows if row["state"] == "done"]
    flight.attempts = len(rows)
    if rows:
        flight.sent = store.texts(run_id, [rows[-1]["prompt"]])[rows[-1]["prompt"]]
    if done:
        flight.answer = store.texts(run_id, [done[-1]])[done[-1]]


def _outcome(row: Row, artifacts: Mapping[str, bytes]) -> StageOutcome:
    same = {name: row[name] for name in StageOutcome.__dataclass_fields__ if name in row}
    status, instances, curve = Status(row["status"]), tuple(row["instances"]), tuple(map(tuple, row["curve"]))
    return StageOutcome(**{**same, "status": status, "instances": instances, "curve": curve, "artifacts": artifacts})
