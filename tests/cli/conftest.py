"""One small finished run for all tests that read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import ok


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose runs/a is a finished run of 40 candidates."""
    folder = tmp_path_factory.mktemp("workplace")
    ok(
        "run",
        "budget.candidates=40",
        "seed=1",
        "run_dir=runs/a",
        "schedule=ordered",
        "selection.tuning=null",
        cwd=folder,
    )
    return folder


@pytest.fixture
def at_workplace(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(workplace)
    return workplace
