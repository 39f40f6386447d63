"""`evolve steer RUN WHAT`: a person's word to a search, which its runner takes up at once, or at the next resume."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from evolve import config
from evolve.cli.plain import plain
from evolve.cli.reading import show_json
from evolve.errors import RunError, UsageError
from evolve.lineage import Run
from evolve.runner.steering import BUDGETS
from evolve.search.operators import OPERATORS

EVERY_S = 0.1
ALONE = {"pause": "pause", "go": "go", "resume": "go"}
FORMS = "pause, go, budget.KEY=VALUE, weight OPERATOR=VALUE, add PATH, hint TEXT, hint --clear, ban LINE or unban LINE"


def steer(arguments: argparse.Namespace) -> int:
    run = Run.open(arguments.run)
    found = _asked(run, message(arguments.words, arguments.island, arguments.clear))
    if found is None:
        found = {
            "waits": f"run {run.run_id} is {run.state()}: done when 'evolve resume {arguments.run}' goes on with it"
        }
    if "error" in found:
        raise RunError(found["error"])
    if arguments.json:
        return show_json(found)
    print(plain(next(iter(found.values()))))  # noqa: T201
    return 0


def message(words: Sequence[str], island: int | None = None, clear: bool = False) -> dict[str, Any]:
    """Returns what the words ask for. Raises UsageError for those that mean nothing."""
    do, rest = (words[0] if words else ""), list(words[1:])
    if island is not None and do != "add":
        raise UsageError("--island: goes with 'add PATH'")
    if clear:
        if list(words) != ["hint"]:
            raise UsageError("--clear: goes with 'hint' alone")
        return {"do": "clear"}
    if do in ALONE and not rest:
        return {"do": ALONE[do]}
    if do.startswith("budget.") and not rest:
        return {"do": "budget", **_setting(do.removeprefix("budget."), "budget.", BUDGETS)}
    if do == "weight" and len(rest) == 1:
        return {"do": "weight", **_setting(rest[0].removeprefix("selection.operators.weights."), "weight ", OPERATORS)}
    if do == "add" and len(rest) == 1:
        return {"do": "add", "files": _files(Path(rest[0])), "title": Path(rest[0]).name, "island": island}
    if do == "hint" and (text := " ".join(rest).strip()):
        return {"do": "hint", "text": text}
    if do in ("ban", "unban") and (line := " ".join(rest).strip()):
        return {"do": do, "line": line}
    raise UsageError(f"steer {' '.join(words)}: not understood; say {FORMS}")


def _setting(word: str, kind: str, known: Sequence[str]) -> dict[str, Any]:
    """Returns name and value of NAME=VALUE."""
    name, equals, value = word.partition("=")
    if not equals or not value:
        raise UsageError(f"{kind}{word}: not of the form {kind}NAME=VALUE")
    if name not in known:
        raise UsageError(f"{kind}{name}: no such name; {config.nearest(name, known, 'names')}")
    try:
        return {"name": name, "value": yaml.safe_load(value)}
    except yaml.YAMLError:
        raise UsageError(f"{kind}{word}: not a number") from None


def _files(path: Path) -> dict[str, str]:
    """Returns a candidate's files: one, or those of a folder by their paths in it."""
    places = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    try:
        texts = [place.read_text(encoding="utf-8") for place in places]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: can't be read as text: {error}") from None
    names = [place.relative_to(path).as_posix() if path.is_dir() else place.name for place in places]
    return dict(zip(names, texts, strict=True))


def _asked(run: Run, body: dict[str, Any]) -> dict[str, Any] | None:
    """Leaves the message and waits for its answer; None where nobody runs the run, and the message stays."""
    message = run.store.put(run.run_id, "steer", body)
    found: dict[str, Any] | None = None
    try:
        while (found := run.store.answered(message)) is None:
            if run.state() not in ("running", "paused"):
                found = run.store.answered(message)  # it may have been the last thing that the runner did
                break
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        run.store.withdraw(message)
        raise
    if found is not None:
        run.store.withdraw(message)
    return found
