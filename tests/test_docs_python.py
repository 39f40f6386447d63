"""The code of docs/python.md runs as it stands, cell by cell, as a notebook would run it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from tests.test_capture import cell

PAGE = Path(__file__).parents[1] / "docs" / "python.md"
CELL = re.compile(r"^```python( dspy)?\n(.*?)^```$", re.M | re.S)


def cells(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs the page's cells of one kind in a folder; returns the names that they leave."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    for number, (of, text) in enumerate(CELL.findall(PAGE.read_text())):
        if of == kind:
            cell(text, names, f"<ipython-input-{number}-{kind}>")
    return names


def test_the_page(tmp_path, monkeypatch):
    names = cells("", tmp_path, monkeypatch)
    first = names["problem"].check()
    assert first["status"] == names["found"]["status"] == "ok" and first["advice"] == []
    assert first["score"] < names["found"]["score"]
    assert names["run"].state() == "interrupted"
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == ["evaluator.py", "initial.py", "problem.yaml"]
    assert len(list(tmp_path.glob("runs/*/run.json"))) == 3


@pytest.mark.integration
@pytest.mark.skipif(importlib.util.find_spec("dspy") is None, reason="dspy is not installed (the extra `dspy`)")
def test_the_page_on_dspy(tmp_path, monkeypatch):
    asked = cells(" dspy", tmp_path, monkeypatch)["asked"]
    assert asked.check()["metrics"] == {"score": 0.0}
    assert asked.evaluate({"ask.predict.md": "Name the city."})["metrics"] == {"score": 1.0}
