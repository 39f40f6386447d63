"""What all tests share: how many processes run them, the bytecode of what they start, a PostgreSQL server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

MOST_WORKERS = 8

# The tests start more than a thousand processes; without bytecode each would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Shares a whole tier among the cores. What is named on the command line runs in this process, as with `-n 0`."""
    cores = len(os.sched_getaffinity(0))
    whole = config.args_source is config.ArgsSource.TESTPATHS
    return min(cores, MOST_WORKERS) if whole and cores > 1 else 0


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
