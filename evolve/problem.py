"""Problems: what an author writes (`Result`, `Instance`, `Invalid`), and `load_problem`, which reads a problem's folder."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from importlib import metadata, resources, util
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from evolve.errors import ProblemError, UsageError
from evolve.types import APART, Files

BUNDLED = "problems"  # the package that ships problems; named here only, never imported
ENTRY_POINTS = "evolve.problems"  # the group by which installed packages add theirs
PASS_IF = r"(>=|<=|>|<) *(q\d{1,2}|-?\d+(?:\.\d*)?(?:e[-+]?\d+)?)"
HOOKS = ("instances", "model", "services", "drive", "score", "aggregate")  # evaluator.py's functions, called by name
LATER = {"incumbent"}
TEXT = "text"  # the entry of a candidate that is read, not run
LEVELS = ("bare", "guarded", "strict")  # of isolation, the weakest first
DRAWS = ("fixed", "paired", "fresh")
PROFILES = ("python", "exec", "gpu")
COMPARABLE = ("any", "cpu_model", "gpu_model")
SEPARATE, SHARED = "separate", "shared"  # scorer and candidate: each in a process of its own, or both in one sandbox


# ---------------------------------------------------------------- what evaluator.py imports


@dataclass(frozen=True, slots=True)
class Instance:
    """One case of a problem. Only `input` reaches the candidate; `secret` (labels, answers) stays with the scorer."""

    input: Any = None
    secret: Any = None
    name: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """What `score` may return: metrics in their own units, and what a reader (or the next prompt) should know."""

    metrics: Mapping[str, float]
    feedback: str = ""
    features: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, bytes | str] = field(default_factory=dict)


class Invalid(Exception):
    """Raised by `score` or `drive` for an output that breaks the rules; the text is shown to the proposer."""


# ---------------------------------------------------------------- what a folder says


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ProblemError(message)


def _hint(given: object, known: Iterable[str], prefix: str = "", what: str = "known") -> str:
    """Returns the nearest known word, or all of them."""
    near = get_close_matches(str(given), list(known), 1)
    return f"did you mean '{prefix}{near[0]}'?" if near else f"{what}: {', '.join(known) or 'none'}"


def same_value(a: float, b: float) -> bool:
    """Says whether two values differ by rounding alone."""
    return math.isclose(a, b, rel_tol=1e-9)


def _is_number(value: object, above: float = -math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and above < value < math.inf


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _one_of(allowed: Sequence[str]) -> str:
    return f"is {', '.join(allowed[:-1])} or {allowed[-1]}"


def _is_amounts(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_number(amount, above=0) for amount in value.values())


def _is_rule(value: object) -> bool:
    return isinstance(value, str) and (not value or re.fullmatch(PASS_IF, value) is not None)


# keys of a stage, what their values must fit, and how that is said
STAGE_VALUES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("timeout_s wall_s cpus gpus memory_mb", lambda v: _is_number(v) and v >= 0, "must be a number, 0 or more"),
    ("timeout_s", lambda v: v > 0, "must be positive"),
    ("memory_mb", lambda v: v >= 64, "must be at least 64"),
    ("replicates", _is_count, "must be a whole number, 1 or more"),
    ("instances", lambda v: v is None or _is_count(v), "must be a whole number, 1 or more"),
    ("failure_value", lambda v: v is None or _is_number(v), "must be a number"),
    ("partial report checkpoint exclusive_gpu", lambda v: isinstance(v, bool), "is true or false"),
    ("draw", lambda v: v in DRAWS, _one_of(DRAWS)),
    ("profile", lambda v: v in PROFILES, _one_of(PROFILES)),
    ("resources", _is_amounts, "must map names to positive numbers"),
    ("pass_if", _is_rule, "is '>= NUMBER' or '>= qNN'"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the cascade. `timeout_s` counts the candidate's own turns over all instances of the stage; `wall_s`
    bounds the whole stage, scoring included; `pass_if` is `>= 1.5` (in the objective's unit) or `>= q25` (a quantile).

    `draw`: `fixed` instances are the same for all, `paired` ones for all candidates in the same replicate, `fresh` ones for
    none. `profile`: forked from a warm `python`, a fresh process (`exec`), or that with a `gpu`. `report` allows early
    stops by what evaluator.py reports; `checkpoint` lets it save a state that a retry goes on from.
    """

    name: str
    timeout_s: float = 10.0
    wall_s: float = 0.0
    instances: int | None = None
    pass_if: str = ""
    draw: str = "fixed"
    partial: bool = False
    failure_value: float | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 2000
    resources: Mapping[str, float] = field(default_factory=dict)
    replicates: int = 1
    profile: str = "python"
    report: bool = False
    checkpoint: bool = False
    exclusive_gpu: bool = False

    def __post_init__(self) -> None:
        where = f"stage '{self.name}'"
        for names, fits, what in STAGE_VALUES:
            for name in names.split():
                value = getattr(self, name)
                _require(fits(value), f"{where}: {name} {what}, not {value!r}")
        gpu = self.profile == "gpu" or not (self.gpus or self.exclusive_gpu)
        _require(gpu, f"{where}: gpus and exclusive_gpu need profile: gpu, not {self.profile}")
        counts = not self.partial or self.failure_value is not None
        _require(counts, f"{where}: partial: true needs a failure_value to count")
        if not self.wall_s:
            object.__setattr__(self, "wall_s", 2.0 * self.timeout_s + 30.0)


STAGE_KEYS = tuple(f.name for f in fields(Stage) if f.name != "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a candidate's files become what is run: a command in its folder."""

    run: tuple[str, ...]
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tune:
    """How candidates' constants are tuned: by that many evaluations of a stage each; None: as the search's settings say."""

    stage: str
    evaluations: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A loaded problem. `initials` are the formulations, each its files; `objectives` maps a metric to +1 (maximize) or -1.

    `entry` is a function of `entry_file`, or "text"; `command` is given instead where a program is run. `python` is the
    candidate's interpreter ("" is the engine's), `mounts` further folders that it may read, `requires` what a machine must
    have (`gpu`, or a program's name), `holdout` how many instances are kept for the end, `isolation` the least level.

    `trust` is "shared" where the scorer runs in the candidate's sandbox: `theirs` is then the folder in another's format,
    `path` its translation, `env` what both get of the driver's environment ("" where it has no such variable).
    """

    name: str
    path: Path
    description: str
    entry: str
    edit: tuple[str, ...]
    initials: tuple[Files, ...]
    objectives: Mapping[str, int]
    stages: tuple[Stage, ...]
    kind: str = ""  # in a word or two, for lists: construction, priority function, prompt
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    knowledge: str = ""
    hash: str = ""
    entry_file: str = ""  # the file that has the entry; default the first of `edit`
    command: tuple[str, ...] = ()
    python: str = ""
    mounts: tuple[str, ...] = ()
    build: Build | None = None
    requires: tuple[str, ...] = ()
    deterministic: bool = True
    comparable_on: str = "any"
    isolation: str = ""
    holdout: int = 0
    constraints: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # metric -> (at least, at most)
    tune: Tune = field(default_factory=lambda: Tune(stage=""))
    trust: str = SEPARATE
    theirs: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """The folder that its author knows."""
        return self.theirs or self.path

    @property
    def caution(self) -> str:
        """What a person should know before its candidates run, "" for nothing."""
        if self.trust == SEPARATE:
            return ""
        given = f"; both can read {', '.join(self.env)}, and what they print is stored and shown to models" * bool(
            self.env
        )
        return f"shared: evaluator and candidate are in one sandbox, so a candidate can forge its score{given}"

    @property
    def objective(self) -> str:
        """The first objective: the one that ranks."""
        return next(iter(self.objectives))

    def score_of(self, metrics: Mapping[str, float]) -> float:
        """Returns the ranking score (higher is better) of finite metrics that hold the first objective."""
        return self.objectives[self.objective] * float(metrics[self.objective])

    @property
    def noisy(self) -> bool:
        """Says whether the same program may score differently from one evaluation to the next."""
        return not self.deterministic or self.stages[-1].draw != "fixed"

    def violation(self, metrics: Mapping[str, float]) -> float:
        """Returns by how much metrics violate the constraints, 0 for not at all: the sum of what is beyond each bound, relative
        to bounds larger than 1."""
        beyond = 0.0
        for name, (least, most) in self.constraints.items():
            for bound, excess in ((least, least - metrics[name]), (most, metrics[name] - most)):
                beyond += max(0.0, excess) / max(1.0, abs(bound)) if math.isfinite(bound) else 0.0
        return beyond

    def known_best(self) -> float | None:
        """Returns the best value known of the first objective, in its own unit, for the declared parameters."""
        best = self.known.get(self.objective, {}).get("best")
        return None if best is None else float(best)

    def beyond_bound(self, metrics: Mapping[str, float]) -> str:
        """Says which objective is better than its declared bound (beyond rounding), "" for none."""
        for name, sign in self.objectives.items():
            bound = self.known.get(name, {}).get("bound")
            if bound is None or name not in metrics or same_value(metrics[name], bound):
                continue
            if sign * (metrics[name] - bound) > 0:
                return f"{name} {metrics[name]:.12g} is better than the bound {bound:.12g}, which problem.yaml says is proven"
        return ""

    @property
    def data(self) -> str:
        """The folder that candidates may read, "" where there is none."""
        folder = str(self.path / "data")
        return folder if os.path.isdir(folder) else ""

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)


# ---------------------------------------------------------------- finding


def bundled_root() -> Path:
    """Returns the folder of the problems that ship with Evolve."""
    return Path(str(resources.files(BUNDLED)))


class Installed(NamedTuple):
    """What an installed package adds by an entry point, which names the package whose folder is a problem or holds some.

    `package` is the folder that no candidate may read: the whole top-level package, or `folder` in a namespace package.
    Both are None where there is no such package.
    """

    entry_point: str
    package: Path | None = None
    folder: Path | None = None


def installed() -> list[Installed]:
    """Returns what installed packages add, without importing any of it."""
    found = []
    for point in metadata.entry_points(group=ENTRY_POINTS):
        top, *inner = point.module.split(".")
        spec = util.find_spec(top)
        places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
        one = Installed(f"{point.name} = {point.value}")
        if place := next((place for place in places if place.joinpath(*inner).is_dir()), None):
            folder = place.joinpath(*inner)
            one = one._replace(package=place if spec and spec.origin else folder, folder=folder)
        found.append(one)
    return found


def problem_folders(holder: Path) -> list[Path]:
    """Returns the problems in a folder, sorted: itself, or those right in it whose names don't begin with an underscore."""
    if (holder / "evaluator.py").is_file():
        return [holder]
    return sorted(path.parent for path in holder.glob("[!_]*/evaluator.py"))


def known_problems() -> list[Path]:
    """Returns the folders of all problems that have a name: the bundled ones, then those of installed packages."""
    holders = dict.fromkeys([bundled_root(), *(one.folder for one in installed() if one.folder)])
    return [folder for holder in holders for folder in problem_folders(holder)]


def problem_names() -> list[str]:
    """Returns the names of the bundled and the installed problems, sorted."""
    return sorted({folder.name for folder in known_problems()})


def find_problem(name: str) -> Path:
    """Returns the folder of a problem's name or of a path. Raises UsageError with the nearest name, or where two have it."""
    from evolve.foreign import layout  # which reads folders by what is defined here

    folder = Path(name).expanduser()
    looks_like_path = "/" in name or name in (".", "..") or name.startswith("~")
    named = [] if looks_like_path else [known for known in known_problems() if known.name == name]
    if len(named) > 1:
        raise UsageError(
            f"problem={name}: {len(named)} problems have that name; give a folder: {', '.join(map(str, named))}"
        )
    if named:
        return named[0]
    if folder.is_dir():
        ours = (folder / "evaluator.py").is_file() or layout(folder)
        _require(bool(ours), f"{folder}: no evaluator.py in this folder; a problem needs one")
        return folder.resolve()
    if looks_like_path:
        raise UsageError(f"problem={name}: no such folder; give a folder that holds evaluator.py")
    raise UsageError(f"problem={name}: no problem of that name and no such folder; {_hint(name, problem_names())}")


# ---------------------------------------------------------------- loading

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
}
SUFFIXES = (".py", ".cpp", ".cc", ".c", ".rs", ".go", ".js", ".ts", ".cu", ".jl", ".txt", ".md", ".f90", ".java")


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
    from evolve.foreign import layout, lent, translated

    origin = find_problem(name)
    theirs = layout(origin)
    env = lent(foreign or {}, origin, theirs)
    folder = translated(origin, theirs) if theirs else origin
    spec = read_yaml(folder / "problem.yaml")
    where = folder / "problem.yaml"
    _known_keys(spec, tuple(KINDS), where, "")
    for key, value in spec.items():
        _require(
            value is None or (isinstance(value, KINDS[key][0]) and (key, value) != ("entry", [])),
            f"{where}: {key} must be {KINDS[key][1]}, not {value!r}",
        )
        odd = [name for name in value if not isinstance(name, str)] if isinstance(value, dict) else []
        _require(not odd, f"{where}: {key}: the name {odd and odd[0]!r} is no text; quote it")
    merged = _params(spec.get("params") or {}, params or {}, where)
    initials = _initials(folder)
    edit = _edit(spec, initials, where)
    command = tuple(map(str, spec["entry"])) if isinstance(spec.get("entry"), list) else ()
    entry_file, entry = ("", "") if command else _entry(spec, initials, edit, where)
    build = _build(spec.get("build"), where)
    made = _with_build(_stages(spec, stages or {}, where), build)
    gpu = ["gpu"] if any(stage.profile == "gpu" for stage in made) else []
    for key, allowed in (("comparable_on", COMPARABLE), ("isolation", LEVELS)):
        chosen = spec.get(key) or allowed[0]
        _require(chosen in allowed, f"{where}: {key} {_one_of(allowed)}, not {chosen!r}")
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
        knowledge="\n\n".join(_text(p) for p in sorted((folder / "knowledge").glob("*.md"))),
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
        tune=_tune(spec.get("tune") or {}, made, where),
        trust=SHARED if theirs else SEPARATE,
        theirs=origin if theirs else None,
        env=env,
    )


def _beside(folder: Path, path: str | None) -> str:
    """Returns a path of problem.yaml as seen from its folder; links stay (an environment's interpreter is one)."""
    return "" if path is None else os.path.abspath(folder / Path(path).expanduser())


def _mounts(folder: Path, given: Mapping[str, Any], where: Path) -> tuple[str, ...]:
    for path, mode in given.items():
        _require(mode == "ro", f"{where}: mounts.{path} must be ro, not {mode!r}")
        _require(os.path.exists(_beside(folder, path)), f"{where}: mounts.{path}: no such file or folder")
    return tuple(_beside(folder, path) for path in given)


def _build(given: Mapping[str, Any] | None, where: Path) -> Build | None:
    if given is None:
        return None
    _known_keys(given, ("run", "timeout_s"), where, "build.")
    run, timeout_s = given.get("run"), given.get("timeout_s", 60.0)
    words = isinstance(run, list) and bool(run) and all(isinstance(word, str | int | float) for word in run)
    _require(words, f"{where}: build.run must be a command [PROGRAM, ARGUMENT, ...], not {run!r}")
    _require(_is_number(timeout_s, above=0), f"{where}: build.timeout_s must be positive, not {timeout_s!r}")
    return Build(run=tuple(map(str, run or ())), timeout_s=float(timeout_s))


def _with_build(stages: tuple[Stage, ...], build: Build | None) -> tuple[Stage, ...]:
    """Returns the stages with the time that a build may take, which comes on top of their `wall_s`."""
    return stages if build is None else tuple(replace(s, wall_s=s.wall_s + build.timeout_s) for s in stages)


def _holdout(given: Mapping[str, Any] | None, where: Path) -> int:
    if given is None:
        return 0
    _known_keys(given, ("instances",), where, "holdout.")
    count: Any = given.get("instances")
    _require(_is_count(count), f"{where}: holdout.instances must be a whole number, not {count!r}")
    return int(count)


def _tune(given: Mapping[str, Any], stages: Sequence[Stage], where: Path) -> Tune:
    _known_keys(given, ("evaluations", "stage"), where, "tune.")
    count, stage, names = given.get("evaluations"), given.get("stage", stages[0].name), [one.name for one in stages]
    fits = count is None or (type(count) is int and count >= 0)
    _require(fits, f"{where}: tune.evaluations must be a whole number, 0 or more, not {count!r}")
    _require(stage in names, f"{where}: tune.stage: no stage '{stage}'; {_hint(stage, names, what='stages')}")
    return Tune(stage=stage, evaluations=count)


def folder_files(folder: Path) -> list[Path]:
    """Returns the files that make up a problem, sorted by path: not caches, hidden ones, runs that lie in it, dead links."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_aside(Path(root, name))]
        found += [path for name in names if not name.startswith(".") and (path := Path(root, name)).is_file()]
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def _is_aside(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in ("__pycache__", "runs") or (folder / "run.json").exists()


def folder_hash(folder: Path, params: Mapping[str, Any], stages: Mapping[str, Any]) -> str:
    """Returns the hash (16 hex digits) of a problem's content, parameters and stage overrides; not of its place."""
    digest = hashlib.sha256(
        json.dumps([dict(params), {k: dict(v) for k, v in stages.items()}], sort_keys=True).encode()
    )
    for path in folder_files(folder):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ProblemError(f"{path}: can't be read: {error.strerror}") from None
        head = f"\0{path.relative_to(folder).as_posix()}\0{len(content)}\0"
        digest.update(head.encode(errors="surrogateescape"))  # a name may be no text
        digest.update(content)
    return digest.hexdigest()[:16]


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns a YAML file's mapping, an empty one where there is no such file. Raises ProblemError."""
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ProblemError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    _require(isinstance(content, dict | None), f"{path}: must be a mapping of keys, not {type(content).__name__}")
    return content or {}


def _known_keys(given: Mapping[str, Any], allowed: tuple[str, ...], where: Path, prefix: str) -> None:
    for key in given:
        if key in allowed:
            continue
        if key in LATER:
            raise ProblemError(f"{where}: '{prefix}{key}' is not supported by this version of Evolve; remove it")
        raise ProblemError(f"{where}: unknown key '{prefix}{key}'; {_hint(key, allowed, prefix)}")


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [str(item) for item in value]


def _params(declared: Mapping[str, Any], given: Mapping[str, Any], where: Path) -> dict[str, Any]:
    for key, value in given.items():
        if key not in declared:
            hint = _hint(key, declared, "param.", "declared")
            raise UsageError(f"param.{key}={value}: {where} declares no such parameter; {hint}")
        kind = type(declared[key])
        fits = type(value) is kind or (kind is float and type(value) is int) or declared[key] is None
        if not fits:
            raise UsageError(f"param.{key}={value}: must be {kind.__name__} like the default {declared[key]!r}")
    return {**declared, **given}


def _initials(folder: Path) -> tuple[Files, ...]:
    single = [folder / f"initial{suffix}" for suffix in SUFFIXES if (folder / f"initial{suffix}").is_file()]
    if single:
        return ({single[0].name: _text(single[0])},)
    if (folder / "initial").is_dir():
        return (_tree(folder / "initial"),)
    several = folder / "initials"
    if several.is_dir():
        entries = sorted(p for p in several.iterdir() if not _is_aside(p))
        # every formulation answers to the same path, so that an edit means the same file in each
        return tuple(_tree(p) if p.is_dir() else {f"initial{p.suffix}": _text(p)} for p in entries)
    return ()


def _tree(folder: Path) -> Files:
    _require(bool(folder_files(folder)), f"{folder}: holds no file; put the initial program there or remove the folder")
    return {p.relative_to(folder).as_posix(): _text(p) for p in folder_files(folder)}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ProblemError(f"{path}: must be UTF-8 text") from None
    except OSError as error:
        raise ProblemError(f"{path}: can't be read: {error.strerror}") from None


def _edit(spec: Mapping[str, Any], initials: tuple[Files, ...], where: Path) -> tuple[str, ...]:
    edit = tuple(_list(spec.get("edit"))) or (tuple(initials[0]) if initials else ("initial.py",))
    for path in edit:
        missing = initials and not any(path in files for files in initials)
        _require(not missing, f"{where}: edit names '{path}', which no initial program has")
    return edit


def _entry(spec: Mapping[str, Any], initials: tuple[Files, ...], edit: tuple[str, ...], where: Path) -> tuple[str, str]:
    """Returns the file and the function that is called: the one that `entry` names, or the only public one."""
    entry = spec.get("entry")
    if entry == TEXT:
        return "", TEXT
    if not initials:
        _require(entry is not None, f"{where}: without an initial program, 'entry' must name the function to write")
        return edit[0], str(entry)
    python = [path for path in dict.fromkeys([*edit, *initials[0]]) if path.endswith(".py") and path in initials[0]]
    functions = {path: _functions(initials[0][path], f"{where.parent}/{path}") for path in python}
    if entry is not None:
        having = [path for path, names in functions.items() if entry in names]
        return (having or list(edit))[0], entry  # it may be made otherwise than by a def
    first = next(iter(python), None)
    _require(first is not None, f"{where}: 'entry' must name the function that is called")
    public = [name for name in functions[first or ""] if not name.startswith("_")]
    names = ", ".join(public) or "none"
    _require(
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
        _require(direction in list(signs), f"{where}: objectives.{name} is maximize or minimize, not {direction!r}")
    return {name: signs[direction] for name, direction in given.items()}


def _constraints(given: Mapping[str, Any], where: Path) -> dict[str, tuple[float, float]]:
    for name, bounds in given.items():
        fits = isinstance(bounds, dict) and bounds and set(bounds) <= {"at_least", "at_most"}
        fits = fits and all(_is_number(value) for value in bounds.values())
        _require(
            bool(fits),
            f"{where}: constraints.{name} must be {{at_most: NUMBER}} or {{at_least: NUMBER}}, not {bounds!r}",
        )
    unbounded = float("inf")
    return {n: (float(b.get("at_least", -unbounded)), float(b.get("at_most", unbounded))) for n, b in given.items()}


def _stages(spec: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], where: Path) -> tuple[Stage, ...]:
    stated = spec.get("stages") or {"main": {}}
    for name, keys in stated.items():
        _require(isinstance(keys, dict | None), f"{where}: stages.{name} must be a mapping of keys, not {keys!r}")
        _require(name not in APART, f"{where}: stages.{name}: the name is taken; choose another")
    declared: dict[str, dict[str, Any]] = {name: dict(keys or {}) for name, keys in stated.items()}
    for name, overrides in given.items():
        if not isinstance(overrides, Mapping):
            raise UsageError(f"stage.{name}={overrides}: set one of its keys, stage.{name}.timeout_s=VALUE")
        if name not in declared:
            hint = _hint(name, declared, "stage.", "stages")
            raise UsageError(f"stage.{name}: {where.parent.name} has no such stage; {hint}")
        for key, value in overrides.items():
            if key not in STAGE_KEYS:
                hint = _hint(key, STAGE_KEYS, f"stage.{name}.")
                raise UsageError(f"stage.{name}.{key}={value}: no such key; {hint}")
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
        ok = isinstance(entry, dict) and _is_number(entry.get("best"))
        _require(ok, f"{where}: known.{name} must be {{best: NUMBER, source: TEXT}}, not {entry!r}")
        bound = entry.get("bound")
        if bound is not None:
            fits = _is_number(bound) and name in objectives and objectives[name] * (bound - entry["best"]) >= 0
            _require(
                fits, f"{where}: known.{name}.bound must be an objective's bound, no worse than best, not {bound!r}"
            )
    return known if dict(spec.get("params") or {}) == dict(params) else {}


def _description(folder: Path, spec: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    file = folder / "problem.md"
    text = _text(file) if file.is_file() else str(spec.get("description") or "")
    for key, value in params.items():
        text = text.replace("{" + key + "}", str(value))
    return text.strip()
