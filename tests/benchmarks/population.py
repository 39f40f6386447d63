"""Measures the population database: `python -m tests.benchmarks.population [--size N] [--json]`.

A stored run of N candidates in SQLite: how long until `status` is known, until `resume` has decided on its first candidate, and
how many candidates a second the writer stores. The run's rows are like those of circle_packing with the offline proposer, the
first 20,000 made one by one and then copied as later ones; its programs are 64 texts of 5 KB that they share. The writer's
programs are 5 KB each and distinct.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import random
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from evolve import config
from evolve.cli.screen import screen_for
from evolve.lineage import Run
from evolve.population import Store, Writer, create_run, digest, schema
from evolve.runner import launch, rundir
from evolve.search import Search
from evolve.types import Completion, Event, StageOutcome, Status
from tests.benchmarks.search_cost import search_cost

RUN = "r"
PROGRAM = "\n".join(f"x{n} = f({n * 7919 % 1000} + 0.25 * y[{n}])" for n in range(160))
BATCH = 2000
MADE = 20_000  # candidates whose rows are made, not copied
SKETCH = "json_array(abs(random()) % 4294967296, abs(random()) % 4294967296)"
MOVED = {
    "id": "id + :by", "candidate": "candidate + :by", "seq": "seq + 3 * :by", "admitted": "admitted + :by", "sketch": SKETCH,
    "fingerprint": "printf('%032x', id + :by)", "behaviour": "iif(behaviour IS NULL, NULL, printf('%032x', id + :by))",
}  # fmt: skip


def program(number: int) -> str:
    """Returns 5 KB of source in which five lines differ from other numbers'."""
    rng, lines = random.Random(number), PROGRAM.splitlines()
    for _ in range(5):
        lines[rng.randrange(len(lines))] = f"z = g({rng.random()})"
    return "\n".join(lines)


SOURCES = [program(number) for number in range(64)]
FILES = [{"initial.py": digest(source)} for source in SOURCES]


def rows(size: int) -> Iterator[dict[str, dict[str, Any]]]:
    """Yields the rows of each candidate by table; every ninth fails, scores grow slowly."""
    rng = random.Random(1)
    best = [1.0]
    for candidate in range(1, size + 1):
        own = {"run_id": RUN, "candidate": candidate}
        parent = max(1, candidate - 1 - int(rng.expovariate(0.01))) if candidate > 1 else None
        ok, score = candidate % 9 != 5, best[0] + rng.gauss(-0.1, 0.1)
        best[0] = max(best[0], score)
        inspirations = sorted({1 + rng.randrange(candidate) for _ in range(2)})
        chosen = {"island": candidate % 2, "operator": "diff", "parent": parent, "inspirations": inspirations}
        metrics = {"sum_radii": score} if ok else {}
        told = {
            "status": "ok" if ok else "invalid",
            "score": score if ok else None,
            "stage_scores": metrics,
            "vector": [],
        }
        request = {"request": "proposal", "tried": inspirations, "thresholds": {}, "prompt": 0, **chosen}
        added = {"origin": "initial", "islands": [0, 1]}
        same = {"title": "change a number", "hypothesis": "offline: change a number"}
        proposed = {
            **same,
            "files": FILES[candidate % 64],
            "status": None,
            "reason": "",
            "duplicate_of": None,
            "draft": 0,
        }
        asked = {"kind": "asked", "data": request} if candidate > 1 else {"kind": "added", "data": added}
        logged = [
            asked,
            {"kind": "proposed", "data": {**proposed, "admitted": candidate - 1}},
            {"kind": "told", "data": told},
        ]
        yield {
            **{f"event {n}": {**own, "seq": 3 * candidate + n, "at": 0.0, **event} for n, event in enumerate(logged)},
            "candidate": {
                "run_id": RUN, "id": candidate, "origin": "asked" if candidate > 1 else "initial", **chosen, **same,
                "status": told["status"], "score": told["score"], "n": 1, "stage": "main", "metrics": metrics, "features": {},
                "feedback": "", "files": FILES[candidate % 64], "fingerprint": f"{candidate:032x}", "admitted": candidate - 1,
                "sketch": [rng.getrandbits(32), rng.getrandbits(32)], "behaviour": f"{candidate:032x}" if ok else None,
            },
            "evaluation": {
                "id": candidate, **own, "stage": "main", "status": told["status"], "score": told["score"], "metrics": metrics,
                "features": {}, "instances": [{"name": "", "status": told["status"], "metrics": metrics, "feedback": ""}],
                "curve": [], "seconds": 0.1, "turn_s": 0.1, "cpu_s": 0.1, "memory_mb": 50.0, "node": "n",
                "node_class": {"cpu_model": "A"}, "isolation": "strict",
            },
            "call": {
                "id": candidate, **own, "purpose": "propose", "number": 0, "state": "done", "model": "offline",
                "prompt": digest(SOURCES[0]), "completion": digest(SOURCES[1]), "tokens_in": 2000, "tokens_out": 200,
                "cost_usd": 0.0, "sent_at": 0.0, "seconds": 0.01,
            },
        }  # fmt: skip


def make_run(folder: Path, size: int) -> str:
    """Writes a finished run of that many candidates, in few large transactions; returns its database's URL."""
    url = f"sqlite:///{folder}/run.db"
    store = Store(url, create=True)
    composed = config.compose(["selection.islands=2", "budget.candidates=1"])
    facts = {"problem": "circle_packing", "problem_path": "/p", "problem_hash": "", "words": [], "versions": {}}
    create_run(store, RUN, config=composed, **facts)
    tables = {
        "event": schema.events,
        "candidate": schema.candidates,
        "evaluation": schema.evaluations,
        "call": schema.calls,
    }
    made = rows(min(size, MADE + 1))
    with store.writers.connect() as connection:
        while batch := list(islice(made, BATCH)):
            for part in batch[0]:
                connection.execute(sa.insert(tables[part.split()[0]]), [one[part] for one in batch])
            connection.commit()
        for by in range(MADE, size, MADE):
            for table in tables.values():
                columns = [column.name for column in table.columns]
                values = ", ".join(MOVED.get(name, name) for name in columns)
                key = "candidate" if "candidate" in columns else "id"
                chosen = f"{key} BETWEEN 2 AND min({MADE + 1}, {size} - :by)"
                names = ", ".join(columns)
                copy = sa.text(f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {table.name} WHERE {chosen}")
                connection.execute(copy, {"by": by})
            connection.commit()
    asyncio.run(_store_texts(store))
    store.close()
    return url


async def _store_texts(store: Store) -> None:
    writer = Writer(store, RUN)
    writer.claim()
    writer.start()
    await writer.write(writer.texts(SOURCES), writer.run_columns(state="finished"))
    writer.close()
    writer.release("finished")


def read_open_s(url: str) -> float:
    """Seconds until `evolve status` knows what it prints."""
    began = time.perf_counter()
    run = Run.open(f"{url}#{RUN}")
    run.status()
    elapsed = time.perf_counter() - began
    run.store.close()
    return elapsed


def resume_first_ask_s(url: str) -> float:
    """Seconds from opening the database to a resumed run's first decision, but for the start of evaluator and provider."""
    setup = config.build(config.compose(["selection.islands=2", "budget.candidates=2000000"]))
    ref = rundir.find(f"{url}#{RUN}")
    began = time.perf_counter()
    store = ref.open()
    writer = Writer(store, RUN)
    writer.claim()
    with launch._uncollected():
        search = Search.load(store.decisions(RUN), **setup.search_settings)
        spent = launch._spent(store, RUN, search.open())
        runner = launch._runner(setup, search, store, writer, spent, screen_for(io.StringIO()), ref)
    runner.search.ask()
    elapsed = time.perf_counter() - began
    writer.release("finished")
    store.close()
    return elapsed


async def _write(store: Store, candidates: int) -> float:
    writer = Writer(store, RUN)
    writer.claim()
    writer.start()
    changes = []
    for candidate in range(1, candidates + 1):
        told = {"status": "ok", "score": 1.0, "vector": []}
        outcome = StageOutcome(stage="main", status=Status.OK, score=1.0, metrics={"sum_radii": 1.0})
        call = {"candidate": candidate, "purpose": "propose", "number": 0, "model": "m", "reserved_usd": None}
        changes.append([
            writer.candidate(candidate, "asked", operator="diff", parent=1),
            writer.files(candidate, {"a.py": program(candidate)}),
            writer.log([Event(seq=candidate, kind="told", candidate=candidate, data=told)]),
            writer.evaluation(candidate, candidate, outcome),
            writer.call_sent(candidate, prompt="p", **call), writer.call_done(candidate, Completion(text="a"), 0.1),
        ])  # fmt: skip
    began = time.perf_counter()
    written = [writer.write(*change) for change in changes]
    await written[-1]
    elapsed = time.perf_counter() - began
    writer.close()
    return candidates / elapsed


def writer_per_s(folder: Path, candidates: int = 10_000) -> float:
    """Candidates a second: rows of candidate, text, event, evaluation and call, each synced to the disk in its transaction."""
    store = Store(f"sqlite:///{folder}/written.db", create=True)
    create_run(store, RUN, problem="p", problem_path="", problem_hash="", config={}, words=[], versions={})
    return asyncio.run(_write(store, candidates))


def measured(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        url = make_run(Path(folder), size)
        found = {"size": size, "made_s": time.perf_counter() - began}
        found["database_mb"] = Path(folder, "run.db").stat().st_size / 1e6
        found["read_open_s"] = read_open_s(url)
        found["resume_first_ask_s"] = resume_first_ask_s(url)
        found["writer_per_s"] = writer_per_s(Path(folder))
    return {**found, **search_cost(size)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size", type=int, default=100_000)
    arguments = parser.parse_args()
    found = measured(arguments.size)
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            parts = value.items() if isinstance(value, dict) else [("", value)]
            print(f"{name:<20}" + "".join(f"  {part} {number:.3f}" for part, number in parts))


if __name__ == "__main__":
    main()
