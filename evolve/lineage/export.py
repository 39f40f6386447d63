"""Export: a run as canonical JSON lines, one object per event in sequence order, equal for equal runs but for `measured`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from evolve.lineage.run import Run
from evolve.types import APART

MEASURED = ("seconds", "turn_s", "cpu_s", "memory_mb", "node", "node_class", "isolation")


def lines(run: Run, measured: bool = True) -> Iterator[str]:
    """Yields the lines; what differs between equal runs (times, hosts, run id) is under `measured`, which may be left out."""
    times = run.store.event_times(run.run_id) if measured else {}
    rows = {row["id"]: row for row in run.store.rows(run.run_id)}
    stages: dict[tuple[int, int], list[Any]] = {}
    for row in run.store.evaluation_rows(run.run_id, every=True):
        if row["stage"] in APART:
            continue  # depends on where a run was stopped, and changes nothing in it
        stages.setdefault((row["candidate"], row["revision"]), []).append(row)
    bodies = _bodies(run, rows.values())
    told = run.store.events_of(run.run_id, ["told", "reevaluated"])
    last, revision = {event.candidate: event.seq for event in told}, 0
    for event in run.store.events(run.run_id):
        found: dict[str, Any] = {
            "seq": event.seq,
            "kind": event.kind,
            "candidate": event.candidate,
            "data": dict(event.data),
        }
        facts: dict[str, Any] = {"at": times.get(event.seq), "run_id": run.run_id}
        if event.kind in ("proposed", "tuned") and event.data["files"]:
            found["data"]["files"] = {path: bodies[digest] for path, digest in event.data["files"].items()}
        if event.kind == "rescoring":
            revision = event.data["revision"]
        if event.kind in ("told", "reevaluated"):
            ran = stages.get((event.candidate or 0, revision), [])
            stands = event.seq == last[event.candidate]  # of what was rescored since, the stages say what it came to
            found["data"] |= _outcome(rows[event.candidate or 0]) if stands else {}
            found["data"]["stages"] = [_stage(row) for row in ran]
            facts["stages"] = [{name: row[name] for name in MEASURED} for row in ran]
        yield json.dumps(found | ({"measured": facts} if measured else {}), sort_keys=True, ensure_ascii=False)


def _bodies(run: Run, rows: Iterable[Any]) -> dict[str, str]:
    """Returns the texts of all candidates, of tuned ones both, by hash."""
    tuned = [event.candidate or 0 for event in run.store.events_of(run.run_id, ["tuned"])]
    proposed = run.store.events_of(run.run_id, ["proposed"], tuned)
    files = [*(row["files"] or {} for row in rows), *(event.data["files"] for event in proposed)]
    return run.store.texts(run.run_id, {digest for one in files for digest in one.values()})


def _outcome(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("metrics", "features", "feedback", "stderr", "n")}


def _stage(row: Any) -> dict[str, Any]:
    same = ("stage", "replicate", "status", "score", "metrics", "features", "feedback", "instances", "revision")
    return {name: row[name] for name in same}
