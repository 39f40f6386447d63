"""The tables of the population database. Every table but `schema` is keyed by (run id, id); text is stored once per run."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.types import BigInteger

VERSION = 5

tables = MetaData()

schema = Table("schema", tables, Column("version", Integer, primary_key=True))

# one row per run; `lease_*` say which runner writes, `heartbeat_at` by the database's clock in seconds
runs = Table(
    "runs",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("problem", String(200), nullable=False),
    Column("problem_path", Text, nullable=False),
    Column("problem_hash", String(40), nullable=False),
    Column("config", JSON, nullable=False),
    Column("words", JSON, nullable=False),
    Column("versions", JSON, nullable=False),
    Column("isolation", String(20), nullable=False, default=""),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("wall_s", Float, nullable=False, default=0.0),
    Column("busy", JSON, nullable=False),
    Column("lease_owner", Text, nullable=False, default=""),
    Column("lease_epoch", Integer, nullable=False, default=0),
    Column("heartbeat_at", Float, nullable=False, default=0.0),
)

# the log: whatever changed the search, in the order in which it did
events = Table(
    "events",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(20), nullable=False),
    Column("candidate", BigInteger),
    Column("data", JSON, nullable=False),
    Column("at", Float, nullable=False),
)

# `files` maps a path to the hash of its text; status is null while the candidate is in flight; `stderr` is that of the score
# over the `n` replicates; `sketch` finds similar texts, `behaviour` is the hash of its metrics on each instance, `behaves_as`
# the first candidate with the same
candidates = Table(
    "candidates",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("origin", String(20), nullable=False),
    Column("island", Integer, nullable=False),
    Column("operator", String(20), nullable=False),
    Column("parent", BigInteger),
    Column("inspirations", JSON, nullable=False),
    Column("status", String(20)),
    Column("score", Float),
    Column("stderr", Float),
    Column("n", Integer),
    Column("stage", String(60), nullable=False, default=""),
    Column("metrics", JSON, nullable=False),
    Column("features", JSON, nullable=False),
    Column("feedback", Text, nullable=False, default=""),
    Column("title", Text, nullable=False, default=""),
    Column("hypothesis", Text, nullable=False, default=""),
    Column("files", JSON),
    Column("fingerprint", String(40)),
    Column("duplicate_of", BigInteger),
    Column("sketch", JSON),
    Column("behaviour", String(40)),
    Column("behaves_as", BigInteger),
)
Index("candidates_by_score", candidates.c.run_id, candidates.c.status, candidates.c.score.desc(), candidates.c.id)
Index("events_by_candidate", events.c.run_id, events.c.candidate)

texts = Table(
    "texts",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("hash", String(40), primary_key=True),
    Column("body", Text, nullable=False),
)

# one attempt at one LLM call, the `number`th of its candidate for its purpose; `reserved_usd` is the largest price it can have,
# kept when the call is lost. Of calls that an evaluation makes, `stage`, `replicate` and `instance` (-1: before the first) say
# which one, `request` what is asked: a call with the same request is answered from this row
calls = Table(
    "calls",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("candidate", BigInteger, nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("number", Integer, nullable=False),
    Column("stage", String(80), nullable=False, default=""),
    Column("replicate", Integer, nullable=False, default=0),
    Column("instance", Integer, nullable=False, default=-1),
    Column("request", String(40)),
    Column("state", String(10), nullable=False),
    Column("model", String(200), nullable=False),
    Column("prompt", String(40), nullable=False),
    Column("completion", String(40)),
    Column("tokens_in", Integer, nullable=False, default=0),
    Column("tokens_out", Integer, nullable=False, default=0),
    Column("tokens_cached", Integer, nullable=False, default=0),
    Column("cost_usd", Float),
    Column("reserved_usd", Float),
    Column("error", Text, nullable=False, default=""),
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
    Column("run_id", String(40), primary_key=True),
    Column("candidate", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("origin", String(10), primary_key=True),
    Column("call", BigInteger, nullable=False),
    Column("status", String(20)),
    Column("reason", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("files", JSON, nullable=False),
    Column("duplicate_of", BigInteger),
)

# one stage of one candidate, or its hold-out; `revision` counts rescorings, `replicate` goes on counting where a candidate is
# evaluated again; `draft` is null unless it is of a text that is not the candidate: a draft, or what tuning did not keep
evaluations = Table(
    "evaluations",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("candidate", BigInteger, nullable=False),
    Column("stage", String(60), nullable=False),
    Column("draft", String(20)),
    Column("revision", Integer, nullable=False, default=0),
    Column("replicate", Integer, nullable=False, default=0),
    Column("status", String(20), nullable=False),
    Column("score", Float),
    Column("metrics", JSON, nullable=False),
    Column("features", JSON, nullable=False),
    Column("feedback", Text, nullable=False, default=""),
    Column("instances", JSON, nullable=False),
    Column("curve", JSON, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("turn_s", Float, nullable=False),
    Column("cpu_s", Float, nullable=False),
    Column("memory_mb", Float, nullable=False),
    Column("node", String(200), nullable=False),
    Column("node_class", JSON, nullable=False),
    Column("isolation", String(20), nullable=False),
)
Index("evaluations_by_candidate", evaluations.c.run_id, evaluations.c.candidate)

artifacts = Table(
    "artifacts",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("evaluation", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String(200), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

# what evaluations in flight have saved, for their retries; removed when the candidate is told
checkpoints = Table(
    "checkpoints",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("candidate", BigInteger, primary_key=True, autoincrement=False),
    Column("stage", String(80), primary_key=True),
    Column("replicate", Integer, primary_key=True, autoincrement=False),
    Column("instance", Integer, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

# what others than the runner want of it; the runner alone answers. `answer` is null until then
inbox = Table(
    "inbox",
    tables,
    Column("id", Integer, primary_key=True),
    Column("run_id", String(40), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("body", JSON, nullable=False),
    Column("answer", JSON),
    sqlite_autoincrement=True,  # an id that was withdrawn is not given out again
)

# tuning: one evaluation of a candidate with other constants, the `number`th; `vector` are their values. Those before its tell
# are numbered from 0 on, those of its n-th round as an elite from n times ROUND
ROUND = 10**6
trials = Table(
    "trials",
    tables,
    Column("run_id", String(40), primary_key=True),
    Column("candidate", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("stage", String(60), nullable=False),
    Column("vector", JSON, nullable=False),
    Column("status", String(20), nullable=False),
    Column("score", Float),
)
