from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[object]:
    """A running PostgreSQL server (tests.postgres.Server)."""
    from tests.postgres import Server, programs

    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server is installed: neither initdb nor /usr/lib/postgresql/*/bin is there")
    server = Server(found)
    yield server
    server.remove()
