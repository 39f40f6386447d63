"""History: what a run was at one of its events, as changes that make another run of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from evolve.population.schema import ROUND, artifacts, calls, candidates, drafts, evaluations, events, trials
from evolve.population.store import Row, Store
from evolve.population.writer import Change, Writer
from evolve.types import APART

ASKED = ("run_id", "id", "origin", "island", "operator", "parent", "inspirations", "metrics", "features")
PROPOSED = (*ASKED, "title", "hypothesis", "files", "fingerprint", "duplicate_of", "sketch", "admitted")
SETTINGS = ("pause", "go", "budget", "weight")  # what a person set; another run has settings of its own


def upto(store: Store, run_id: str, seq: int, writer: Writer) -> Iterator[Change]:
    """Yields the changes that give the writer's run the history of another one up to an event.

    Of what was in flight then the new run has the request, and the answers that were paid for; all else is made anew.
    """
    past = [event for event in store.events(run_id) if event.seq <= seq]
    told = {event.candidate for event in past if event.kind == "told"}
    added = {event.candidate for event in past if event.kind == "added"}
    asked = {event.candidate for event in past if event.kind == "asked"}
    left_out = {event.seq for event in past if event.kind == "steered" and event.data["do"] in SETTINGS}
    left_out |= {event.seq for event in past if event.kind == "proposed" and event.candidate not in told | added}

    def answered(row: Row) -> bool:
        done = row["state"] == "done" and row["purpose"] == "propose"
        return row["stage"] not in APART and (row["candidate"] in told or (row["candidate"] in asked and done))

    of_told = [
        row for row in _rows(store, evaluations, run_id) if row["candidate"] in told and row["stage"] not in APART
    ]
    ran, tables = {row["id"] for row in of_told}, (drafts, trials)
    kept = {table: [row for row in _rows(store, table, run_id) if row["candidate"] in told] for table in tables}
    rounds = Counter(c for event in past if event.kind == "stagnated" for c in event.data.get("elites", ()))
    kept[trials] = [
        row for row in kept[trials] if row["number"] // ROUND in (0, *range(2, 2 + rounds[row["candidate"]]))
    ]
    known = [row for row in _rows(store, candidates, run_id) if row["id"] in told | added | asked]
    made = [row for row in _rows(store, calls, run_id) if answered(row)]
    yield _copied(
        events, (e for e in _rows(store, events, run_id) if e["seq"] <= seq and e["seq"] not in left_out), writer
    )
    yield _copied(candidates, (row for row in known if row["id"] in told), writer)
    for ids, names in ((added - told, PROPOSED), (asked - told, ASKED)):
        yield _copied(candidates, ({name: row[name] for name in names} for row in known if row["id"] in ids), writer)
    yield _copied(calls, made, writer)
    yield _copied(evaluations, of_told, writer)
    yield _copied(artifacts, (row for row in _rows(store, artifacts, run_id) if row["evaluation"] in ran), writer)
    for table, rows in kept.items():
        yield _copied(table, rows, writer)
    digests = {digest for row in [*known, *kept[drafts]] for digest in (row["files"] or {}).values()}
    digests |= {row[name] for row in made for name in ("prompt", "completion") if row[name]}
    yield writer.texts(store.texts(run_id, digests).values())


def _rows(store: Store, table: sa.Table, run_id: str) -> Iterator[Row]:
    with store.reading() as connection:
        query = sa.select(table).where(table.c.run_id == run_id)
        yield from connection.execution_options(yield_per=1000).execute(query).mappings()


def _copied(table: sa.Table, rows: Iterable[Any], writer: Writer) -> Change:
    """Returns the rows as rows of the writer's run; what is null is left out, as it was when they were written."""
    inserts: dict[tuple[str, ...], sa.Insert] = {}
    change: Change = []
    for row in rows:
        values = {name: value for name, value in dict(row).items() if value is not None} | {"run_id": writer.run_id}
        change.append((inserts.setdefault(tuple(values), sa.insert(table)), values))
    return change
