"""Forks: the history of a run up to the outcome of one candidate, copied into a new run with settings of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.errors import RunError, UsageError
from evolve.population import Store
from evolve.population.store import Row
from evolve.problem import Problem
from evolve.runner.rundir import RunRef, find

FOLLOWS = ("migrated", "reset", "stagnated")  # what is decided together with an outcome
OWN = ("run_dir", "on_existing", "fork", "fork_only", "warm_start", "replay", "database")  # keys that no fork inherits


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A run, and the candidate with whose outcome the copied history ends, at the event of number `seq`."""

    ref: RunRef
    store: Store
    row: Row
    candidate: int
    seq: int

    @property
    def name(self) -> str:
        return f"{self.ref.run_id}#{self.candidate}"

    @property
    def place(self) -> str:
        return f"{self.ref.place}#{self.candidate}"

    def words(self, words: Sequence[str]) -> list[str]:
        """Returns the words of the fork: those of the run that it is of, where its own say nothing else."""
        chosen = {word.split("=")[0] for word in words} | set(OWN)
        kept = [
            word for word in self.row["words"] if not {word.split("=")[0], word.split("=")[0].split(".")[0]} & chosen
        ]
        there = [f"problem={self.row['problem_path']}"] * Path(self.row["problem_path"]).exists()
        if "problem" not in chosen and there:
            kept = [word for word in kept if not word.startswith("problem=")] + there
        return [*kept, *words]

    def config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the configuration with as many islands as the history has. Raises UsageError for fewer."""
        before, now = self.row["config"]["selection"]["islands"], config["selection"]["islands"]
        if now is not None and now < before:
            raise UsageError(f"selection.islands={now}: the history of {self.name} has {before} islands")
        return {**config, "selection": {**config["selection"], "islands": now or before}}

    def check(self, problem: Problem) -> None:
        """Raises RunError where the copied scores would not be of the problem as it is now."""
        instead = "fork_only=true takes the candidate alone"
        if problem.hash != self.row["problem_hash"]:
            raise RunError(
                f"fork={self.name}: problem {problem.name} has changed since; rescore that run first, or {instead}"
            )
        if any(event.seq > self.seq for event in self.store.events_of(self.ref.run_id, ["rescoring"])):
            raise RunError(
                f"fork={self.name}: was told before the run was rescored; fork at a later candidate, or {instead}"
            )


def of(given: str) -> Fork:
    """Finds what `fork=RUN#ID` names; RUN may hold a # of its own. Raises UsageError or RunError."""
    run, _, number = given.rpartition("#")
    if not run or not number.isdecimal():
        raise UsageError(f"fork={given}: not of the form RUN#ID, a run and a candidate's id")
    ref, candidate = find(run), int(number)
    store = ref.open()
    row = store.run(ref.run_id)
    store.candidate(ref.run_id, candidate)
    told = store.events_of(ref.run_id, ["told"], [candidate])
    if not told:
        raise RunError(f"fork={given}: candidate {candidate} has no outcome yet")
    followed, seq = {event.seq for event in store.events_of(ref.run_id, FOLLOWS)}, told[0].seq
    while seq + 1 in followed:
        seq += 1
    return Fork(ref=ref, store=store, row=row, candidate=candidate, seq=seq)
