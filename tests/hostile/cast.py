"""The hostile candidates, and the problem that they are run in."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evolve.loading import load_problem
from evolve.problem import Problem
from evolve.types import Files
from tests.hostile.bait import Marks

HERE = Path(__file__).parent
EARNED = 0.1  # the score of the honest answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A candidate of `candidates/` with what its comments say: the statuses that name the
    cause, a pattern of what is said of it, the score that it may earn."""

    name: str
    text: str
    expect: tuple[str, ...]
    score: float | None
    says: str
    bare: bool

    @property
    def path(self) -> Path:
        return HERE / "candidates" / f"{self.name}.py"

    def files(self, problem: Problem) -> Files:
        return {**problem.initials[0], problem.edit[0]: self.text}


def candidates() -> list[Hostile]:
    """Returns all, in the order of their names (in which caches are written before they are read)."""
    return [_read(path) for path in sorted((HERE / "candidates").glob("*.py"))]


def chosen(level: str, names: Sequence[str]) -> list[Hostile]:
    """Returns the named candidates; without names all, at level bare without those that would harm the machine."""
    return [one for one in candidates() if one.name in names or (not names and (level != "bare" or one.bare))]


def _read(path: Path) -> Hostile:
    text = path.read_text()
    said = dict(re.findall(r"^# (expect|score|says|bare): (.+)$", text, re.MULTILINE))
    return Hostile(
        name=path.stem,
        text=text,
        expect=tuple(said["expect"].split("|")),
        score=float(said["score"]) if "score" in said else None,
        says=said.get("says", ""),
        bare=said.get("bare") != "no",
    )


def make_problem(folder: Path, marks: Marks) -> Problem:
    """Copies the problem with secrets of its own, and tells its candidates their marks and the tests' PID namespace."""
    shutil.copytree(HERE / "problem", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "hidden/labels.txt").write_text(f"first {secret()}\nsecond {secret()}\n")
    arms = folder / "initial/arms.py"
    arms.write_text(armed(arms.read_text(), marks))
    return load_problem(str(folder))


def armed(text: str, marks: Marks) -> str:
    """Returns the text of arms.py with the values of this run written in."""
    for line, value in (('TAG = ""', marks.tag), ('HOST_PID_NAMESPACE = ""', os.readlink("/proc/self/ns/pid"))):
        assert line in text
        text = text.replace(line, line.replace('""', f'"{value}"'))
    return text


def secret() -> str:
    return f"SECRET-{secrets.token_hex(8)}"


def label(problem: Problem) -> str:
    return (problem.path / "hidden/labels.txt").read_text().split()[1]
