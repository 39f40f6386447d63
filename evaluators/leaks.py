"""Finds what is kept from candidates (hold-out instances, hidden/) in what is shown to them, for `evolve check`.

Does not cover what is said in other words, labels of a few letters, and numbers of a few digits.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluators.environment import clean_environment, python
from evaluators.pool import StageJob
from evaluators.scoring import Scorer
from evolve.folder import folder_files
from evolve.problem import Instance, Problem

LEAST = 12  # characters of a text, or of a line in hidden/, that is no chance
DIGITS = 6  # of a number, zeros at its ends aside
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?")
LARGEST = 1 << 20  # bytes of a file that is looked at
PATIENCE_S = 60.0


def leaks(problem: Problem) -> list[str]:
    """Returns a line for each leak. evaluator.py draws the instances in a process of its own, with a worker's environment."""
    with tempfile.TemporaryDirectory(prefix="evolve-leaks-") as home:
        try:
            done = subprocess.run(
                [*python(), "-m", "evaluators.leaks"],
                input=pickle.dumps(problem),
                env=clean_environment(home, trusted=True),
                cwd=home,
                capture_output=True,
                timeout=PATIENCE_S,
            )
        except subprocess.TimeoutExpired:
            return [f"instances() took longer than {PATIENCE_S:g} s, so nothing is known of the hold-out"]
    if done.returncode:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        return [f"the hold-out's instances can't be drawn: {last}"]
    return list(json.loads(done.stdout.splitlines()[-1]))  # evaluator.py may have printed before


def found(problem: Problem) -> list[str]:
    """Draws all instances here, and compares."""
    shown = dict(_shown(problem))
    return [*(_of_holdout(problem, shown) if problem.holdout else ()), *_of_hidden(problem, shown)]


def _of_holdout(problem: Problem, shown: Mapping[str, str]) -> Iterator[str]:
    scorer, last = Scorer(problem), problem.stages[-1].name
    held = scorer.instances(StageJob(problem=problem, stage=last, files={}, holdout=True))
    stages = [scorer.instances(StageJob(problem=problem, stage=stage.name, files={})) for stage in problem.stages]
    seen = {_content(instance) for instances in stages for instance in instances}
    if same := sum(_content(instance) in seen for instance in held):
        yield (
            f"{same} of {len(held)} hold-out instances are also among those of the search, so the hold-out shows nothing new; "
            "in instances(stage, rng) draw from rng, or give others where stage.name == 'holdout'"
        )
    common = {fact for instances in stages for instance in instances for fact in _facts(instance)}
    for place, text in shown.items():
        numbers = set(NUMBER.findall(text))
        for number, instance in enumerate(held):
            known = (fact for fact in _facts(instance) if fact not in common)
            if fact := next((fact for fact in known if fact in numbers or (len(fact) >= LEAST and fact in text)), None):
                name = instance.name or f"no. {number}"
                yield f"{place} shows '{fact[:60]}' of hold-out instance {name}, which may reach no prompt; take it out"
                break


def _of_hidden(problem: Problem, shown: Mapping[str, str]) -> Iterator[str]:
    for path in folder_files(problem.path / "hidden"):
        lines = {line.strip() for line in _text(path).splitlines() if len(line.strip()) >= LEAST}
        for place, text in shown.items():
            if path.suffix != ".py" and (line := next((line for line in sorted(lines) if line in text), "")):
                yield f"{place} shows the line '{line[:60]}' of hidden/{path.name}, which is for the scorer alone; take it out"


def _shown(problem: Problem) -> Iterator[tuple[str, str]]:
    """Yields what candidates or their proposers read: where it stands, and the text."""
    yield "the description", problem.description
    yield "knowledge/", problem.knowledge
    for files in problem.initials:
        yield from ((f"the initial program ({path})", text) for path, text in files.items())
    yield from ((f"data/{path.name}", _text(path)) for path in folder_files(problem.path / "data"))


def _text(path: Path) -> str:
    return path.read_bytes()[:LARGEST].decode("utf-8", "replace")


def _content(instance: Instance) -> bytes:
    return pickle.dumps((_plain(instance.input), _plain(instance.secret)))


def _plain(value: Any) -> Any:
    """Returns data without types that differ where the content does not, other objects as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return [[str(key), _plain(inner)] for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | bytes | int | float | None) else repr(value)


def _facts(instance: Instance) -> Iterator[str]:
    """Yields the texts and numbers of an instance that are too long to be anywhere by chance."""
    waiting = [_plain(instance.input), _plain(instance.secret)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and len(value.strip()) >= LEAST:
            yield value.strip()
        elif isinstance(value, int | float):
            digits = (number := repr(abs(value))).partition("e")[0].replace(".", "").strip("0")
            if len(digits) >= DIGITS and digits.isdigit():
                yield number


if __name__ == "__main__":
    sys.stdout.write(f"\n{json.dumps(found(pickle.loads(sys.stdin.buffer.read())))}\n")
    sys.stdout.flush()
    os._exit(0)  # what evaluator.py would do at the end is no part of the answer
