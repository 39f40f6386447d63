"""How facts are shown: numbers with the digits in which candidates differ, metrics, instances, the end of a traceback."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evolve.problem import Problem
from evolve.types import Candidate, Status

DIGITS, LEAST, MOST = 10, 4, 17  # significant ones: alone, and among others
WORST = 3  # instances that are shown
WINS = 5  # instances that are named where an inspiration is better
TRACE_LINES, AFTER_ERROR, LINE_CHARS = 30, 8, 300
FRAME = re.compile(r'\s*File ".*", line \d+')

Digits = Mapping[str, int]
"""The significant digits for each metric."""


def number(value: float, digits: int = DIGITS) -> str:
    """Returns a number with so many significant digits, and never fewer than its whole part has."""
    whole = len(str(int(abs(value)))) if math.isfinite(value) and abs(value) < 1e15 else 1
    return f"{value:.{max(digits, whole)}g}"


def digits(values: Iterable[float]) -> int:
    """Returns the fewest significant digits, from 4 to 17, with which different values print differently."""
    distinct = set(values)
    return next((n for n in range(LEAST, MOST) if len({number(v, n) for v in distinct}) == len(distinct)), MOST)


def digits_of(problem: Problem, metrics: Sequence[Mapping[str, float]]) -> Digits:
    """Returns the digits of each metric that candidates have; the known best counts as one."""
    best = problem.known_best()
    known = [] if best is None else [{problem.objective: best}]
    names = dict.fromkeys(name for found in metrics for name in found)
    return {name: digits(found[name] for found in [*metrics, *known] if name in found) for name in names}


def measured(problem: Problem, metrics: Mapping[str, float], shown: Digits) -> str:
    """Returns the metrics, the objectives first."""
    names = [
        *(name for name in problem.objectives if name in metrics),
        *(n for n in metrics if n not in problem.objectives),
    ]
    return ", ".join(f"{name} = {number(metrics[name], shown.get(name, DIGITS))}" for name in names)


def standing(problem: Problem, candidate: Candidate, shown: Digits) -> str:
    """Returns a candidate's metrics, or the status that it ended with."""
    if candidate.status is Status.OK or candidate.status is None:
        return measured(problem, candidate.metrics, shown)
    return str(candidate.status)


def gap(problem: Problem, metrics: Mapping[str, float]) -> str:
    """Returns how far the first objective is from the best value known, "" where that says nothing."""
    best, value = problem.known_best(), metrics.get(problem.objective)
    if best is None or value is None or value == best:
        return ""
    beyond = problem.objectives[problem.objective] * (value - best) > 0
    return (
        f"{'Better than the best known by' if beyond else 'Gap to the best known:'} {number(abs(best - value), LEAST)}."
    )


# ---------------------------------------------------------------- instances


def worst(problem: Problem, instances: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns the three instances that a candidate did worst on, failed ones first; none of fewer than two."""
    return sorted(instances, key=lambda one: _merit(problem, one))[:WORST] if len(instances) > 1 else []


def _merit(problem: Problem, instance: Mapping[str, Any]) -> float:
    """Returns an instance's primary objective, higher is better; the least of all where it failed."""
    value = instance.get("metrics", {}).get(problem.objective)
    return (
        -math.inf
        if instance.get("status") != Status.OK or value is None
        else problem.objectives[problem.objective] * value
    )


def _names(instances: Sequence[Mapping[str, Any]]) -> list[str]:
    return [one["name"] or f"instance {place}" for place, one in enumerate(instances, 1)]


def worst_lines(problem: Problem, instances: Sequence[Mapping[str, Any]], said: str = "") -> list[str]:
    """Returns a line for each of the worst instances, with its feedback where that is not `said` already."""
    found = worst(problem, [{**one, "name": name} for one, name in zip(instances, _names(instances), strict=True)])
    values = digits_of(problem, [one["metrics"] for one in instances]) if found else {}
    lines = []
    for one in found:
        facts = [measured(problem, one["metrics"], values)] if one["status"] == Status.OK else [str(one["status"])]
        feedback = trimmed(one.get("feedback", ""))
        if feedback and feedback not in said:
            facts.append(feedback.replace("\n", "\n  "))
        lines.append(": ".join([f"- {one['name']}", *filter(None, facts)]))
    return lines


def wins(problem: Problem, candidate: Candidate, parent: Candidate) -> str:
    """Says on which instances a candidate does better than the parent, the largest gain first; "" for none."""
    theirs, mine = (
        {name: _merit(problem, one) for name, one in zip(_names(found), found, strict=True)}
        for found in (parent.instances, candidate.instances)
    )
    mine = {name: merit for name, merit in mine.items() if name in theirs}
    better = sorted((name for name in mine if mine[name] > theirs[name]), key=lambda name: theirs[name] - mine[name])
    if not better or len(mine) < 2:
        return ""
    by = [f"{name} {_by(mine[name] - theirs[name])}" for name in better[:WINS]]
    return f"Better than the parent on {len(better)} of {len(mine)} instances: {', '.join(by)}" + (
        f" and {len(better) - WINS} more." if len(better) > WINS else "."
    )


def _by(gain: float) -> str:
    return f"by {number(gain, LEAST)}" if gain < math.inf else "(where the parent fails)"


# ---------------------------------------------------------------- feedback


def trimmed(feedback: str, lines: int = TRACE_LINES) -> str:
    """Returns at most so many lines of a feedback: of a traceback its last frames and its error, else the beginning."""
    found = [
        line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]} ..."
        for line in feedback.strip("\n").rstrip().splitlines()
    ]
    if len(found) <= lines:
        return "\n".join(found)
    frames = [i for i, line in enumerate(found) if FRAME.match(line)]
    if not frames:
        return "\n".join([*found[: lines - 1], "..."])
    after = (i for i in range(frames[-1] + 1, len(found)) if found[i].strip() and not found[i][0].isspace())
    stop = min(next(after, len(found) - 1) + AFTER_ERROR, len(found))
    start = max(stop - lines + 2, 0)
    return "\n".join([*(["..."] if start else []), *found[start:stop], *(["..."] if stop < len(found) else [])])
