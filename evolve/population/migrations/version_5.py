"""From version 4 to 5: texts are packed, candidates say when they were admitted; room for constraints and trials."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic.operations import Operations

from evolve.population.packing import Packer

CHUNK = 500
BEFORE = sa.table("texts_4", sa.column("run_id"), sa.column("hash"), sa.column("body"))
EVENTS = sa.table("events", sa.column("run_id"), sa.column("candidate"), sa.column("kind"), sa.column("data"))


def upgrade(op: Operations) -> None:
    op.add_column("candidates", sa.Column("admitted", sa.BigInteger))
    op.add_column("candidates", sa.Column("violation", sa.Float, nullable=False, server_default="0"))
    op.drop_index("candidates_by_score", "candidates")
    op.create_index("candidates_by_rank", "candidates", ["run_id", "status", "violation", sa.text("score DESC"), "id"])
    op.create_index("candidates_by_fingerprint", "candidates", ["run_id", "fingerprint"])
    op.create_index("candidates_by_behaviour", "candidates", ["run_id", "behaviour"])
    op.create_index("events_by_kind", "events", ["run_id", "kind"])
    op.drop_table("trials")  # nothing wrote into it
    op.create_table(
        "trials",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("candidate", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("vector", sa.JSON, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("score", sa.Float),
    )
    _admit(op.get_bind())
    op.rename_table("texts", "texts_4")
    texts = op.create_table(
        "texts",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("hash", sa.String, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("base", sa.String),
    )
    _pack(op.get_bind(), texts)
    op.drop_table("texts_4")


def _admit(connection: sa.Connection) -> None:
    """Copies the count of admissions out of the events."""
    rows = connection.execute(sa.select(EVENTS).where(EVENTS.c.kind == "proposed")).all()
    admitted = [{"r": row.run_id, "c": row.candidate, "a": json.loads(row.data)["admitted"] or None} for row in rows]
    if admitted:
        update = sa.text("UPDATE candidates SET admitted = :a WHERE run_id = :r AND id = :c")
        connection.execute(update, admitted)


def _pack(connection: sa.Connection, texts: sa.Table) -> None:
    packers: dict[str, Packer] = {}
    for rows in connection.execute(sa.select(BEFORE)).partitions(CHUNK):
        packed = []
        for run_id, mark, text in rows:
            body, base = packers.setdefault(run_id, Packer()).pack("", mark, text)
            packed.append({"run_id": run_id, "hash": mark, "body": body, "base": base})
        connection.execute(sa.insert(texts), packed)
