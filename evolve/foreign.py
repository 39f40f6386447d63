"""Folders of OpenEvolve, SkyDiscover and ShinkaEvolve, translated into folders of ours without a change to them.

A translation lies in the user's cache by its content: the evaluator.py and runner.py of problems/_foreign, which run the
folder's own evaluator in the sandbox on a copy of the folder. docs/foreign.md says what is read of their configuration.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evolve.cache import cache_folder
from evolve.errors import ProblemError, UsageError
from evolve.folder import SUFFIXES, bundled_root, folder_files, folder_hash, read_text, read_yaml
from evolve.source import Module

TIMEOUT_S = 300.0  # of one stage, where their configuration names none; OpenEvolve's own default
MESSAGE = re.compile(r'task_sys_msg\s*=\s*[rf]?"""(.*?)"""', re.DOTALL)  # in ShinkaEvolve's run_evo.py


class Layout(NamedTuple):
    """What a folder in another's format is made of: its evaluator's file and functions, its initial program."""

    kind: str
    evaluator: str
    functions: frozenset[str]
    program: Path


def layout(folder: Path) -> Layout | None:
    """Returns how a folder is laid out that another engine runs, None for one of ours and any other. Raises ProblemError."""
    if (folder / "problem.yaml").exists():
        return None
    if program := _program(folder, "initial_program", "initial_prompt"):
        text = _read(folder / "evaluator.py")
        found = Layout("OpenEvolve folder", "evaluator.py", _functions(text), program)
        if (folder / "evaluator.py").is_file() and not {"evaluate", "score"} & found.functions:
            raise ProblemError(
                f"{folder / 'evaluator.py'}: has no function 'evaluate', which goes with {program.name}, nor 'score' (beside "
                "initial.py); define one, or import it by its name"
            )
        return found if "evaluate" in found.functions and "score" not in _defined(text) else None
    program = None if (folder / "evaluator.py").exists() else _program(folder, "initial")
    functions = _functions(_read(folder / "evaluate.py")) if program else frozenset()
    return Layout("ShinkaEvolve folder", "evaluate.py", functions, program) if program and "main" in functions else None


def _program(folder: Path, *names: str) -> Path | None:
    files = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((file for file in files if file.is_file()), None)


def _functions(text: str) -> frozenset[str]:
    """Returns the names that may be functions: defined, assigned or taken from a module, by a text that need not be sound."""
    module = Module.read(text.removeprefix("\ufeff"))
    if module is None:
        return _defined(text)
    return frozenset().union(*(unit.names for unit in module.units if not isinstance(unit.node, ast.Import)))


def _defined(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"^(?:async[ \t]+)?def (\w+)", text, re.MULTILINE))


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def lent(section: Mapping[str, Any], folder: Path, theirs: Layout | None) -> dict[str, str]:
    """Returns the variables that `foreign.allow` lends, with their values here ("" for none). Raises UsageError."""
    allow = section.get("allow", [])
    for item in allow if isinstance(allow, list) else [allow]:
        if item == "network":
            raise UsageError(
                "foreign.allow=[network]: no candidate has a network in this version; only env:NAME is lent"
            )
        if item is allow or not re.fullmatch(r"env:[A-Za-z_]\w*", str(item)):
            raise UsageError(f"foreign.allow={allow}: is a list of env:NAME, like [env:OPENAI_API_KEY], not {item!r}")
    if allow and theirs is None:
        raise UsageError(f"foreign.allow={allow}: {folder} is a problem of our own format, whose candidates get no key")
    return {name: os.environ.get(name, "") for name in (item.removeprefix("env:") for item in allow)}


def translated(folder: Path, theirs: Layout) -> Path:
    """Returns the folder of ours that a foreign one stands for; made where the cache has none. Raises ProblemError."""
    read_text(theirs.program)  # which is told by the name that its author knows
    settings = read_yaml(folder / "config.yaml")
    stages, calls = _stages(settings, theirs, folder / "config.yaml")
    said = _section(settings, "prompt", folder / "config.yaml").get("system_message")
    message = MESSAGE.search(_read(folder / "run_evo.py"))
    spec = {
        "description": _read(folder / "problem.md") or str(said or (message[1] if message else "")),
        "kind": theirs.kind,
        "entry": ["python", "data/runner.py"],
        "edit": [theirs.program.name],
        "objectives": {"combined_score": "maximize"},
        "deterministic": False,  # nobody knows: said of one that times itself, `true` would make each new best `suspect`
        "stages": stages,
    }
    own = bundled_root() / "_foreign"
    texts = {path.relative_to(own).as_posix(): _read(path) for path in folder_files(own)}
    texts |= {"problem.yaml": yaml.safe_dump(spec, sort_keys=False), "calls.json": json.dumps(calls)}
    key = hashlib.sha256(json.dumps([folder_hash(folder, {}, {}), texts]).encode()).hexdigest()[:16]
    place = cache_folder() / "foreign" / key
    if not place.is_dir():
        try:
            _write(place, texts, folder, theirs.program)
        except OSError as error:
            raise ProblemError(
                f"{folder}: can't be copied to {place}: {error}; XDG_CACHE_HOME names another place"
            ) from None
    return place


def _write(place: Path, texts: Mapping[str, str], folder: Path, program: Path) -> None:
    """Makes a translation; it appears whole or not at all, and every user may read it (candidates are other users)."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with _alone(place.parent):
        if place.is_dir():  # another process was first
            return
        for left in place.parent.glob("part-*"):  # by a process that was killed, since nobody else is here
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=place.parent))
        try:
            copies = {f"data/folder/{path.relative_to(folder)}": path for path in folder_files(folder)}
            for name, path in {**copies, f"initial/{program.name}": program}.items():
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, part / name)
            for name, text in texts.items():
                (part / name).write_text(text, encoding="utf-8")
            for made in (part, *part.rglob("*")):
                made.chmod(0o755 if made.is_dir() or made.stat().st_mode & 0o100 else 0o644)
            part.rename(place)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process or thread is in a block for this folder; a lock ends with its process."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _section(settings: Mapping[str, Any], name: str, where: Path) -> Mapping[str, Any]:
    found = settings.get(name) or {}
    if not isinstance(found, dict):
        raise ProblemError(f"{where}: {name} must be a mapping of keys, not {found!r}")
    return found


def _stages(settings: Mapping[str, Any], theirs: Layout, where: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the stages as problem.yaml has them, and for each what our evaluator.py must know."""
    given = _section(settings, "evaluator", where)
    thresholds = given.get("cascade_thresholds") or []
    timeout_s = given.get("timeout", TIMEOUT_S)
    for key, values in (("timeout", [timeout_s]), ("cascade_thresholds", thresholds)):
        if not isinstance(values, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
            raise ProblemError(f"{where}: evaluator.{key} is made of numbers, not {given[key]!r}")
    functions = {"main": "main" if theirs.evaluator == "evaluate.py" else "evaluate"}
    if "evaluate_stage1" in theirs.functions and given.get("cascade_evaluation", True):
        most = len(thresholds) + 1 if thresholds else 3  # without a threshold nothing leads to a later stage
        names = ["stage1", *(["stage2", "stage3"] if "evaluate_stage2" in theirs.functions else [])][:most]
        functions = {name: f"evaluate_{name}" for name in names if f"evaluate_{name}" in theirs.functions}
    features = _section(settings, "database", where).get("feature_dimensions") or []
    if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
        raise ProblemError(f"{where}: database.feature_dimensions is a list of names, not {features!r}")
    arguments = _section(given, "evaluator_args", where)
    try:
        json.dumps(arguments)
    except TypeError as error:  # YAML has dates
        raise ProblemError(f"{where}: evaluator.evaluator_args={arguments}: {error}; quote it") from None
    stages: dict[str, Any] = {}
    calls: dict[str, Any] = {}
    for name, function in functions.items():
        last = name == list(functions)[-1]
        rule = {} if last or not thresholds else {"pass_if": f">= {thresholds[len(stages)]!r}"}
        stages[name] = {"timeout_s": timeout_s, **rule}
        kwargs = arguments if function == "evaluate" else {}
        call = {"evaluator": theirs.evaluator, "program": theirs.program.name, "function": function, "kwargs": kwargs}
        calls[name] = {"call": call, "last": last, "features": features}
    return stages, calls
