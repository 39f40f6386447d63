"""Tries: drafts that whoever answers a call has run through the first stage before one is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from evolve.population import Writer
from evolve.population.store import Row
from evolve.problem import Problem
from evolve.proposer import EditError
from evolve.runner.calls import PROPOSE
from evolve.runner.pending import TRY, InFlight
from evolve.runner.proposals import Proposals
from evolve.types import Files, StageOutcome

ANSWERS = ("", ".md", ".txt")  # a file of such a name is an answer as the model would give it, any other is a program


class Tries:
    """Takes the `try` messages of a run's inbox. Belongs to the runner's event loop.

    `test(candidate, files, name, then)` runs the first stage when a slot is free, keeps the outcome under that name and
    hands it to `then`.
    """

    def __init__(
        self,
        *,
        problem: Problem,
        writer: Writer,
        write: Callable[..., Any],
        proposals: Proposals,
        in_flight: Mapping[int, InFlight],
        tries: int,
        test: Callable[[int, Files, str, Callable[[StageOutcome], None]], Any],
    ):
        self._problem, self._writer, self._write, self._proposals = problem, writer, write, proposals
        self._in_flight, self._tries, self._test = in_flight, tries, test

    def take(self, message: Row) -> None:
        body = message["body"]
        row = self._writer.store.call_row(self._writer.run_id, body["call"])
        flight = self._in_flight.get(row["candidate"]) if row is not None else None
        if row is None or flight is None or row["purpose"] != PROPOSE or row["state"] != "sent":
            return self._refuse(message, f"call {body['call']} is not one that waits for an answer")
        if flight.tried >= self._tries:
            return self._refuse(
                message, f"call {body['call']}: its candidate has had its {self._tries} tries (llm.tries)"
            )
        try:
            files = self._files(flight, body["name"], body["text"])
        except EditError as error:
            return self._refuse(message, f"{body['name']}: {error}")
        flight.tried += 1
        number = flight.tried - 1

        def tell(outcome: StageOutcome) -> None:
            found = {name: getattr(outcome, name) for name in ("stage", "feedback")} | {"status": outcome.status.value}
            found |= {"metrics": dict(outcome.metrics), "left": self._tries - number - 1}
            nothing = {name: "" for name in ("reason", "title", "hypothesis")} | {"status": None, "duplicate_of": None}
            draft = self._writer.draft(row["candidate"], number, TRY, files, call=row["id"], **nothing)
            self._write(draft, self._writer.answer(message["id"], found))

        self._test(row["candidate"], files, f"{TRY} {number}", tell)

    def _files(self, flight: InFlight, name: str, text: str) -> Files:
        """Returns the program that a draft stands for: an answer is applied, any other file takes its namesake's place."""
        path = PurePosixPath(name)
        editable = self._problem.edit
        named = [one for one in editable if PurePosixPath(one).name == path.name]
        if path.suffix in ANSWERS and not named:
            return self._proposals.edited(flight, text).files
        if not named and len(editable) > 1:
            raise EditError(f"is none of the files that may change: {', '.join(editable)}")
        return {**self._proposals.base(flight), (named or editable)[0]: text}

    def _refuse(self, message: Row, why: str) -> None:
        self._write(self._writer.answer(message["id"], {"error": why}))
