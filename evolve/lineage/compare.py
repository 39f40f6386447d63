"""Comparison: runs grouped by configuration, their progress as median and band over seeds, and the groups' differences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from evolve.errors import EvolveError, RunError
from evolve.lineage.bootstrap import Array, Difference, bands, bootstrap_difference, median
from evolve.lineage.progress import AXES, Progress, progress
from evolve.lineage.run import Run
from evolve.loading import load_problem

POINTS = 101  # of a curve, at most
COUNTS = ("candidates", "evaluations")  # axes of whole numbers
FEW = 5  # seeds; with fewer an interval says little
# what may differ within a group: chance, places, and how far a run goes
ASIDE = ("seed", "run_dir", "on_existing", "problem", "param", "stage", "budget", "database.url", "llm.dir",
         "evaluator.address", "replay.run")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What is compared, in its own unit: `sign` is +1 where larger is better, `best` the best value known."""

    name: str
    sign: int = 1
    best: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """One run of a group, read; `row` is that of its database."""

    run_id: str
    folder: str
    seed: int
    row: Mapping[str, Any]
    state: str
    progress: Progress

    @property
    def best(self) -> float:
        return float(self.progress.best[-1]) if len(self.progress.best) else -np.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Runs of one configuration, by seed."""

    name: str
    members: Sequence[Compared]

    @property
    def seeds(self) -> list[int]:
        return [member.seed for member in self.members]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Groups of runs of one problem, the best first.

    `limits` has how far each axis is compared, and the run that ends there where others go on; it lacks the axes on which
    nothing can be compared. `notes` are what else a reader must know. Values are in the objective's unit; a run without an
    ok candidate has the worst there is, -inf or inf.
    """

    problem: str
    objective: Objective
    groups: Sequence[Group]
    limits: Mapping[str, tuple[float, str | None]]
    notes: Sequence[str]

    def grid(self, axis: str) -> Array:
        """Returns the amounts at which a curve is drawn, the limit with them."""
        even = np.linspace(0.0, self.limits[axis][0], POINTS)
        return np.unique(even.round()) if axis in COUNTS else even

    def values(self, group: Group, axis: str, amounts: Array) -> Array:
        """Returns the best so far, a row for each seed."""
        return self.objective.sign * np.array([member.progress.at(axis, amounts) for member in group.members])

    def ends(self, group: Group, axis: str) -> Array:
        """Returns what each seed has come to at the limit of an axis."""
        return self.values(group, axis, np.array([self.limits[axis][0]]))[:, 0]

    def loss(self, group: Group) -> float:
        """Returns what sorts groups, the best first: by candidates, or the first axis there is."""
        return next((-self.objective.sign * float(median(self.ends(group, axis))) for axis in self.limits), 0.0)

    def differences(self, axis: str) -> Iterator[tuple[Group, Group, Difference]]:
        """Yields each pair of groups with the difference, first less second, at the limit of an axis."""
        for a, b in combinations(self.groups, 2):
            paired = a.seeds == b.seeds and len(set(a.seeds)) == len(a.seeds)
            yield a, b, bootstrap_difference(self.ends(a, axis), self.ends(b, axis), paired)

    def found(self) -> dict[str, Any]:
        """Returns what `evolve compare --json` prints; what is not finite is None."""
        same = ("run_id", "folder", "seed", "state")
        runs = [
            {**{name: getattr(member, name) for name in same}, "group": group.name}
            | {"best": _number(self.objective.sign * member.best)}
            | {axis: _number(amount) for axis, amount in member.progress.total.items()}
            for group in self.groups
            for member in group.members
        ]
        return {
            "problem": self.problem,
            "objective": asdict(self.objective),
            "groups": [{"name": group.name, "seeds": group.seeds} for group in self.groups],
            "runs": runs,
            "axes": {axis: self._axis(axis) for axis in self.limits},
            "notes": list(self.notes),
        }

    def _axis(self, axis: str) -> dict[str, Any]:
        amount, run_id = self.limits[axis]
        grid, curves = self.grid(axis), {}
        for group in self.groups:
            median, *band = bands(self.values(group, axis, grid))
            low, high = band if len(group.members) > 1 else (None, None)
            lines = {"median": median, "low": low, "high": high}
            curves[group.name] = {n: line if line is None else list(map(_number, line)) for n, line in lines.items()}
        pairs = [
            {"a": a.name, "b": b.name, "paired": found.paired}
            | {name: _number(getattr(found, name)) for name in ("difference", "low", "high")}
            for a, b, found in self.differences(axis)
        ]
        return {"limit": amount, "limited_by": run_id, "at": list(grid), "curves": curves, "differences": pairs}


# ---------------------------------------------------------------- reading


def compare(runs: Iterable[Run]) -> Comparison:
    """Reads runs and groups them. Raises RunError unless all are of one problem."""
    members = [_member(run) for run in runs]
    if not members:
        raise RunError("no run to compare")
    first = members[0].row
    for member in members:
        if any(member.row[name] != first[name] for name in ("problem", "problem_hash")):
            raise RunError(f"{_whose(first)}, {_whose(member.row)}; only runs of one problem can be compared")
    objective, notes = _objective(first)
    limits = {axis: _limit(axis, members) for axis in AXES}
    groups = _groups(members)
    comparison = Comparison(
        problem=first["problem"],
        objective=objective,
        groups=groups,
        limits={axis: limit for axis, limit in limits.items() if not isinstance(limit, str)},
        notes=[*notes, *_notes(groups, limits)],
    )
    return replace(comparison, groups=sorted(groups, key=comparison.loss))


def _member(run: Run) -> Compared:
    row = run.row()
    same = {"run_id": run.run_id, "folder": str(run.ref.folder or ""), "seed": row["config"]["seed"]}
    return Compared(row=row, state=run.state(), progress=progress(run), **same)


def _whose(row: Mapping[str, Any]) -> str:
    """Says which problem a run is of, in the words of its configuration."""
    given = " ".join(
        f"{key}={value}" for key, value in _flat({name: row["config"][name] for name in ("param", "stage")})
    )
    return f"run {row['run_id']} is of problem {row['problem']} ({given or 'as it is'}, content {row['problem_hash']})"


def _objective(row: Mapping[str, Any]) -> tuple[Objective, list[str]]:
    """Returns the problem's first objective; where its folder is gone or has changed, the score that ranks."""
    config = row["config"]
    try:
        place = row["problem_path"] if Path(row["problem_path"]).exists() else config["problem"]
        problem = load_problem(str(place), config["param"], config["stage"], config.get("foreign"))
    except EvolveError:
        problem = None
    if problem is None or problem.hash != row["problem_hash"]:
        why = f"the problem's folder {row['problem_path']} has changed since, or is gone"
        return Objective(name="score"), [f"{why}: values are scores, larger is better"]
    name = problem.objective
    return Objective(name=name, sign=problem.objectives[name], best=problem.known_best()), []


def _limit(axis: str, members: Sequence[Compared]) -> tuple[float, str | None] | str:
    """Returns what the shortest run with a score used and, where others used more, that run; or why there is no limit."""
    totals = {member.run_id: member.progress.total[axis] for member in members if member.best > -np.inf}
    unknown = [run_id for run_id, total in totals.items() if np.isnan(total)]
    if unknown or not totals:
        return f"the price of calls of {unknown[0]} is unknown" if unknown else "no run has an ok candidate"
    shortest = min(totals, key=lambda run_id: totals[run_id])
    if not totals[shortest]:
        return f"{shortest if any(totals.values()) else 'no run'} used {'none' if any(totals.values()) else 'any'}"
    return totals[shortest], shortest if max(totals.values()) > totals[shortest] else None


def _notes(groups: Sequence[Group], limits: Mapping[str, Any]) -> Iterator[str]:
    for member in (member for group in groups for member in group.members):
        if member.state != "finished":
            yield f"{member.run_id} is {member.state}: {member.progress.total['candidates']:.0f} candidates told"
        if member.best == -np.inf:
            yield f"{member.run_id} (seed {member.seed}) has no ok candidate: it counts as worst"
    yield from (f"{axis}: not compared, {limit}" for axis, limit in limits.items() if isinstance(limit, str))
    for group in groups:
        if (n := len(group.members)) < FEW:
            yield f"{group.name}: {f'few seeds ({n})' if n > 1 else 'one seed, so no band and no interval'}"


# ---------------------------------------------------------------- grouping


def _groups(members: Sequence[Compared]) -> list[Group]:
    """Returns runs by configuration, each group by seed."""
    found: dict[str, list[Compared]] = {}
    for member in sorted(members, key=lambda member: (member.seed, member.run_id)):
        found.setdefault(json.dumps(_settings(member), sort_keys=True), []).append(member)
    return [Group(name=name, members=of) for name, of in zip(_names(list(found.values())), found.values(), strict=True)]


def _names(groups: Sequence[Sequence[Compared]]) -> list[str]:
    """Returns the words that groups differ in, as they were given; where those say too little, the keys."""
    if len(groups) == 1:
        return ["all runs"]
    said = [[word for word in of[0].row["words"] if _counts(word.partition("=")[0])] for of in groups]
    names = [" ".join(word for word in mine if not all(word in other for other in said)) or "default" for mine in said]
    if len(set(names)) == len(names):
        return names
    found = [_settings(of[0]) for of in groups]
    keys = dict.fromkeys(key for one in found for key in one)
    differ = [key for key in keys if len({repr(one.get(key)) for one in found}) > 1]
    return [" ".join(f"{key}={one[key]}" for key in differ if key in one) or "default" for one in found]


def _settings(member: Compared) -> dict[str, Any]:
    found = {key: value for key, value in _flat(member.row["config"]) if value is not None and _counts(key)}
    if not any(word.startswith("selection.islands=") for word in member.row["words"]):
        found.pop("selection.islands", None)  # follows from the budget
    return found


def _counts(key: str) -> bool:
    """Says whether a key tells configurations apart."""
    return not any(f"{key}.".startswith(f"{aside}.") for aside in ASIDE)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the leaves of a configuration with their dotted keys."""
    if not isinstance(value, dict | list):
        yield path, value
        return
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _flat(inner, f"{path}.{name}".removeprefix("."))


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
