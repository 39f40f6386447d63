"""Whether all rows of a run belong together: each is about rows that exist, and those say the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from evolve.population import Store, schema


def orphans(store: Store, run_id: str) -> list[str]:
    """Returns what does not fit of a run in which nothing is in flight."""
    with store.reading() as connection:
        tables = {
            name: [row._mapping for row in connection.execute(sa.select(table).where(table.c.run_id == run_id))]
            for name, table in schema.tables.tables.items()
            if "run_id" in table.c
        }
    return [*_strays(tables), *_texts(tables), *_states(tables)]


def _strays(tables: dict[str, list[Any]]) -> Iterator[str]:
    known = {name: {row["id"] for row in tables[name]} for name in ("candidates", "calls", "evaluations")}
    columns = {
        "candidate": "candidates",
        "parent": "candidates",
        "duplicate_of": "candidates",
        "behaves_as": "candidates",
    }
    columns |= {"call": "calls", "evaluation": "evaluations"}
    for name, rows in tables.items():
        for row in rows:
            for column in row.keys() & columns.keys():
                if row[column] is not None and row[column] not in known[columns[column]]:
                    yield f"{name} {column} {row[column]}: there is no such row"
    for name, ids in known.items():
        if ids != set(range(1, len(ids) + 1)):
            yield f"{name}: ids are missing"


def _texts(tables: dict[str, list[Any]]) -> Iterator[str]:
    named = {row[name] for row in tables["calls"] for name in ("prompt", "completion")} - {None}
    named |= {
        text for name in ("candidates", "drafts") for row in tables[name] for text in (row["files"] or {}).values()
    }
    stored = {row["hash"] for row in tables["texts"]}
    yield from (f"text {text}: nothing names it" for text in stored - named)
    yield from (f"text {text}: is missing" for text in named - stored)
    yield from (
        f"text {row['hash']}: its base is missing" for row in tables["texts"] if {row["base"]} - stored - {None}
    )


def _states(tables: dict[str, list[Any]]) -> Iterator[str]:
    happened = Counter((event["kind"], event["candidate"]) for event in tables["events"])
    yield from (f"{key}: {count} times" for key, count in happened.items() if count > 1 and key[1] is not None)
    for row in tables["candidates"]:
        begun = happened["asked", row["id"]] + happened["added", row["id"]]
        if (begun, happened["proposed", row["id"]], happened["told", row["id"]], row["status"] is not None) != (
            1,
            1,
            1,
            True,
        ):
            yield f"candidate {row['id']}: its events and its status {row['status']} differ"
    yield from (
        f"call {row['id']}: is {row['state']}" for row in tables["calls"] if row["state"] not in ("done", "lost")
    )
    ran = Counter((row["candidate"], row["stage"], row["draft"], row["replicate"]) for row in tables["evaluations"])
    yield from (f"evaluation {key}: {count} times" for key, count in ran.items() if count > 1)
    yield from (f"checkpoint of candidate {row['candidate']}: was kept" for row in tables["checkpoints"])
