"""The plot of a comparison: best so far over each axis, medians with their bands, and the best known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evolve.errors import RunError, UsageError
from evolve.lineage.bootstrap import bands
from evolve.lineage.compare import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg")
LABELS = {"usd": "US dollars"}
DRAWN = 1e300  # matplotlib fails on values near the largest float


def check(path: Path) -> None:
    """Raises UsageError where no plot can be drawn, or none of that name."""
    if path.suffix not in SUFFIXES:
        raise UsageError(f"--plot {path}: the name must end in {' or '.join(SUFFIXES)}")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("a plot needs a package: pip install 'evolve-engine[plot]'") from None


def draw(comparison: Comparison) -> Figure:
    """Returns a figure with a panel for each axis that can be compared."""
    check(Path("figure.svg"))
    from matplotlib.figure import Figure

    objective = comparison.objective
    figure = Figure(figsize=(10, 7 + 0.25 * len(comparison.groups)), layout="constrained")
    figure.suptitle(f"{_literal(comparison.problem)}: best so far, median and 95 % band over seeds")
    for place, axis in enumerate(comparison.limits, 1):
        panel = figure.add_subplot(2, 2, place)
        panel.set_xlabel(LABELS.get(axis, axis))
        panel.set_ylabel(f"{_literal(objective.name)} ({'larger' if objective.sign > 0 else 'smaller'} is better)")
        _draw_groups(panel, comparison, axis)
        if objective.best is not None:
            panel.axhline(objective.best, color="black", linestyle=":", label="best known")
    if figure.axes:
        lines, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(lines, labels, loc="outside lower center")
    return figure


def _draw_groups(panel: Axes, comparison: Comparison, axis: str) -> None:
    amounts = comparison.grid(axis)
    for place, group in enumerate(comparison.groups):
        values = comparison.values(group, axis, amounts)
        median, low, high = (np.where(np.abs(line) < DRAWN, line, np.nan) for line in bands(values))
        of = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
        panel.plot(
            amounts,
            median,
            drawstyle="steps-post",
            color=f"C{place}",
            linestyle=("-", "--", "-.")[place // 10 % 3],
            label=f"{_literal(group.name)} ({of})",
        )
        if len(values) > 1:
            panel.fill_between(amounts, low, high, step="post", color=f"C{place}", alpha=0.2, linewidth=0)


def _literal(text: str) -> str:
    """Returns text that is no formula to matplotlib, and can stand in a picture."""
    return "".join(letter if letter.isprintable() else "?" for letter in text).replace("$", r"\$")


def save(comparison: Comparison, path: Path) -> None:
    """Writes the plot; the same comparison gives the same bytes."""
    figure = draw(comparison)
    from matplotlib import rc_context

    try:
        with rc_context({"svg.hashsalt": "evolve"}):
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise RunError(f"--plot {path}: can't be written: {error.strerror}") from None
