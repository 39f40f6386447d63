"""docs/isolation.md names a test for each line, all that it names exist, and no hostile candidate is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.hostile.cast import candidates

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "isolation.md").read_text()
COVERED = PAGE[: PAGE.index("## What no level covers")]
ROWS = [line.strip("| ").split(" | ") for line in COVERED.splitlines() if line.startswith("| ")]
THREATS = [row for row in ROWS if row[0] not in ("threat", "---")]
NAMES = {hostile.name for hostile in candidates()}
TESTS = re.findall(r"`(tests/\S+\.py)::(\w+)`", PAGE)


def test_every_hostile_candidate_is_named() -> None:
    assert {name for row in THREATS for name in named(row)} >= NAMES


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0])
def test_every_line_says_each_level_and_what_shows_it(row: list[str]) -> None:
    assert len(row) == 5 and all(row)
    assert named(row) and all(name in NAMES or "::" in name for name in named(row))


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_every_test_that_is_named_exists(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.M)


def named(row: list[str]) -> list[str]:
    return re.findall(r"`([^`]+)`", row[-1])
