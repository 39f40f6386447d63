"""Loads a problem: reads its folder, checks every key of problem.yaml, fills in parameters."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.checks import hint, is_count, is_number, one_of, require
from evolve.errors import ProblemError, UsageError
from evolve.finding import find_problem
from evolve.folder import SUFFIXES, folder_files, folder_hash, is_aside, read_text, read_yaml
from evolve.foreign import layout, lent, translated
from evolve.problem import COMPARABLE, LEVELS, SEPARATE, SHARED, STAGE_KEYS, TEXT, Build, Problem, Stage, Tune
from evolve.types import APART, Files

KINDS: Mapping[str, tuple[Any, str]] = {
    "description": (str, "text"),
    "entry": (str | list, "a function's name, 'text', or a command [PROGRAM, ARGUMENT, ...]"),
    "edit": (list | str, "a list of files"),
    "preload": (list | str, "a list of modules"),
    "params": (dict, "a mapping of names to defaults"),
    "objectives": (dict, "a mapping like {score: maximize}"),
    "constraints": (dict, "a mapping like {rejected: {at_most: 0}}"),
    "known": (dict, "a mapping like {score: {best: 1.0, source: TEXT}}"),
    "stages": (dict, "a mapping of stages to their keys"),
    "python": (str, "the path of a Python interpreter"),
    "mounts": (dict, "a mapping of folders to 'ro'"),
    "build": (dict, "{run: [PROGRAM, ARGUMENT, ...], timeout_s: 60}"),
    "requires": (list | str, "a list of programs, or gpu"),
    "deterministic": (bool, "true or false"),
    "comparable_on": (str, "text"),
    "isolation": (str, "text"),
    "holdout": (dict, "{instances: 50}"),
    "tune": (dict, "{evaluations: 30, stage: NAME}"),
    "kind": (str, "a word or two, like construction"),
    "incumbent": (bool, "true or false"),
}


def load_problem(
    name: str,
    params: Mapping[str, Any] | None = None,
    stages: Mapping[str, Mapping[str, Any]] | None = None,
    foreign: Mapping[str, Any] | None = None,
) -> Problem:
    """Reads a problem by name or path, with `param.*` and `stage.*` overrides applied; `foreign` is that section of the
    configuration.

    Raises ProblemError for anything wrong in the folder, naming file, key, value and remedy.
    """
    origin = find_problem(name)
    theirs = layout(origin)
    env = lent(foreign or {}, origin, theirs)
    folder = translated(origin, theirs) if theirs else origin
    spec = read_yaml(folder / "problem.yaml")
    where = folder / "problem.yaml"
    _known_keys(spec, tuple(KINDS), where, "")
    for key, value in spec.items():
        require(
            value is None or (isinstance(value, KINDS[key][0]) and (key, value) != ("entry", [])),
            f"{where}: {key} must be {KINDS[key][1]}, not {value!r}",
        )
        odd = [name for name in value if not isinstance(name, str)] if isinstance(value, dict) else []
        require(not odd, f"{where}: {key}: the name {odd and odd[0]!r} is no text; quote it")
    merged = _params(spec.get("params") or {}, params or {}, where)
    initials = _initials(folder)
    edit = _edit(spec, initials, where)
    command = tuple(map(str, spec["entry"])) if isinstance(spec.get("entry"), list) else ()
    entry_file, entry = ("", "") if command else _entry(spec, initials, edit, where)
    build = _build(spec.get("build"), where)
    made = _with_build(_stages(spec, stages or {}, where), build)
    incumbent = bool(spec.get("incumbent"))
    if incumbent:
        _check_lending(spec, made, entry, where)
    gpu = ["gpu"] if any(stage.profile == "gpu" for stage in made) else []
    for key, allowed in (("comparable_on", COMPARABLE), ("isolation", LEVELS)):
        chosen = spec.get(key) or allowed[0]
        require(chosen in allowed, f"{where}: {key} {one_of(allowed)}, not {chosen!r}")
    return Problem(
        name=origin.name,
        path=folder,
        description=_description(folder, spec, merged),
        entry=entry,
        entry_file=entry_file,
        edit=edit,
        initials=initials,
        objectives=_objectives(spec, where),
        stages=made,
        kind=spec.get("kind") or "",
        known=_known_for(spec, merged, where),
        params=merged,
        preload=tuple(_list(spec.get("preload"))),
        knowledge="\n\n".join(read_text(p) for p in sorted((folder / "knowledge").glob("*.md"))),
        hash=folder_hash(origin, {**merged, **dict.fromkeys(f"env:{name}" for name in env)}, stages or {}),
        command=command,
        python=_beside(folder, spec.get("python")),
        mounts=_mounts(folder, spec.get("mounts") or {}, where),
        build=build,
        requires=tuple(dict.fromkeys([*_list(spec.get("requires")), *gpu])),
        deterministic=spec.get("deterministic") is not False,
        comparable_on=spec.get("comparable_on") or COMPARABLE[0],
        isolation=spec.get("isolation") or "",
        holdout=_holdout(spec.get("holdout"), where),
        constraints=_constraints(spec.get("constraints") or {}, where),
        tune=_tune(spec.get("tune") or {}, made, incumbent, where),
        incumbent=incumbent,
        trust=SHARED if theirs else SEPARATE,
        theirs=origin if theirs else None,
        env=env,
    )


def _beside(folder: Path, path: str | None) -> str:
    """Returns a path of problem.yaml as seen from its folder; links stay (an environment's interpreter is one)."""
    return "" if path is None else os.path.abspath(folder / Path(path).expanduser())


def _mounts(folder: Path, given: Mapping[str, Any], where: Path) -> tuple[str, ...]:
    for path, mode in given.items():
        require(mode == "ro", f"{where}: mounts.{path} must be ro, not {mode!r}")
        require(os.path.exists(_beside(folder, path)), f"{where}: mounts.{path}: no such file or folder")
    return tuple(_beside(folder, path) for path in given)


def _build(given: Mapping[str, Any] | None, where: Path) -> Build | None:
    if given is None:
        return None
    _known_keys(given, ("run", "timeout_s"), where, "build.")
    run, timeout_s = given.get("run"), given.get("timeout_s", 60.0)
    words = isinstance(run, list) and bool(run) and all(isinstance(word, str | int | float) for word in run)
    require(words, f"{where}: build.run must be a command [PROGRAM, ARGUMENT, ...], not {run!r}")
    require(is_number(timeout_s, above=0), f"{where}: build.timeout_s must be positive, not {timeout_s!r}")
    return Build(run=tuple(map(str, run or ())), timeout_s=float(timeout_s))


def _with_build(stages: tuple[Stage, ...], build: Build | None) -> tuple[Stage, ...]:
    """Returns the stages with the time that a build may take, which comes on top of their `wall_s`."""
    return stages if build is None else tuple(replace(s, wall_s=s.wall_s + build.timeout_s) for s in stages)


def _holdout(given: Mapping[str, Any] | None, where: Path) -> int:
    if given is None:
        return 0
    _known_keys(given, ("instances",), where, "holdout.")
    count: Any = given.get("instances")
    require(is_count(count), f"{where}: holdout.instances must be a whole number, not {count!r}")
    return int(count)


def _check_lending(spec: Mapping[str, Any], stages: Sequence[Stage], entry: str, where: Path) -> None:
    """Requires of a problem with `incumbent: true` that a lent output says who is best, and that the last stage alone ranks."""
    can_lend = len(stages) > 1 and entry not in ("", TEXT)
    rule = f"{where}: incumbent: true"
    require(can_lend, f"{rule} needs a function as entry and two stages or more: the last one scores without it")
    bounded = [
        name for name, known in (spec.get("known") or {}).items() if isinstance(known, dict) and "bound" in known
    ]
    judged = "constraints" if spec.get("constraints") else f"known.{bounded[0]}.bound" if bounded else ""
    require(
        not judged, f"{rule} does not go with {judged}, which only the last stage is held to; let score() raise Invalid"
    )
    for stage in stages[:-1]:
        plain = stage.draw == "fixed" and stage.replicates == 1 and not (stage.partial or stage.pass_if or stage.report)
        said = "needs draw: fixed, one replicate and no partial, pass_if or report before the last stage"
        require(plain, f"{rule} {said}; not so in stages.{stage.name}")


def _tune(given: Mapping[str, Any], stages: Sequence[Stage], incumbent: bool, where: Path) -> Tune:
    _known_keys(given, ("evaluations", "stage"), where, "tune.")
    names = [stage.name for stage in stages]
    count, stage = given.get("evaluations"), given.get("stage", names[-1 if incumbent else 0])
    fits = count is None or (type(count) is int and count >= 0)
    require(fits, f"{where}: tune.evaluations must be a whole number, 0 or more, not {count!r}")
    require(stage in names, f"{where}: tune.stage: no stage '{stage}'; {hint(stage, names, what='stages')}")
    alike = not incumbent or stage == names[-1]
    require(alike, f"{where}: tune.stage: with incumbent: true constants are tuned in the last stage, '{names[-1]}'")
    return Tune(stage=stage, evaluations=count)


def _known_keys(given: Mapping[str, Any], allowed: tuple[str, ...], where: Path, prefix: str) -> None:
    for key in given:
        if key in allowed:
            continue
        raise ProblemError(f"{where}: unknown key '{prefix}{key}'; {hint(key, allowed, prefix)}")


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(item) for item in value]


def _params(declared: Mapping[str, Any], given: Mapping[str, Any], where: Path) -> dict[str, Any]:
    for key, value in given.items():
        if key not in declared:
            near = hint(key, declared, "param.", "declared")
            raise UsageError(f"param.{key}={value}: {where} declares no such parameter; {near}")
        kind = type(declared[key])
        fits = type(value) is kind or (kind is float and type(value) is int) or declared[key] is None
        if not fits:
            raise UsageError(f"param.{key}={value}: must be {kind.__name__} like the default {declared[key]!r}")
    return {**declared, **given}


def _initials(folder: Path) -> tuple[Files, ...]:
    single = [folder / f"initial{suffix}" for suffix in SUFFIXES if (folder / f"initial{suffix}").is_file()]
    if single:
        return ({single[0].name: read_text(single[0])},)
    if (folder / "initial").is_dir():
        return (_tree(folder / "initial"),)
    several = folder / "initials"
    if several.is_dir():
        entries = sorted(p for p in several.iterdir() if not is_aside(p))
        # every formulation answers to the same path, so that an edit means the same file in each
        return tuple(_tree(p) if p.is_dir() else {f"initial{p.suffix}": read_text(p)} for p in entries)
    return ()


def _tree(folder: Path) -> Files:
    require(bool(folder_files(folder)), f"{folder}: holds no file; put the initial program there or remove the folder")
    return {p.relative_to(folder).as_posix(): read_text(p) for p in folder_files(folder)}


def _edit(spec: Mapping[str, Any], initials: tuple[Files, ...], where: Path) -> tuple[str, ...]:
    edit = tuple(_list(spec.get("edit"))) or (tuple(initials[0]) if initials else ("initial.py",))
    for path in edit:
        missing = initials and not any(path in files for files in initials)
        require(not missing, f"{where}: edit names '{path}', which no initial program has")
    return edit


def _entry(spec: Mapping[str, Any], initials: tuple[Files, ...], edit: tuple[str, ...], where: Path) -> tuple[str, str]:
    """Returns the file and the function that is called: the one that `entry` names, or the only public one."""
    entry = spec.get("entry")
    if entry == TEXT:
        return "", TEXT
    if not initials:
        require(entry is not None, f"{where}: without an initial program, 'entry' must name the function to write")
        return edit[0], str(entry)
    python = [path for path in dict.fromkeys([*edit, *initials[0]]) if path.endswith(".py") and path in initials[0]]
    functions = {path: _functions(initials[0][path], f"{where.parent}/{path}") for path in python}
    if entry is not None:
        having = [path for path, names in functions.items() if entry in names]
        return (having or list(edit))[0], entry  # it may be made otherwise than by a def
    first = next(iter(python), None)
    require(first is not None, f"{where}: 'entry' must name the function that is called")
    public = [name for name in functions[first or ""] if not name.startswith("_")]
    names = ", ".join(public) or "none"
    require(
        len(public) == 1, f"{where}: 'entry' must say which function is called; public functions of {first}: {names}"
    )
    return first or "", public[0]


def _functions(source: str, path: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ProblemError(f"{path}, line {error.lineno}: {error.msg}") from None
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def _objectives(spec: Mapping[str, Any], where: Path) -> dict[str, int]:
    given = spec.get("objectives") or {"score": "maximize"}
    signs = {"maximize": 1, "minimize": -1}
    for name, direction in given.items():
        require(direction in list(signs), f"{where}: objectives.{name} is maximize or minimize, not {direction!r}")
    return {name: signs[direction] for name, direction in given.items()}


def _constraints(given: Mapping[str, Any], where: Path) -> dict[str, tuple[float, float]]:
    for name, bounds in given.items():
        fits = isinstance(bounds, dict) and bounds and set(bounds) <= {"at_least", "at_most"}
        fits = fits and all(is_number(value) for value in bounds.values())
        require(
            bool(fits),
            f"{where}: constraints.{name} must be {{at_most: NUMBER}} or {{at_least: NUMBER}}, not {bounds!r}",
        )
    unbounded = float("inf")
    return {n: (float(b.get("at_least", -unbounded)), float(b.get("at_most", unbounded))) for n, b in given.items()}


def _stages(spec: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], where: Path) -> tuple[Stage, ...]:
    stated = spec.get("stages") or {"main": {}}
    for name, keys in stated.items():
        require(isinstance(keys, dict | None), f"{where}: stages.{name} must be a mapping of keys, not {keys!r}")
        require(name not in APART, f"{where}: stages.{name}: the name is taken; choose another")
    declared: dict[str, dict[str, Any]] = {name: dict(keys or {}) for name, keys in stated.items()}
    for name, overrides in given.items():
        if not isinstance(overrides, Mapping):
            raise UsageError(f"stage.{name}={overrides}: set one of its keys, stage.{name}.timeout_s=VALUE")
        if name not in declared:
            near = hint(name, declared, "stage.", "stages")
            raise UsageError(f"stage.{name}: {where.parent.name} has no such stage; {near}")
        for key, value in overrides.items():
            if key not in STAGE_KEYS:
                near = hint(key, STAGE_KEYS, f"stage.{name}.")
                raise UsageError(f"stage.{name}.{key}={value}: no such key; {near}")
        declared[name].update(overrides)
    stages = []
    for name, keys in declared.items():
        try:
            _known_keys(keys, STAGE_KEYS, where, f"stages.{name}.")
            stages.append(Stage(name=name, **keys))
        except ProblemError as error:
            raise (UsageError if name in given else ProblemError)(str(error)) from None
    return tuple(stages)


def _known_for(spec: Mapping[str, Any], params: Mapping[str, Any], where: Path) -> Mapping[str, Mapping[str, Any]]:
    """Returns the known values; none where the parameters are not those that they hold for."""
    known, objectives = spec.get("known") or {}, _objectives(spec, where)
    for name, entry in known.items():
        ok = isinstance(entry, dict) and is_number(entry.get("best"))
        require(ok, f"{where}: known.{name} must be {{best: NUMBER, source: TEXT}}, not {entry!r}")
        bound = entry.get("bound")
        if bound is not None:
            fits = is_number(bound) and name in objectives and objectives[name] * (bound - entry["best"]) >= 0
            require(
                fits, f"{where}: known.{name}.bound must be an objective's bound, no worse than best, not {bound!r}"
            )
    return known if dict(spec.get("params") or {}) == dict(params) else {}


def _description(folder: Path, spec: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    file = folder / "problem.md"
    text = read_text(file) if file.is_file() else str(spec.get("description") or "")
    for key, value in params.items():
        text = text.replace("{" + key + "}", str(value))
    return text.strip()
