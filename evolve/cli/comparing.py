"""`evolve compare`: runs side by side, as a table, as JSON, as a plot."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from evolve.cli.plain import plain
from evolve.cli.reading import console, show_json
from evolve.lineage import Run
from evolve.lineage.bootstrap import Difference, bands
from evolve.lineage.compare import Comparison
from evolve.lineage.compare import compare as compared
from evolve.proposer.shown import number
from evolve.runner import rundir

DIGITS = 5
UNITS = {"candidates": "{} candidates", "evaluations": "{} evaluations", "usd": "${}", "seconds": "{} s"}


def compare(arguments: argparse.Namespace) -> int:
    if arguments.plot:
        from evolve.lineage import plot

        plot.check(Path(arguments.plot))
    comparison = compared(_opened(rundir.find_all(arguments.runs)))
    if arguments.plot:
        plot.save(comparison, Path(arguments.plot))
    if arguments.json:
        return show_json(comparison.found())
    for line in _lines(comparison):
        console.print(plain(line))
    return 0


def _opened(refs: Sequence[rundir.RunRef]) -> Iterator[Run]:
    for ref in refs:
        run = Run(ref, ref.open())
        yield run
        run.store.close()


def _lines(comparison: Comparison) -> Iterator[str]:
    objective = comparison.objective
    known = f", best known {number(objective.best)}" if objective.best is not None else ""
    better = "larger" if objective.sign > 0 else "smaller"
    yield f"{comparison.problem}: {objective.name}, {better} is better{known}; median [95 % of the seeds]"
    for axis, (amount, run_id) in comparison.limits.items():
        yield ""
        where = f", where {run_id} ends" if run_id else ""
        yield f"after {UNITS[axis].format(number(amount, DIGITS))}{where}"
        yield from _table(comparison, axis)
    yield from ["", *comparison.notes] if comparison.notes else []


def _table(comparison: Comparison, axis: str) -> Iterator[str]:
    """Yields a line for each group, and one for each pair with the 95 % interval of its difference."""
    rows = [(group.name, *bands(comparison.ends(group, axis)[:, None])) for group in comparison.groups]
    width = max(len(name) for name, *_ in rows)
    for group, (name, median, low, high) in zip(comparison.groups, rows, strict=True):
        band = f"  [{number(low[0], DIGITS)}, {number(high[0], DIGITS)}]" if len(group.members) > 1 else ""
        yield f"  {name:<{width}}  {len(group.members):>3} x  {number(median[0], DIGITS)}{band}"
    for a, b, found in comparison.differences(axis):
        yield f"  ({a.name}) - ({b.name}): {_difference(found, comparison.objective.sign)}"


def _difference(found: Difference, sign: int) -> str:
    if found.low is None or found.high is None:
        return f"{found.difference:+.{DIGITS}g}, one seed"
    undecided = found.low <= 0 <= found.high
    better = "undecided" if undecided else "the first is better" if sign * found.low > 0 else "the second is better"
    how = "paired by seed" if found.paired else "unpaired"
    return f"{found.difference:+.{DIGITS}g} [{found.low:+.{DIGITS}g}, {found.high:+.{DIGITS}g}] {how}, {better}"
