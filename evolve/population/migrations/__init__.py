"""Upgrades of databases that an older Evolve wrote: one module per version, with Alembic's operations, nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from evolve.errors import RunError, StoreError
from evolve.population.migrations import version_5
from evolve.population.schema import VERSION, runs, schema
from evolve.population.store import Store
from evolve.population.writer import STALE_S, is_dead

STEPS: dict[int, Callable[[Operations], None]] = {4: version_5.upgrade}  # by the version that they begin with


def upgrade(url: str) -> tuple[int, int]:
    """Brings a database to this version's schema, all or nothing; returns the versions before and after."""
    store = Store(url, any_version=True)
    with store.translated(), store.writers.begin() as connection:
        found = connection.execute(sa.select(schema.c.version)).scalar_one()
        if found > VERSION or any(version not in STEPS for version in range(found, VERSION)):
            raise StoreError(f"database {store.shown_url}: {_NO_WAY.format(found=found, wanted=VERSION)}")
        if found < VERSION:
            _check_nobody_writes(store, connection)
        for version in range(found, VERSION):
            STEPS[version](Operations(MigrationContext.configure(connection)))
        connection.execute(sa.update(schema).values(version=VERSION))
    store.close()
    return found, VERSION


_NO_WAY = (
    "its schema is version {found}, from which there is no upgrade to version {wanted}; use the Evolve that wrote it"
)


def _check_nobody_writes(store: Store, connection: sa.Connection) -> None:
    age = (store.clock() - runs.c.heartbeat_at).label("age_s")
    for row in connection.execute(sa.select(runs.c.run_id, runs.c.lease_owner, age)):
        if row.lease_owner and not is_dead(row.lease_owner) and float(row.age_s) < STALE_S:
            raise RunError(f"run {row.run_id} is being run; stop it first, then 'evolve upgrade {store.shown_url}'")
