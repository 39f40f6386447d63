"""What several folders of tests share: a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_programs() -> Path:
    """The folder of an installed PostgreSQL; `.ci/run` sees to it that there is one."""
    from tests.postgres import programs

    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server is installed: neither initdb nor /usr/lib/postgresql/*/bin is there")
    return found


@pytest.fixture(scope="session")
def postgres(postgres_programs: Path) -> Iterator[object]:
    """A running PostgreSQL server (tests.postgres.Server)."""
    from tests.postgres import Server

    server = Server(postgres_programs)
    yield server
    server.remove()
