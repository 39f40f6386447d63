"""docs/tutorial.md, done as it is written: files put where they say, commands typed, outputs compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.command import SCRIPT, environment

pytestmark = pytest.mark.integration

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def test_the_tutorial_as_it_is_written(tmp_path: Path) -> None:
    blocks, printed = BLOCK.findall(PAGE.read_text()), ""
    assert [kind for kind, _ in blocks].count("sh") == 5
    for kind, text in blocks:
        if kind == "sh":
            printed = typed(text, tmp_path)
        elif kind == "text":
            check_printed(text, printed)
        else:
            file = tmp_path / text.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
    checked = json.loads(typed("evolve check spread --json", tmp_path))
    best = json.loads(typed("evolve best runs/spread --json", tmp_path))
    assert checked["advice"] == [] and round(checked["metrics"]["distance"], 3) == 0.196
    assert 0.196 < best["metrics"]["distance"] < 0.4213


def typed(commands: str, cwd: Path) -> str:
    """Returns what commands print; each must succeed."""
    path = f"{Path(SCRIPT).parent}{os.pathsep}{os.environ['PATH']}"
    words = ["bash", "-e", "-o", "pipefail", "-c", commands]
    done = subprocess.run(
        words, cwd=cwd, env=environment(PATH=path), capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check_printed(expected: str, printed: str) -> None:
    """Fails unless the expected lines are among those printed, in their order; three dots stand for anything."""
    lines = iter(printed.splitlines())
    for line in expected.splitlines():
        parts = ".*".join(re.escape(part) for part in line.split("..."))
        assert any(re.fullmatch(parts, found) for found in lines), f"expected: {line}\ngot:\n{printed}"
