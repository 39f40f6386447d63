"""The writer: the one thread that appends to a run, many waiting changes to one durable transaction, under a lease."""

from __future__ import annotations

import asyncio
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from evolve.errors import EvolveError, LeaseLost, RunError
from evolve.population.packing import Packer
from evolve.population.schema import (
    artifacts,
    calls,
    candidates,
    checkpoints,
    drafts,
    evaluations,
    events,
    inbox,
    runs,
    tables,
    texts,
    trials,
)  # fmt: skip
from evolve.population.store import TUNED, UNTUNED, Store, digest
from evolve.types import Completion, Event, Files, StageOutcome

STALE_S = 30.0  # a lease without a heartbeat for so long is free
BATCH = 256

NO_EVALUATION = {"stage": "", "replicate": 0, "instance": -1, "request": None}  # columns of a call that belongs to none

Change = list[tuple[sa.Executable, dict[str, Any]]]
"""Statements with their rows. Inserts of a transaction are carried out before the rest."""


def owner() -> str:
    """Returns this process's name in a lease: boot, process namespace, host, pid and when the pid was given out."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    space = os.readlink("/proc/self/ns/pid")
    return " ".join((boot, space, socket.gethostname(), str(os.getpid()), _started(os.getpid()) or "0"))


def is_dead(name: str) -> bool:
    """Says whether a lease's owner is known to be gone: it ran here and its process no longer exists."""
    parts = name.split(" ")
    if len(parts) != 5 or parts[:2] != owner().split(" ")[:2]:
        return False
    return _started(int(parts[3])) != parts[4]


def _started(pid: int) -> str | None:
    """Returns the start time of a process in clock ticks since boot, None when it is gone or a zombie."""
    try:
        found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if found[0] in "ZX" else found[19]


class Writer:
    """Appends to one run. `write` takes changes from the event loop and resolves when they are on the disk.

    Holds the run's lease: every transaction renews it and fails with LeaseLost when somebody else took it. After a failed
    transaction nothing more is written; all that waits gets the same error.
    """

    def __init__(self, store: Store, run_id: str):
        self.store = store
        self.run_id = run_id
        self.epoch = 0
        self.revision = 0  # of the scores, which evaluations are stored under
        dialect = import_module(f"sqlalchemy.dialects.{store.writers.dialect.name}")
        self._packer = Packer()
        self._insert_text = dialect.insert(texts).on_conflict_do_nothing()
        saved = dialect.insert(checkpoints)
        self._save = saved.on_conflict_do_update(
            index_elements=checkpoints.primary_key, set_={"body": saved.excluded.body}
        )
        of_draft = [evaluations.c[name] == sa.bindparam(f"b_{name}") for name in ("run_id", "candidate", "draft")]
        self._promote = sa.update(evaluations).where(*of_draft).values(draft=None)
        texts_of = [evaluations.c[name] == sa.bindparam(f"b_{name}") for name in ("run_id", "candidate")]
        either = evaluations.c.draft.is_(None) | (evaluations.c.draft == TUNED)
        turned = sa.case((evaluations.c.draft == TUNED, sa.null()), else_=UNTUNED)
        self._turn = sa.update(evaluations).where(*texts_of, either).values(draft=turned)
        of_one = [checkpoints.c[name] == sa.bindparam(f"b_{name}") for name in ("run_id", "candidate")]
        self._drop = sa.delete(checkpoints).where(*of_one)
        self._queue: queue.SimpleQueue[tuple[Change, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failed: EvolveError | None = None

    # ------------------------------------------------------------ lease

    def claim(self) -> None:
        """Takes the lease. Raises RunError naming the owner while another runner is alive."""
        with self.store.translated(), self.store.writers.begin() as connection:
            age = self.store.clock() - runs.c.heartbeat_at
            query = (
                sa.select(runs.c.lease_owner, runs.c.lease_epoch, age)
                .where(runs.c.run_id == self.run_id)
                .with_for_update()
            )
            holder, epoch, age_s = connection.execute(query).one()
            if holder and not is_dead(holder) and float(age_s) < STALE_S:
                _, _, host, pid, _ = holder.split(" ")
                raise RunError(
                    f"run {self.run_id} is being run by process {pid} on {host} (last heartbeat {float(age_s):.0f} s ago); "
                    f"stop that one first, or wait {STALE_S:.0f} s if it is gone"
                )
            self.epoch = epoch + 1
            taken = {"lease_owner": owner(), "lease_epoch": self.epoch, "heartbeat_at": self.store.clock()}
            connection.execute(
                sa.update(runs).where(runs.c.run_id == self.run_id).values(**taken, state="running", reason="")
            )

    def release(self, state: str) -> None:
        """Gives the lease back, leaving the run in that state; for a runner that could not begin."""
        mine = (runs.c.run_id == self.run_id) & (runs.c.lease_epoch == self.epoch)
        with self.store.translated(), self.store.writers.begin() as connection:
            connection.execute(sa.update(runs).where(mine).values(lease_owner="", state=state))

    def _renew(self, connection: Connection) -> None:
        mine = (runs.c.run_id == self.run_id) & (runs.c.lease_epoch == self.epoch)
        renewed = connection.execute(sa.update(runs).where(mine).values(heartbeat_at=self.store.clock()))
        if renewed.rowcount != 1:
            raise LeaseLost(
                f"run {self.run_id} was taken over by another runner; this one stops and writes nothing more"
            )

    # ------------------------------------------------------------ the thread

    def start(self) -> None:
        self._thread = threading.Thread(target=self._serve, name="writer", daemon=True)
        self._thread.start()

    def write(self, *changes: Change) -> asyncio.Future[None]:
        """Queues changes that belong to one transaction; the future resolves when they are durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((list(chain.from_iterable(changes)), future))
        return future

    def close(self) -> None:
        """Writes what waits and ends the thread; blocks until then."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        ended = False
        while not ended:
            batch = [self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get())
            ended = None in batch
            self._commit([item for item in batch if item is not None])

    def _commit(self, batch: Sequence[tuple[Change, asyncio.Future[None]]]) -> None:
        if not batch:
            return
        if self._failed is None:
            try:
                self.store.check_file()
                with self.store.translated(), self.store.writers.begin() as connection:
                    self._renew(connection)
                    self.carry_out(connection, (change for change, _ in batch))
            except EvolveError as error:
                self._failed = error
            except Exception as error:  # noqa: BLE001 - the thread's edge: told to whoever waits, never swallowed
                self._failed = RunError(f"the writer failed: {type(error).__name__}: {error}")
                self._failed.__cause__ = error
        for _, future in batch:
            future.get_loop().call_soon_threadsafe(_resolve, future, self._failed)

    def carry_out(self, connection: Connection, changes: Iterable[Change]) -> None:
        """Carries changes out in a transaction of the caller's."""
        for statement, rows in _grouped(changes):
            connection.execute(statement, self._packed(rows) if statement is self._insert_text else rows)

    # ------------------------------------------------------------ changes

    def log(self, found: Sequence[Event]) -> Change:
        now = time.time()
        return [
            (_insert(events), self._row(seq=e.seq, kind=e.kind, candidate=e.candidate, data=dict(e.data), at=now))
            for e in found
        ]

    def texts(self, bodies: Iterable[str], kind: str = "") -> Change:
        """Stores texts, packed when they are written: with others of their kind, which are like them."""
        return [(self._insert_text, self._row(hash=digest(body), body=body, kind=kind)) for body in bodies]

    def _packed(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the rows of texts as the table has them, each text once."""
        packed = []
        for row in {row["hash"]: row for row in rows}.values():
            body, base = self._packer.pack(row["kind"], row["hash"], row["body"])
            packed.append(self._row(hash=row["hash"], body=body, base=base))
        return packed

    def candidate(self, candidate: int, origin: str, **columns: Any) -> Change:
        """Adds a candidate in flight."""
        row = {
            "island": 0, "operator": "", "parent": None, "inspirations": [], "metrics": {}, "features": {}, **columns
        }  # fmt: skip
        return [(_insert(candidates), self._row(id=candidate, origin=origin, **row))]

    def candidate_columns(self, candidate: int, **columns: Any) -> Change:
        return self._update(candidates, candidate, columns)

    def files(self, candidate: int, files: Files, **columns: Any) -> Change:
        """Stores a candidate's files and what is known of its proposal."""
        hashes = {path: digest(body) for path, body in files.items()}
        return self.texts(files.values()) + self.candidate_columns(candidate, files=hashes, **columns)

    def call_sent(self, call: int, *, prompt: str, **columns: Any) -> Change:
        row = self._row(
            id=call, state="sent", prompt=digest(prompt), sent_at=time.time(), **{**NO_EVALUATION, **columns}
        )
        return [*self.texts([prompt], columns["purpose"]), (_insert(calls), row)]

    def call_done(self, call: int, completion: Completion, seconds: float) -> Change:
        used = {name: getattr(completion, name) for name in ("tokens_in", "tokens_out", "tokens_cached", "cost_usd")}
        columns = {"state": "done", "completion": digest(completion.text), "seconds": seconds, **used}
        return self.texts([completion.text]) + self._update(calls, call, columns)

    def call_failed(self, call: int, error: str, seconds: float, reserved_usd: float | None = None) -> Change:
        """Marks a call that brought nothing; what it may have cost all the same stays reserved."""
        columns = {"state": "failed", "error": error[:500], "seconds": seconds, "reserved_usd": reserved_usd}
        return self._update(calls, call, columns)

    def draft(self, candidate: int, number: int, origin: str, files: Files, **columns: Any) -> Change:
        """Adds what an answer was made into: a draft, which may become the candidate."""
        hashes = {path: digest(body) for path, body in files.items()}
        row = self._row(candidate=candidate, number=number, origin=origin, files=hashes, **columns)
        return [*self.texts(files.values()), (_insert(drafts), row)]

    def promoted(self, candidate: int, draft: str) -> Change:
        """Makes a draft's evaluation the candidate's own, which then need not run again."""
        return [(self._promote, {"b_run_id": self.run_id, "b_candidate": candidate, "b_draft": draft})]

    def trial(self, candidate: int, number: int, vector: Sequence[float], outcome: StageOutcome) -> Change:
        """Adds one evaluation with other constants."""
        found = {
            "stage": outcome.stage,
            "status": outcome.status.value,
            "score": outcome.score,
            "revision": self.revision,
        }
        return [(_insert(trials), self._row(candidate=candidate, number=number, vector=list(vector), **found))]

    def tuned(self, candidate: int, files: Files) -> Change:
        """Makes the tuned text and its evaluation the candidate's own."""
        return [*self.files(candidate, files), (self._turn, {"b_run_id": self.run_id, "b_candidate": candidate})]

    def answer(self, message: int, found: Any) -> Change:
        """Answers a message of the inbox."""
        return [(_update(inbox, ("answer",), "id"), {"b_id": message, "v_answer": found})]

    def calls_lost(self) -> Change:
        """Marks every call that is still `sent` as lost; its price stays reserved."""
        sent = (calls.c.run_id == sa.bindparam("b_run_id")) & (calls.c.state == "sent")
        return [(sa.update(calls).where(sent).values(state="lost"), {"b_run_id": self.run_id})]

    def evaluation(self, evaluation: int, candidate: int, outcome: StageOutcome, draft: str | None = None) -> Change:
        columns = {field.name: getattr(outcome, field.name) for field in fields(outcome) if field.name != "artifacts"}
        columns |= {name: _json(columns[name]) for name in ("metrics", "features")}
        columns |= {"status": outcome.status.value, "node_class": dict(outcome.node_class)}
        columns |= {"instances": [dict(instance) for instance in outcome.instances]}
        row = self._row(id=evaluation, candidate=candidate, draft=draft, revision=self.revision, **columns)
        kept = [self._row(evaluation=evaluation, name=name, body=body) for name, body in outcome.artifacts.items()]
        return [(_insert(evaluations), row), *((_insert(artifacts), artifact) for artifact in kept)]

    def checkpoint(self, candidate: int, body: bytes, **place: Any) -> Change:
        """Keeps what an evaluation has saved, in place of what it saved before."""
        return [(self._save, self._row(candidate=candidate, body=body, **place))]

    def no_checkpoints(self, candidate: int) -> Change:
        return [(self._drop, {"b_run_id": self.run_id, "b_candidate": candidate})]

    def run_columns(self, **columns: Any) -> Change:
        return [(_update(runs, tuple(columns), "run_id"), {"b_run_id": self.run_id, **_bound(columns)})]

    def _row(self, **columns: Any) -> dict[str, Any]:
        return {"run_id": self.run_id, **columns}

    def _update(self, table: sa.Table, row: int, columns: Mapping[str, Any]) -> Change:
        bound = {"b_run_id": self.run_id, "b_id": row, **_bound(columns)}
        return [(_update(table, tuple(columns), "run_id", "id"), bound)]


@cache
def _insert(table: sa.Table) -> sa.Insert:
    return sa.insert(table)


@cache
def _update(table: sa.Table, columns: tuple[str, ...], *keys: str) -> sa.Update:
    """Returns the statement that sets the columns of the row of those keys; made once, since making one is slow."""
    matching = [table.c[key] == sa.bindparam(f"b_{key}") for key in keys]
    return sa.update(table).where(*matching).values({name: sa.bindparam(f"v_{name}") for name in columns})


def _bound(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {f"v_{name}": value for name, value in columns.items()}


def _grouped(batch: Iterable[Change]) -> list[tuple[sa.Executable, list[dict[str, Any]]]]:
    """Returns the rows of a batch by statement, inserts before all else, each statement's rows in their order."""
    groups: dict[sa.Executable, list[dict[str, Any]]] = {}
    for statement, row in chain.from_iterable(batch):
        groups.setdefault(statement, []).append(row)
    return sorted(groups.items(), key=lambda group: not isinstance(group[0], sa.Insert))


def create_run(
    store: Store, run_id: str, history: Callable[[Writer], Iterable[Change]] = lambda writer: (), **columns: Any
) -> None:
    """Adds the row of a new run, with the history that it begins with."""
    writer = Writer(store, run_id)
    row = {"run_id": run_id, "state": "running", "created_at": time.time(), "busy": {}, **columns}
    with store.translated(), store.writers.begin() as connection:
        connection.execute(sa.insert(runs).values(**row))
        for change in history(writer):
            writer.carry_out(connection, [change])


def delete_run(store: Store, run_id: str) -> None:
    """Removes a run that never began."""
    with store.translated(), store.writers.begin() as connection:
        for table in tables.sorted_tables:
            if "run_id" in table.c:
                connection.execute(sa.delete(table).where(table.c.run_id == run_id))


def _json(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """Returns metrics as JSON can hold them: what is not finite becomes null."""
    return {name: value if abs(value) < float("inf") else None for name, value in numbers.items()}


def _resolve(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
