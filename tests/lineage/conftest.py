"""An empty database for runs that are written row by row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from evolve.population import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(f"sqlite:///{tmp_path}/run.db", create=True)
    yield store
    store.close()
