"""What a problem is once it is read; and what its evaluator.py imports: `Result`, `Instance`, `Invalid`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from evolve.checks import is_count, is_number, one_of, require
from evolve.types import Files

PASS_IF = r"(>=|<=|>|<) *(q\d{1,2}|-?\d+(?:\.\d*)?(?:e[-+]?\d+)?)"
HOOKS = ("instances", "model", "services", "drive", "score", "aggregate")  # evaluator.py's functions, called by name
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


def same_value(a: float, b: float) -> bool:
    """Says whether two values differ by rounding alone."""
    return math.isclose(a, b, rel_tol=1e-9)


def _is_amounts(value: object) -> bool:
    return isinstance(value, Mapping) and all(is_number(amount, above=0) for amount in value.values())


def _is_rule(value: object) -> bool:
    return isinstance(value, str) and (not value or re.fullmatch(PASS_IF, value) is not None)


# keys of a stage, what their values must fit, and how that is said
STAGE_VALUES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("timeout_s wall_s cpus gpus memory_mb", lambda v: is_number(v) and v >= 0, "must be a number, 0 or more"),
    ("timeout_s", lambda v: v > 0, "must be positive"),
    ("memory_mb", lambda v: v >= 64, "must be at least 64"),
    ("replicates", is_count, "must be a whole number, 1 or more"),
    ("instances", lambda v: v is None or is_count(v), "must be a whole number, 1 or more"),
    ("failure_value", lambda v: v is None or is_number(v), "must be a number"),
    ("partial report checkpoint exclusive_gpu", lambda v: isinstance(v, bool), "is true or false"),
    ("draw", lambda v: v in DRAWS, one_of(DRAWS)),
    ("profile", lambda v: v in PROFILES, one_of(PROFILES)),
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
                require(fits(value), f"{where}: {name} {what}, not {value!r}")
        gpu = self.profile == "gpu" or not (self.gpus or self.exclusive_gpu)
        require(gpu, f"{where}: gpus and exclusive_gpu need profile: gpu, not {self.profile}")
        counts = not self.partial or self.failure_value is not None
        require(counts, f"{where}: partial: true needs a failure_value to count")
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

    `incumbent` says that all stages but the last lend the best output so far to the candidate, as a service of that name.

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
    incumbent: bool = False
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

    @property
    def lending(self) -> tuple[str, ...]:
        """The stages that lend the best output so far."""
        return tuple(stage.name for stage in self.stages[:-1]) if self.incumbent else ()

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)
