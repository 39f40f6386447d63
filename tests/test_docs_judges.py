"""The examples of docs/judges.md run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch

PAGE = Path(__file__).parents[1] / "docs" / "judges.md"
FILE = re.compile(r"^```\w+\n# (\w+)/(\S+)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Returns what `evolve check` finds of an example's folder."""

    def check(folder: str) -> Any:
        (tmp_path / folder).mkdir()
        for where, name, text in FILE.findall(PAGE.read_text()):
            if where == folder:
                (tmp_path / folder / name).write_text(text)
        dispatch(["check", str(tmp_path / folder), "--json"])
        return json.loads(capsys.readouterr().out)

    return check


@pytest.mark.parametrize(
    ("folder", "metrics"),
    [
        ("capitals", {"score": 1.0}),
        ("summary", {"quality": pytest.approx(0.7), "quality_spread": 0.0, "length": 28.0}),
        ("desk", {"pass_rate": 0.5, "checked": 1.0, "solved": 0.0}),
        ("descent", {"loss": pytest.approx(25 * 0.64**30)}),
    ],
)
def test_an_example(check, folder, metrics):
    found = check(folder)
    assert (found["status"], found["metrics"]) == ("ok", metrics), found["feedback"]
