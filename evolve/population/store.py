"""The population database: append and read, deciding nothing. SQLite by default, any SQLAlchemy URL else."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import sqlalchemy as sa
from sqlalchemy import event, func, select
from sqlalchemy.engine import Connection, Engine, RowMapping, make_url
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from evolve.errors import RunError, StoreError
from evolve.population import schema
from evolve.population.packing import unpacked
from evolve.population.schema import (
    BEST_FIRST,
    artifacts,
    calls,
    candidates,
    checkpoints,
    drafts,
    evaluations,
    events,
    inbox,
    runs,
    texts,
    trials,
)  # fmt: skip
from evolve.types import APART, FINAL, HOLDOUT, Artifact, Candidate, Event, Files, Status

WAIT_S = 20  # for a lock of somebody else's
# of a PostgreSQL server that is gone without a word: how long a new connection waits for it, and one that is open
PATIENCE = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 30_000}
CREATING = 0x45766F  # the advisory lock of whoever makes the tables
NETWORK_FILE_SYSTEMS = (
    "nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "fuse.sshfs", "fuse.gluster",
)  # fmt: skip
Row = RowMapping
CHUNK = 500  # ids per IN (...) list
TUNED, UNTUNED = "tuned", "untuned"  # evaluations of that text of a candidate, where it is not the one that stands
PART = 1000  # rows that are read at a time
EVENT = (events.c.seq, events.c.kind, events.c.candidate, events.c.data)
_other = evaluations.alias()
NEWEST = (  # an evaluation is of its candidate's newest revision
    evaluations.c.revision
    == select(func.max(_other.c.revision))
    .where(
        _other.c.run_id == evaluations.c.run_id,
        _other.c.candidate == evaluations.c.candidate,
        _other.c.draft.is_(None),
        _other.c.stage.not_in(APART),
    )
    .scalar_subquery()
)


class Store:
    """Opens a database, makes its tables when it is new, and refuses one of another version.

    Reading methods may be called from any thread and while a run writes. Writing goes through `population.writer` alone.
    Raises StoreError with the place and the remedy for everything that the database refuses.
    """

    def __init__(self, url: str, create: bool = False, any_version: bool = False):
        self.url = with_driver(url)
        self._bases: dict[str, str] = {}  # hash -> text, of the few texts that others are packed with
        self.readers = self._engine("BEGIN", create)
        self.writers = self._engine("BEGIN IMMEDIATE", create)
        with self.translated():
            self._check_schema(create, any_version)
        self._file = self._identity()

    @property
    def shown_url(self) -> str:
        """The URL without its password and its driver."""
        return (
            make_url(self.url).render_as_string(hide_password=True).replace("postgresql+psycopg://", "postgresql://", 1)
        )

    def close(self) -> None:
        self.readers.dispose()
        self.writers.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turns the database's errors into StoreErrors of one line."""
        try:
            yield
        except (DBAPIError, sqlite3.Error, OSError) as error:
            raise StoreError(f"database {self.shown_url}: {_reason(error)}") from error

    def check_file(self) -> None:
        """Raises StoreError when the SQLite file that was opened is no longer the one at its place."""
        if self._identity() != self._file:
            raise StoreError(
                f"database {self.shown_url}: its file was removed or replaced while a run wrote to it; the run stops"
            )

    def _identity(self) -> tuple[int, int] | None:
        database = make_url(self.url).database
        if self.writers.dialect.name != "sqlite" or not database:
            return None
        try:
            found = os.stat(database)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.translated(), self.readers.connect() as connection:
            yield connection

    # ------------------------------------------------------------ opening

    def _engine(self, begin: str, create: bool) -> Engine:
        try:
            url = make_url(self.url)
            if url.get_backend_name() == "sqlite":
                _check_place(url.database or "", create)
            kept = _read_only(Path(url.database)) if url.get_backend_name() == "sqlite" and url.database else None
            how: dict[str, Any] = {"connect_args": PATIENCE} if url.get_backend_name() == "postgresql" else {}
            if kept:
                how["creator"] = lambda: sqlite3.connect(kept, uri=True, check_same_thread=False)
            engine = sa.create_engine(url, **how)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"database.url={_without_password(self.url)}: needs the module {error.name}; for PostgreSQL install the extra: "
                "pip install 'evolve-engine[postgres]'"
            ) from None
        except (SQLAlchemyError, NoSuchModuleError) as error:
            raise StoreError(f"database.url={_without_password(self.url)}: {error}") from None
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _configure_kept if kept else _configure_sqlite)
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        elif engine.dialect.name == "postgresql":
            event.listen(engine, "connect", _configure_postgres)
        return engine

    def _check_schema(self, create: bool, any_version: bool) -> None:
        with self.readers.connect() as connection:
            known = sa.inspect(connection).has_table(schema.schema.name)
            found = connection.execute(select(schema.schema.c.version)).scalar() if known else None
        if found == schema.VERSION or (found is not None and any_version):
            return
        if found is not None:
            older = f"'evolve upgrade {self.shown_url}' brings it up to date, with all that it holds"
            newer = "use the Evolve version that wrote it, or another database.url"
            raise StoreError(
                f"database {self.shown_url}: its schema is version {found}, this Evolve reads version {schema.VERSION}; "
                + (older if found < schema.VERSION else newer)
            )
        if not create:
            raise StoreError(f"database {self.shown_url}: holds no Evolve tables; start a run there with 'evolve run'")
        with self.writers.begin() as connection:  # one at a time; who comes second finds it done
            if self.writers.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(CREATING)))
            schema.tables.create_all(connection)
            if connection.execute(select(schema.schema.c.version)).scalar() is None:
                connection.execute(sa.insert(schema.schema).values(version=schema.VERSION))

    # ------------------------------------------------------------ reading

    def clock(self) -> sa.ColumnElement[float]:
        """Returns the database's own time in seconds since 1970, as an SQL expression."""
        if self.readers.dialect.name == "sqlite":
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)")
        return sa.literal_column("extract(epoch from clock_timestamp())")

    def run_rows(self) -> list[Row]:
        """Returns the rows of all runs, in the order in which they began."""
        return self._all(select(runs).order_by(runs.c.created_at))

    def run(self, run_id: str) -> Row:
        """Returns the run's row, with `heartbeat_age_s` by the database's clock."""
        age = (self.clock() - runs.c.heartbeat_at).label("heartbeat_age_s")
        with self.reading() as connection:
            row = connection.execute(select(runs, age).where(runs.c.run_id == run_id)).mappings().first()
        if row is None:
            raise RunError(f"database {self.shown_url}: holds no run '{run_id}'; 'evolve runs' lists the runs")
        return row

    def events(self, run_id: str) -> Iterator[Event]:
        """Yields the run's events in sequence order."""
        return self._events(events.c.run_id == run_id)

    def decisions(self, run_id: str) -> Iterator[Event]:
        """Yields the events that change the search: all but what proposals came to."""
        return self._events((events.c.run_id == run_id) & (events.c.kind != "proposed"))

    def _events(self, chosen: sa.ColumnElement[bool]) -> Iterator[Event]:
        """Yields events in sequence order, their data parsed many at a time."""
        data = sa.type_coerce(events.c.data, sa.Text)
        query = select(events.c.seq, events.c.kind, events.c.candidate, data).where(chosen).order_by(events.c.seq)
        for part in self._parts(query):
            parsed = _parsed([row[3] for row in part])
            for (seq, kind, candidate, _), known in zip(part, parsed, strict=True):
                yield Event(seq=seq, kind=kind, candidate=candidate, data=known)

    def events_of(self, run_id: str, kinds: Sequence[str], ids: Sequence[int] | None = None) -> list[Event]:
        """Returns the events of some kinds, those that are about some candidates or all, in sequence order."""
        query = select(*EVENT).where(events.c.run_id == run_id, events.c.kind.in_(kinds))
        rows = self._all(query) if ids is None else self._among(query, events.c.candidate, ids)
        found = [Event(**row) for row in rows]
        return sorted(found, key=lambda event: event.seq)

    def first_text(self, run_id: str) -> Firsts:
        """Returns who had a fingerprint first."""
        return Firsts(lambda mark: self._first(run_id, candidates.c.fingerprint, candidates.c.duplicate_of, mark))

    def first_behaviour(self, run_id: str) -> Firsts:
        """Returns who behaved so first."""
        return Firsts(lambda mark: self._first(run_id, candidates.c.behaviour, candidates.c.behaves_as, mark))

    def _first(self, run_id: str, column: sa.Column[Any], later: sa.Column[Any], mark: str) -> int | None:
        """Returns the candidate that had a value of a column first: of a later one, `later` names that."""
        having = (candidates.c.run_id == run_id) & (column == mark) & later.is_(None)
        found: int | None = self._scalar(select(candidates.c.id).where(having).order_by(candidates.c.id).limit(1))
        return found

    def tuned(self, run_id: str) -> dict[str, int]:
        """Returns fingerprint -> candidate of the texts that tuning made."""
        made = [event for event in self.events_of(run_id, ["tuned"]) if event.data["files"]]
        return {event.data["fingerprint"]: event.candidate or 0 for event in reversed(made)}

    def sketches(self, run_id: str) -> list[tuple[int, list[int]]]:
        """Returns (candidate, sketch) of all that have one, in the order in which they were admitted."""
        sketch = sa.type_coerce(candidates.c.sketch, sa.Text)
        query = select(candidates.c.id, sketch).where(candidates.c.run_id == run_id, sketch.is_not(None))
        found: list[tuple[int, list[int]]] = []
        for part in self._parts(query.order_by(func.coalesce(candidates.c.admitted, 0), candidates.c.id)):
            parsed = _parsed([row[1] for row in part])
            found += [(row[0], known) for row, known in zip(part, parsed, strict=True) if known]
        return found

    def vectors(self, run_id: str, most: int) -> list[tuple[int, str]]:
        """Returns the newest embeddings of candidates that were evaluated, the oldest first."""
        same = (calls.c.run_id == candidates.c.run_id) & (calls.c.candidate == candidates.c.id)
        embedded = (calls.c.purpose == "embed") & (calls.c.state == "done") & (candidates.c.stage != "")
        query = select(calls.c.candidate, calls.c.completion).join(candidates, same)
        rows = self._all(query.where(calls.c.run_id == run_id, embedded).order_by(calls.c.id.desc()).limit(most))
        bodies = self.texts(run_id, [row["completion"] for row in rows])
        return [(row["candidate"], bodies[row["completion"]]) for row in reversed(rows)]

    def event_times(self, run_id: str) -> dict[int, float]:
        with self.reading() as connection:
            return dict(connection.execute(select(events.c.seq, events.c.at).where(events.c.run_id == run_id)).all())

    def proposed(self, run_id: str) -> int:
        """Returns how many proposals were admitted."""
        return int(self._scalar(select(func.max(candidates.c.admitted)).where(candidates.c.run_id == run_id)) or 0)

    def rows(self, run_id: str, ids: Sequence[int] | None = None) -> list[Row]:
        """Returns candidates' rows (files as hashes), all or those of the ids, by id."""
        query = select(candidates).where(candidates.c.run_id == run_id).order_by(candidates.c.id)
        return self._all(query) if ids is None else self._among(query, candidates.c.id, ids)

    def candidates(self, run_id: str, ids: Sequence[int] | None = None) -> dict[int, Candidate]:
        """Returns whole candidates with their files, by id; ids that are unknown are absent."""
        rows = self.rows(run_id, ids)
        bodies = self.texts(run_id, [digest for row in rows for digest in (row["files"] or {}).values()])
        left: dict[int, list[Artifact]] = {}
        last = {row["id"]: row["stage"] for row in rows}
        for row in self.artifacts(run_id, list(last), Artifact.HEAD):
            if (row["stage"], row["replicate"]) == (last[row["candidate"]], 0):
                left.setdefault(row["candidate"], []).append(Artifact.of(row["name"], row["body"], row["size"]))
        measured = self._measured(run_id, last)
        return {row["id"]: _candidate(row, bodies, left.get(row["id"], ()), **measured[row["id"]]) for row in rows}

    def _measured(self, run_id: str, last: Mapping[int, str]) -> dict[int, dict[str, Any]]:
        """Returns what is kept of candidates' evaluations beside their rows: time of each stage, instances of the last."""
        found: dict[int, dict[str, Any]] = {candidate: {"turn_s": {}, "instances": ()} for candidate in last}
        own = (evaluations.c.run_id == run_id) & evaluations.c.draft.is_(None) & (evaluations.c.replicate == 0) & NEWEST
        columns = (evaluations.c.candidate, evaluations.c.stage, evaluations.c.turn_s, evaluations.c.instances)
        for row in self._among(select(*columns).where(own), evaluations.c.candidate, last):
            of = found[row["candidate"]]
            if row["stage"] not in APART:
                of["turn_s"][row["stage"]] = row["turn_s"]
            if row["stage"] == last[row["candidate"]]:
                of["instances"] = tuple(row["instances"])
        return found

    def candidate(self, run_id: str, candidate: int) -> Candidate:
        found = self.candidates(run_id, [candidate])
        if not found:
            raise RunError(f"run {run_id} has no candidate {candidate}; its ids go from 1 to {self.size(run_id)}")
        return found[candidate]

    def size(self, run_id: str) -> int:
        return self._largest(candidates, run_id)

    def texts(self, run_id: str, digests: Iterable[str]) -> dict[str, str]:
        """Returns hash -> text."""
        query = select(texts.c.hash, texts.c.body, texts.c.base).where(texts.c.run_id == run_id)
        rows = self._among(query, texts.c.hash, digests)
        bases = {row["base"] for row in rows if row["base"]} - self._bases.keys()
        if bases:
            self._bases |= self.texts(run_id, bases)
        return {row["hash"]: unpacked(row["body"], self._bases.get(row["base"], "")) for row in rows}

    def best(self, run_id: str) -> int | None:
        """Returns the id of the best `ok` candidate; of equals the first."""
        query = select(candidates.c.id).where(candidates.c.run_id == run_id, candidates.c.status == Status.OK.value)
        ranked = query.where(candidates.c.score.is_not(None)).order_by(*BEST_FIRST)
        return self._scalar(ranked.limit(1))  # type: ignore[no-any-return]

    def elites(self, run_id: str, most: int) -> list[int]:
        """Returns the best `ok` candidates: the best of each island, then the next best of all."""
        place = func.row_number().over(partition_by=candidates.c.island, order_by=BEST_FIRST)
        ok = (candidates.c.status == Status.OK.value) & candidates.c.score.is_not(None)
        rank = (candidates.c.id, candidates.c.score, candidates.c.violation)
        found = select(*rank, place.label("place")).where(candidates.c.run_id == run_id, ok).subquery()
        first = sa.case((found.c.place == 1, 0), else_=1)
        query = select(found.c.id).order_by(first, found.c.violation, found.c.score.desc(), found.c.id)
        return [row["id"] for row in self._all(query.limit(most))]

    def rescorable(self, run_id: str) -> list[Row]:
        """Returns id, origin and score of what may be evaluated again: what was ok, or met a faulty evaluator."""
        query = select(candidates.c.id, candidates.c.origin, candidates.c.score).where(candidates.c.run_id == run_id)
        return self._all(query.where(candidates.c.status.in_((Status.OK.value, Status.EVALUATOR_ERROR.value))))

    def revision(self, run_id: str) -> int:
        """Returns which revision of the scores holds: how often the run was rescored."""
        query = select(func.count()).where(events.c.run_id == run_id, events.c.kind == "rescoring")
        return int(self._scalar(query))

    def measured(self, run_id: str) -> list[Row]:
        """Returns id and metrics of the ok candidates that violate nothing, oldest first."""
        query = select(candidates.c.id, candidates.c.metrics).where(candidates.c.run_id == run_id)
        valid = (candidates.c.status == Status.OK.value) & (candidates.c.violation == 0)
        return self._all(query.where(valid).order_by(candidates.c.id))

    def counts(self, run_id: str) -> dict[str | None, int]:
        """Returns how many asked candidates have each status (None: in flight)."""
        query = select(candidates.c.status, func.count()).where(
            candidates.c.run_id == run_id, candidates.c.origin == "asked"
        )
        with self.reading() as connection:
            return dict(connection.execute(query.group_by(candidates.c.status)).all())

    def call_totals(self, run_id: str, purpose: str | None = None) -> Row:
        """Returns calls, lost, tokens_in, tokens_out, tokens_cached, cost_usd, held_usd, unpriced (done without a price).

        Of all calls, or of those with a purpose.
        """
        done = calls.c.state == "done"
        pending = calls.c.state.in_(("sent", "lost", "failed"))
        query = select(
            func.count().label("calls"),
            func.count().filter(calls.c.state == "lost").label("lost"),
            func.coalesce(func.sum(calls.c.tokens_in), 0).label("tokens_in"),
            func.coalesce(func.sum(calls.c.tokens_out), 0).label("tokens_out"),
            func.coalesce(func.sum(calls.c.tokens_cached), 0).label("tokens_cached"),
            func.coalesce(func.sum(calls.c.cost_usd), 0.0).label("cost_usd"),
            func.count().filter(done & calls.c.cost_usd.is_(None)).label("unpriced"),
            func.coalesce(func.sum(calls.c.reserved_usd).filter(pending), 0.0).label("held_usd"),
        ).where(calls.c.run_id == run_id)
        if purpose is not None:
            query = query.where(calls.c.purpose == purpose)
        with self.reading() as connection:
            return connection.execute(query).mappings().one()

    def answer(self, run_id: str, request: str) -> str | None:
        """Returns the first stored completion of a request, None where there is none yet."""
        asked = (calls.c.run_id == run_id) & (calls.c.request == request) & (calls.c.state == "done")
        found = self._scalar(select(calls.c.completion).where(asked).order_by(calls.c.id).limit(1))
        return self.texts(run_id, [found])[found] if found else None

    def checkpoint(self, run_id: str, **place: Any) -> bytes | None:
        """Returns what an evaluation in flight has saved; `place` is its candidate, stage, replicate and instance."""
        where = [checkpoints.c[name] == value for name, value in place.items()]
        found: bytes | None = self._scalar(select(checkpoints.c.body).where(checkpoints.c.run_id == run_id, *where))
        return found

    def curves(self, run_id: str, stages: Sequence[str]) -> list[tuple[str, list[tuple[float, float]]]]:
        """Returns what runs of those stages reported while they ran: (stage, points), oldest first."""
        query = select(evaluations.c.stage, evaluations.c.curve).where(
            evaluations.c.run_id == run_id,
            evaluations.c.stage.in_(stages),
            evaluations.c.replicate == 0,
            evaluations.c.draft.is_(None),
            NEWEST,
        )
        with self.reading() as connection:
            return list(connection.execute(query.order_by(evaluations.c.id)).all())

    def call_row(self, run_id: str, call: int) -> Row | None:
        return next(iter(self._all(select(calls).where(calls.c.run_id == run_id, calls.c.id == call))), None)

    def outstanding(self, run_id: str) -> dict[tuple[Any, ...], int]:
        """Returns the ids of calls without an answer, by candidate, purpose, number, stage, replicate, instance and prompt."""
        names = ("candidate", "purpose", "number", "stage", "replicate", "instance", "prompt")
        query = select(calls).where(calls.c.run_id == run_id, calls.c.state == "sent").order_by(calls.c.id)
        return {tuple(row[name] for name in names): row["id"] for row in self._all(query)}

    def call_rows(self, run_id: str, candidate: int | None = None) -> list[Row]:
        query = select(calls).where(calls.c.run_id == run_id).order_by(calls.c.id)
        return self._all(query if candidate is None else query.where(calls.c.candidate == candidate))

    def draft_rows(self, run_id: str, candidate: int | None = None) -> list[Row]:
        query = select(drafts).where(drafts.c.run_id == run_id)
        query = query.order_by(drafts.c.candidate, drafts.c.call, drafts.c.origin, drafts.c.number)
        return self._all(query if candidate is None else query.where(drafts.c.candidate == candidate))

    def evaluation_rows(
        self, run_id: str, candidate: int | None = None, drafts: bool = False, every: bool = False
    ) -> list[Row]:
        """Returns the stages that candidates ran through, or those of the drafts that did not become candidates.

        Those of each candidate's newest revision, or `every` one.
        """
        own = evaluations.c.draft.is_not(None) if drafts else evaluations.c.draft.is_(None)
        newest = sa.true() if drafts or every else NEWEST
        query = select(evaluations).where(evaluations.c.run_id == run_id, own, newest)
        query = query.order_by(evaluations.c.candidate, evaluations.c.id)
        return self._all(query if candidate is None else query.where(evaluations.c.candidate == candidate))

    def evaluation_rows_aside(self, run_id: str, candidate: int) -> list[Row]:
        """Returns the stages of the other text of a candidate that was tuned, in the revision that holds."""
        drafted, revision = self.evaluation_rows(run_id, candidate, drafts=True), self.revision(run_id)
        return [row for row in drafted if row["draft"] in (TUNED, UNTUNED) and row["revision"] == revision]

    def trial_rows(self, run_id: str, candidate: int | None = None) -> list[Row]:
        """Returns the trials of tuning, in the revision that holds."""
        query = select(trials).where(trials.c.run_id == run_id, trials.c.revision == self.revision(run_id))
        query = query.order_by(trials.c.candidate, trials.c.number)
        return self._all(query if candidate is None else query.where(trials.c.candidate == candidate))

    def holdout_row(self, run_id: str) -> Row | None:
        """Returns the newest evaluation on the instances kept for the end that came to a result."""
        query = select(evaluations).where(evaluations.c.run_id == run_id, evaluations.c.stage == HOLDOUT)
        query = query.where(evaluations.c.revision == self.revision(run_id))
        known = query.where(evaluations.c.status != Status.INFRA.value).order_by(evaluations.c.id.desc())
        return next(iter(self._all(known.limit(1))), None)

    def final_rows(self, run_id: str) -> list[Row]:
        """Returns the fresh draws of a noisy run's final, where nothing of the search was evaluated after it."""
        query = select(evaluations).where(evaluations.c.run_id == run_id).order_by(evaluations.c.id.desc())
        with self.reading() as connection:
            newest = connection.execution_options(yield_per=100).execute(query).mappings()
            apart = list(takewhile(lambda row: row["stage"] in APART, newest))
        return [row for row in reversed(apart) if row["stage"] == FINAL]

    def measured_on(self, run_id: str, key: str) -> str:
        """Returns the hardware that a run is measured on: the first cpu_model or gpu_model of its ok evaluations, or ""."""
        known = (evaluations.c.run_id == run_id) & (evaluations.c.status == Status.OK.value)
        query = select(evaluations.c.node_class).where(known)
        query = query.order_by(evaluations.c.revision.desc(), evaluations.c.id)
        with self.reading() as connection:
            found = connection.execution_options(yield_per=100).execute(query).scalars()
            return next((str(one[key]) for one in found if one.get(key)), "")

    def artifacts(self, run_id: str, ids: Sequence[int], most: int | None = None) -> list[Row]:
        """Returns candidates' artifacts: candidate, evaluation, stage, replicate, name, size, body (of `most` bytes)."""
        body = artifacts.c.body if most is None else func.substr(artifacts.c.body, 1, most, type_=sa.LargeBinary)
        at = (evaluations.c.run_id == artifacts.c.run_id) & (evaluations.c.id == artifacts.c.evaluation)
        query = select(
            evaluations.c.candidate, evaluations.c.id.label("evaluation"), evaluations.c.stage, evaluations.c.replicate,
            artifacts.c.name, func.length(artifacts.c.body).label("size"), body.label("body"),
        ).join(evaluations, at).where(artifacts.c.run_id == run_id, evaluations.c.draft.is_(None), NEWEST)  # fmt: skip
        query = query.order_by(evaluations.c.id, artifacts.c.name)
        return self._among(query, evaluations.c.candidate, ids)

    def artifact(self, run_id: str, candidate: int, stage: str, names: Sequence[str]) -> bytes | None:
        """Returns the body of a candidate's artifact of a stage that has one of the names, None without."""
        own = (evaluations.c.run_id == artifacts.c.run_id) & (evaluations.c.id == artifacts.c.evaluation)
        query = (
            select(artifacts.c.body)
            .join(evaluations, own)
            .where(artifacts.c.run_id == run_id, artifacts.c.name.in_(names))
        )
        query = query.where(
            evaluations.c.candidate == candidate, evaluations.c.stage == stage, evaluations.c.draft.is_(None), NEWEST
        )
        found: bytes | None = self._scalar(query.order_by(evaluations.c.id.desc()).limit(1))
        return found

    def since_asked(self, run_id: str) -> list[Event]:
        """Returns the newest `asked` or `rescoring` event and what was told since, in sequence order."""
        query = select(*EVENT).where(events.c.run_id == run_id)
        newest = query.where(events.c.kind.in_(["asked", "rescoring"])).order_by(events.c.seq.desc()).limit(1)
        asked = [Event(**row) for row in self._all(newest)]
        told = query.where(events.c.kind.in_(["told", "reevaluated"]), events.c.seq > (asked[0].seq if asked else 0))
        return [*asked, *(Event(**row) for row in self._all(told.order_by(events.c.seq)))]

    def artifact_bytes(self, run_id: str) -> int:
        query = select(func.sum(func.length(artifacts.c.body))).where(artifacts.c.run_id == run_id)
        return int(self._scalar(query) or 0)

    def evaluations(self, run_id: str, but: Sequence[int] = ()) -> int:
        """Returns how many stage runs there are, those of some candidates left out, and all trials."""
        tried = int(self._scalar(select(func.count()).select_from(trials).where(trials.c.run_id == run_id)))
        query = select(func.count().label("count")).select_from(evaluations).where(evaluations.c.run_id == run_id)
        return (
            tried
            + int(self._scalar(query))
            - sum(int(row["count"]) for row in self._among(query, evaluations.c.candidate, but))
        )

    def progress(self, run_id: str) -> tuple[list[Row], dict[str, dict[int, Any]]]:
        """Returns, of one moment, what was told in sequence: candidate, asked, score (the newest, None unless ok), at; and
        what each candidate used: evaluations, trials, usd (None where a price is unknown).
        """
        valid = (candidates.c.status == Status.OK.value) & (candidates.c.violation == 0)
        score = sa.case((valid, candidates.c.score)).label("score")
        asked = (candidates.c.origin == "asked").label("asked")
        same = (candidates.c.run_id == events.c.run_id) & (candidates.c.id == events.c.candidate)
        told = select(events.c.candidate, asked, score, events.c.at).join(candidates, same).order_by(events.c.seq)
        told = told.where(events.c.run_id == run_id, events.c.kind == "told")
        kept = sa.case((calls.c.state.in_(("lost", "failed")), calls.c.reserved_usd))
        unpriced = func.count().filter((calls.c.state == "done") & calls.c.cost_usd.is_(None))
        usd = sa.case((unpriced == 0, func.sum(func.coalesce(calls.c.cost_usd, kept, 0.0))))
        used = {
            "evaluations": select(evaluations.c.candidate, func.count()).where(evaluations.c.stage.not_in(APART)),
            "trials": select(trials.c.candidate, func.count()),
            "usd": select(calls.c.candidate, usd),
        }
        with self.reading() as connection:
            found = list(connection.execute(told).mappings())
            totals = {}
            for name, query in used.items():
                candidate = query.selected_columns[0]
                of_run = query.where(candidate.table.c.run_id == run_id).group_by(candidate)
                totals[name] = dict(connection.execute(of_run).all())
        return found, totals

    # ------------------------------------------------------------ the inbox

    def put(self, run_id: str, kind: str, body: Mapping[str, Any]) -> int:
        """Leaves a message for the run's runner; returns its id. The one thing that others than the runner write."""
        with self.translated(), self.writers.begin() as connection:
            made = connection.execute(sa.insert(inbox).values(run_id=run_id, kind=kind, body=dict(body)))
            return int(made.inserted_primary_key[0])  # type: ignore[index]

    def inbox(self, run_id: str) -> list[Row]:
        """Returns the messages that nobody has answered, oldest first."""
        waiting = (inbox.c.run_id == run_id) & inbox.c.answer.is_(None)
        return self._all(select(inbox).where(waiting).order_by(inbox.c.id))

    def withdraw(self, message: int) -> None:
        with self.translated(), self.writers.begin() as connection:
            connection.execute(sa.delete(inbox).where(inbox.c.id == message))

    def answered(self, message: int) -> Any:
        """Returns the answer to a message, None where there is none yet."""
        return self._scalar(select(inbox.c.answer).where(inbox.c.id == message))

    def last_ids(self, run_id: str) -> tuple[int, int]:
        """Returns the largest call id and evaluation id, 0 where there are none."""
        return self._largest(calls, run_id), self._largest(evaluations, run_id)

    def _largest(self, table: sa.Table, run_id: str) -> int:
        return int(self._scalar(select(func.max(table.c.id)).where(table.c.run_id == run_id)) or 0)

    def _all(self, query: sa.Select[Any]) -> list[Row]:
        with self.reading() as connection:
            return list(connection.execute(query).mappings())

    def _among(self, query: sa.Select[Any], column: sa.ColumnElement[Any], values: Iterable[Any]) -> list[Row]:
        """Returns the rows in which a column has one of some values, in parts of CHUNK of those, sorted."""
        wanted = sorted(set(values))
        parts = (wanted[start : start + CHUNK] for start in range(0, len(wanted), CHUNK))
        with self.reading() as connection:
            return [row for part in parts for row in connection.execute(query.where(column.in_(part))).mappings()]

    def _parts(self, query: sa.Select[Any]) -> Iterator[Sequence[Any]]:
        """Yields the rows of a large result some at a time."""
        with self.reading() as connection:
            yield from connection.execution_options(yield_per=PART).execute(query).partitions()

    def _scalar(self, query: sa.Select[Any]) -> Any:
        with self.reading() as connection:
            return connection.execute(query).scalar()


class Firsts:
    """Who had a mark first: of those that were noted since this was made, else whom `stored` names."""

    def __init__(self, stored: Callable[[str], int | None] = lambda mark: None):
        self._stored = stored
        self._noted: dict[str, int] = {}

    def get(self, mark: str) -> int | None:
        return self._noted.get(mark) or self._stored(mark)

    def note(self, mark: str, candidate: int) -> int:
        """Notes who has a mark, unless somebody had it before; returns who had it first."""
        first = self.get(mark)
        if first is None:
            first = self._noted[mark] = candidate
        return first


def _parsed(texts: Sequence[str]) -> list[Any]:
    """Returns what JSON texts hold; those with numbers that are not finite take longer."""
    text = f"[{','.join(texts)}]"
    try:
        return orjson.loads(text)  # type: ignore[no-any-return]
    except orjson.JSONDecodeError:
        return json.loads(text)  # type: ignore[no-any-return]


def file_url(path: Path) -> str:
    """Returns the URL of an SQLite file, whatever its name."""
    return f"sqlite:///{quote(str(path.resolve()))}"


def absolute(url: str) -> str:
    """Returns an SQLite URL with an absolute path, any other as it is."""
    head, _, path = url.partition("sqlite:///")
    return url if head or not path or path.startswith(("/", ":memory:", "file:")) else f"sqlite:///{Path.cwd()}/{path}"


def with_driver(url: str) -> str:
    """Returns a PostgreSQL URL with the driver that Evolve has an extra for, unless it names one; any other as it is."""
    head, separator, tail = url.partition("://")
    return f"postgresql+psycopg://{tail}" if head in ("postgresql", "postgres") and separator else url


def digest(text: str) -> str:
    """Returns the hash under which a text is stored (32 hex digits)."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _candidate(row: Row, bodies: Mapping[str, str], left: Iterable[Artifact], **measured: Any) -> Candidate:
    same = {name: row[name] for name in Candidate.__dataclass_fields__ if name in row}
    files: Files = {path: bodies[content] for path, content in (row["files"] or {}).items()}
    status, inspirations = Status(row["status"]) if row["status"] else None, tuple(row["inspirations"])
    return Candidate(
        **{**same, **measured, "files": files, "status": status, "inspirations": inspirations, "artifacts": tuple(left)}
    )


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy says when a transaction begins, by the listener above
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={int(WAIT_S * 1000)}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _configure_kept(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None


def _read_only(file: Path) -> str | None:
    """Returns how to open a file that may only be read, None for one that may be written.

    A write-ahead log can't be begun there; where none was left the file is whole, and nobody changes it.
    """
    if not file.exists() or (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
        return None
    log = Path(f"{file}-wal")
    left = log.exists() and log.stat().st_size > 0
    return f"file:{quote(str(file.resolve()))}?mode=ro{'' if left else '&immutable=1'}"


def _configure_postgres(connection: Any, _record: Any) -> None:
    """Keeps what is paid for durable whatever the server's default, and waits for no lock for ever."""
    for setting in ("synchronous_commit=on", f"lock_timeout='{WAIT_S}s'"):
        connection.execute(f"SET {setting}")
    connection.commit()


def _check_place(database: str, create: bool) -> None:
    """Refuses a folder that is missing, and a network file system, where WAL corrupts."""
    path = Path(database).resolve()
    if database in ("", ":memory:") or database.startswith("file:"):
        raise StoreError("database.url: an in-memory database would lose the run; give a file, sqlite:////path/run.db")
    if not path.parent.is_dir():
        raise StoreError(f"database {path}: its folder does not exist; create it or set database.url")
    if not create and not path.exists():
        raise StoreError(f"database {path}: no such file; restore it, or start a run there with 'evolve run'")
    kind = _file_system(path.parent)
    if kind.startswith(NETWORK_FILE_SYSTEMS):
        raise StoreError(
            f"database {path}: lies on a network file system ({kind}), where SQLite loses data; set "
            "database.url=sqlite:////a/local/path/run.db or a postgresql:// URL"
        )


def _file_system(folder: Path) -> str:
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    under = [(len(m[1]), m[2]) for m in mounts if str(folder) == m[1] or str(folder).startswith(m[1].rstrip("/") + "/")]
    return max(under, default=(0, ""))[1]


GONE = "its server can't be reached; start it, or correct database.url ('evolve resume' goes on with a run)"


def _reason(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    remedies = {
        "disk is full": "no space left on the disk; free some and run 'evolve resume'",
        "No space left": "no space left on the disk; free some and run 'evolve resume'",
        "readonly database": "it may not be written here; check the permissions of the file and its folder",
        "unable to open": "it can't be opened; check that the folder exists and may be written",
        "is locked": "another program keeps it locked; end that program or use another database.url",
        "not a database": "it is not an SQLite database",
        "malformed": "it is damaged; restore a copy",
        "password": "its password is not the right one; export EVOLVE_DATABASE_URL=postgresql://USER:PASSWORD@HOST/NAME",
        "does not exist": "no such database or user; make it (createdb NAME), or correct database.url",
        "terminating connection": GONE,
        "connection to server": GONE,
        "server closed the connection": GONE,
        "the connection is closed": GONE,
        "could not receive data": GONE,
        "resolve host": GONE,
        "lock timeout": "another program keeps it locked; end that program",
        "read-only transaction": "it may not be written here; use the primary server, or a user who may write",
        "permission denied": "this user may not write there; grant it, or use another database.url",
        "disk I/O error": "the disk failed to read or write (full, or broken); mend it and run 'evolve resume'",
    }
    return next((f"{remedy} ({text})" for sign, remedy in remedies.items() if sign in text), text)


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"{head.rsplit(':', 1)[0]}:***@{tail}" if at else url
