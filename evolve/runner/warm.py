"""Warm starts: elites of earlier runs of the same problem, which found a new run's islands beside the initial programs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from evolve.errors import UsageError
from evolve.proposer import fingerprint
from evolve.runner.replay import Record
from evolve.runner.rundir import RunRef, find
from evolve.runner.setup import Founder, Setup

WARM = "warm"
PER_ISLAND = 2


def runs(given: str | Sequence[str]) -> list[RunRef]:
    """Finds the runs that `warm_start` names. Raises UsageError or RunError."""
    named = given.split(",") if isinstance(given, str) else list(given)
    return [find(str(name).strip()) for name in named]


def founders(refs: Sequence[RunRef], setup: Setup) -> list[Founder]:
    """Returns the best programs of the runs, from each in turn, two for each island: all distinct, and no initial programs.

    Their scores are of another run, perhaps of another content of the problem: here they are evaluated afresh.
    """
    most = PER_ISLAND * setup.search_settings["islands"]
    seen = {fingerprint(files) for files in setup.problem.initials}
    chosen: list[Founder] = []
    for one in chain.from_iterable(zip_longest(*(_elites(ref, setup.problem.name, most) for ref in refs))):
        if one is not None and fingerprint(one.files) not in seen and len(chosen) < most:
            seen.add(fingerprint(one.files))
            chosen.append(one)
    return chosen


def recorded(record: Record) -> list[Founder]:
    """Returns those of a run that is replayed: the runs that they are of may have gone on."""
    added = record.store.events_of(record.run_id, ["added"])
    ids = [event.candidate or 0 for event in added if event.data["origin"] == WARM]
    found = record.store.candidates(record.run_id, ids)
    return [Founder(files=found[id_].files, origin=WARM, title=found[id_].title) for id_ in ids]


def _elites(ref: RunRef, problem: str, most: int) -> list[Founder]:
    store = ref.open()
    row = store.run(ref.run_id)
    if row["problem"] != problem:
        raise UsageError(f"warm_start={ref.run_id}: is a run of {row['problem']}, this one is of {problem}")
    ids = store.elites(ref.run_id, most)
    if not ids:
        raise UsageError(f"warm_start={ref.run_id}: has no ok candidate")
    found = store.candidates(ref.run_id, ids)
    store.close()
    return [Founder(files=found[id_].files, origin=WARM, title=f"{ref.run_id}#{id_}") for id_ in ids]
