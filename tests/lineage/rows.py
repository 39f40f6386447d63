"""Runs written row by row, so that every amount and every moment is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from evolve.lineage import Run
from evolve.population import Store, create_run
from evolve.population import schema as tables
from evolve.runner.rundir import RunRef

CONFIG = {"problem": "p", "param": {}, "stage": {}, "seed": 1, "run_dir": None, "budget": {"candidates": 9}}


def insert(store: Store, table: sa.Table, run_id: str, *rows: Mapping[str, Any]) -> None:
    with store.writers.begin() as connection:
        for row in rows:
            connection.execute(sa.insert(table).values(run_id=run_id, **row))


def a_run(
    store: Store,
    run_id: str,
    scores: Sequence[float | None],
    *,
    seed: int = 1,
    config: Mapping[str, Any] | None = None,
    usd: float | None = 0.0,
    **columns: Any,
) -> Run:
    """Writes a run: an initial program, then asked candidates, with these scores. Each took one evaluation, `usd` and 1 s."""
    same = {"problem": "p", "problem_path": "/nowhere", "problem_hash": "0f", "words": [], "versions": {}}
    made = {"state": "finished", "wall_s": float(len(scores)), "lease_epoch": 1, **columns}
    create_run(
        store, run_id, **{**same, "config": {**CONFIG, "seed": seed, **(config or {})}, **made, "created_at": 100.0}
    )
    for id_, score in enumerate(scores, 1):
        candidate(store, run_id, id_, score, usd=usd)
    return Run(RunRef(run_id=run_id, database=store.url), store)


def candidate(
    store: Store, run_id: str, id_: int, score: float | None, usd: float | None = 0.0, at: float = 0.0
) -> None:
    status = "crash" if score is None else "ok"
    empty = {"operator": "", "island": 0, "inspirations": [], "metrics": {}, "features": {}}
    origin = "initial" if id_ == 1 else "asked"
    insert(store, tables.candidates, run_id, {"id": id_, "origin": origin, "status": status, "score": score, **empty})
    insert(
        store, tables.events, run_id, {"seq": 10 * id_, "kind": "told", "candidate": id_, "data": {}, "at": 100.0 + id_}
    )
    evaluation(store, run_id, 100 * id_, id_)
    call(store, run_id, id_, id_, cost_usd=usd)


def rescore(store: Store, run_id: str, id_: int, score: float | None) -> None:
    of = (tables.candidates.c.run_id == run_id) & (tables.candidates.c.id == id_)
    with store.writers.begin() as connection:
        connection.execute(sa.update(tables.candidates).where(of).values(score=score))


def evaluation(store: Store, run_id: str, number: int, id_: int, stage: str = "main", draft: str | None = None) -> None:
    measured = {
        "seconds": 1.0,
        "turn_s": 1.0,
        "cpu_s": 1.0,
        "memory_mb": 1.0,
        "node": "",
        "node_class": {},
        "isolation": "",
    }
    empty = {"metrics": {}, "features": {}, "instances": [], "curve": []}
    row = {"id": number, "candidate": id_, "stage": stage, "draft": draft, "status": "ok"}
    insert(store, tables.evaluations, run_id, {**row, **measured, **empty})


def trial(store: Store, run_id: str, number: int, id_: int) -> None:
    insert(
        store,
        tables.trials,
        run_id,
        {"number": number, "candidate": id_, "stage": "main", "vector": [1.0], "status": "ok"},
    )


def call(store: Store, run_id: str, number: int, id_: int, state: str = "done", **columns: Any) -> None:
    row = {
        "id": number,
        "candidate": id_,
        "state": state,
        "purpose": "propose",
        "number": 1,
        "model": "m",
        "prompt": "",
    }
    insert(store, tables.calls, run_id, {**row, "sent_at": 0.0, **columns})
