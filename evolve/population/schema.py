"""The tables of the population database. Every table but `schema` is keyed by (run id, id); text is stored once per run."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import JSON, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.types import BigInteger, TypeDecorator

VERSION = 5


class _Escaped(TypeDecorator[str]):
    """Text without NUL, which PostgreSQL refuses: a DLE begins what stands for one, or for a DLE."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.replace("\x10", "\x10d").replace("\0", "\x100")

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return value and value.replace("\x100", "\0").replace("\x10d", "\x10")


class _Written(TypeDecorator[Any]):
    """JSON as text: PostgreSQL's own type refuses NUL and numbers that are not finite."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        return json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


Words = Text().with_variant(_Escaped(), "postgresql")
Data = JSON().with_variant(_Written(), "postgresql")

tables = MetaData()

schema = Table("schema", tables, Column("version", Integer, primary_key=True))

# one row per run; `lease_*` say which runner writes, `heartbeat_at` by the database's clock in seconds
runs = Table(
    "runs",
    tables,
    Column("run_id", String, primary_key=True),
    Column("problem", String, nullable=False),
    Column("problem_path", Words, nullable=False),
    Column("problem_hash", String, nullable=False),
    Column("config", Data, nullable=False),
    Column("words", Data, nullable=False),
    Column("versions", Data, nullable=False),
    Column("isolation", String, nullable=False, default=""),
    Column("state", String, nullable=False),
    Column("reason", Words, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("wall_s", Float, nullable=False, default=0.0),
    Column("busy", Data, nullable=False),
    Column("lease_owner", Words, nullable=False, default=""),
    Column("lease_epoch", Integer, nullable=False, default=0),
    Column("heartbeat_at", Float, nullable=False, default=0.0),
)

# the log: whatever changed the search, in the order in which it did
events = Table(
    "events",
    tables,
    Column("run_id", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("candidate", BigInteger),
    Column("data", Data, nullable=False),
    Column("at", Float, nullable=False),
)

# `files` maps a path to the hash of its text; status is null while the candidate is in flight; `stderr` is that of the score
# over the `n` replicates; `sketch` finds similar texts, `behaviour` is the hash of its metrics on each instance, `behaves_as`
# the first candidate with the same; `admitted` counts the proposals as they became candidates; `violation` is that of the
# constraints
candidates = Table(
    "candidates",
    tables,
    Column("run_id", String, primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("origin", String, nullable=False),
    Column("island", Integer, nullable=False),
    Column("operator", String, nullable=False),
    Column("parent", BigInteger),
    Column("inspirations", Data, nullable=False),
    Column("status", String),
    Column("score", Float),
    Column("stderr", Float),
    Column("n", Integer),
    Column("stage", String, nullable=False, default=""),
    Column("metrics", Data, nullable=False),
    Column("features", Data, nullable=False),
    Column("feedback", Words, nullable=False, default=""),
    Column("title", Words, nullable=False, default=""),
    Column("hypothesis", Words, nullable=False, default=""),
    Column("files", Data),
    Column("fingerprint", String),
    Column("duplicate_of", BigInteger),
    Column("sketch", Data),
    Column("behaviour", String),
    Column("behaves_as", BigInteger),
    Column("admitted", BigInteger),
    Column("violation", Float, nullable=False, default=0.0),
)
BEST_FIRST = (candidates.c.violation, candidates.c.score.desc(), candidates.c.id)
Index("candidates_by_rank", candidates.c.run_id, candidates.c.status, *BEST_FIRST)
Index("candidates_by_fingerprint", candidates.c.run_id, candidates.c.fingerprint)
Index("candidates_by_behaviour", candidates.c.run_id, candidates.c.behaviour)
Index("events_by_kind", events.c.run_id, events.c.kind)
Index("events_by_candidate", events.c.run_id, events.c.candidate)

# packed; `base` is the hash of the text that `body` is packed with
texts = Table(
    "texts",
    tables,
    Column("run_id", String, primary_key=True),
    Column("hash", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
    Column("base", String),
)

# one attempt at one LLM call, the `number`th of its candidate for its purpose; `reserved_usd` is the largest price it can have,
# kept when the call is lost. Of calls that an evaluation makes, `stage`, `replicate` and `instance` (-1: before the first) say
# which one, `request` what is asked: a call with the same request is answered from this row
calls = Table(
    "calls",
    tables,
    Column("run_id", String, primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("candidate", BigInteger, nullable=False),
    Column("purpose", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("stage", String, nullable=False, default=""),
    Column("replicate", Integer, nullable=False, default=0),
    Column("instance", Integer, nullable=False, default=-1),
    Column("request", String),
    Column("state", String, nullable=False),
    Column("model", String, nullable=False),
    Column("prompt", String, nullable=False),
    Column("completion", String),
    Column("tokens_in", Integer, nullable=False, default=0),
    Column("tokens_out", Integer, nullable=False, default=0),
    Column("tokens_cached", Integer, nullable=False, default=0),
    Column("cost_usd", Float),
    Column("reserved_usd", Float),
    Column("error", Words, nullable=False, default=""),
    Column("sent_at", Float, nullable=False),
    Column("seconds", Float),
)
Index("calls_by_candidate", calls.c.run_id, calls.c.candidate)
Index("calls_by_request", calls.c.run_id, calls.c.request)

# what an answer was made into before its candidate was settled on: the `number`th answer of the proposal (origin `turn`), or
# one that an agent tried before it answered (`try`); `status` is of what needed no evaluation
drafts = Table(
    "drafts",
    tables,
    Column("run_id", String, primary_key=True),
    Column("candidate", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("origin", String, primary_key=True),
    Column("call", BigInteger, nullable=False),
    Column("status", String),
    Column("reason", Words, nullable=False),
    Column("title", Words, nullable=False),
    Column("hypothesis", Words, nullable=False),
    Column("files", Data, nullable=False),
    Column("duplicate_of", BigInteger),
)

# one stage of one candidate, or its hold-out; `revision` counts rescorings, `replicate` goes on counting where a candidate is
# evaluated again; `draft` is null unless it is of a text that is not the candidate: a draft, or what tuning did not keep
evaluations = Table(
    "evaluations",
    tables,
    Column("run_id", String, primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("candidate", BigInteger, nullable=False),
    Column("stage", String, nullable=False),
    Column("draft", String),
    Column("revision", Integer, nullable=False, default=0),
    Column("replicate", Integer, nullable=False, default=0),
    Column("status", String, nullable=False),
    Column("score", Float),
    Column("metrics", Data, nullable=False),
    Column("features", Data, nullable=False),
    Column("feedback", Words, nullable=False, default=""),
    Column("instances", Data, nullable=False),
    Column("curve", Data, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("turn_s", Float, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("node", String, nullable=False),
    Column("node_class", Data, nullable=False),
    Column("isolation", String, nullable=False),
)
Index("evaluations_by_candidate", evaluations.c.run_id, evaluations.c.candidate)

artifacts = Table(
    "artifacts",
    tables,
    Column("run_id", String, primary_key=True),
    Column("evaluation", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# what evaluations in flight have saved, for their retries; removed when the candidate is told
checkpoints = Table(
    "checkpoints",
    tables,
    Column("run_id", String, primary_key=True),
    Column("candidate", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", String, primary_key=True),
    Column("replicate", Integer, primary_key=True, autoincrement=False),
    Column("instance", Integer, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

# what others than the runner want of it; the runner alone answers. `answer` is null until then
inbox = Table(
    "inbox",
    tables,
    Column("id", Integer, primary_key=True),
    Column("run_id", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Data, nullable=False),
    Column("answer", Data),
    sqlite_autoincrement=True,  # an id that was withdrawn is not given out again
)

# tuning: one evaluation of a candidate with other constants, the `number`th; `vector` are their values. Those before its tell
# are numbered from 0 on, those of its n-th round as an elite from n times ROUND
ROUND = 10**6
trials = Table(
    "trials",
    tables,
    Column("run_id", String, primary_key=True),
    Column("candidate", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, autoincrement=False, default=0),
    Column("stage", String, nullable=False),
    Column("vector", Data, nullable=False),
    Column("status", String, nullable=False),
    Column("score", Float),
)
