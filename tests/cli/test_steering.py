"""`evolve steer`: what its words mean, and one line for those that mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from evolve.cli.steering import message
from evolve.errors import UsageError
from tests.cli.test_errors import fails


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ("pause", {"do": "pause"}),
        ("resume", {"do": "go"}),
        ("budget.usd=null", {"do": "budget", "name": "usd", "value": None}),
        ("weight diff=0.5", {"do": "weight", "name": "diff", "value": 0.5}),
        ("hint try x = 1", {"do": "hint", "text": "try x = 1"}),
        ("ban import os", {"do": "ban", "line": "import os"}),
    ],
)
def test_words(words: str, body: dict[str, Any]) -> None:
    assert message(words.split()) == body


def test_a_folder_is_added_whole(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "a.py").write_text("1\n")
    (tmp_path / "lib" / "b.py").write_text("2\n")
    found = message(["add", str(tmp_path)], island=2)
    assert found["files"] == {"a.py": "1\n", "lib/b.py": "2\n"} and found["island"] == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "not understood; say pause, go"),
        ("paus", "not understood"),
        ("hint", "not understood"),
        ("budget.candidats=3", "did you mean 'candidates'"),
        ("budget.candidates", "NAME=VALUE"),
        ("weight dif=1", "did you mean 'diff'"),
        ("weight diff", "NAME=VALUE"),
        ("add nowhere.py", "nowhere.py: can't be read as text"),
    ],
)
def test_words_that_mean_nothing(words: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        message(words.split())


@pytest.mark.parametrize("options", [{"clear": True}, {"island": 1}])
def test_options_that_go_with_others(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="goes with"):
        message(["pause"], **options)


def test_a_run_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such run directory" in fails(["steer", "nowhere", "pause"], 1, capsys)
