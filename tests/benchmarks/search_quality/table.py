"""The table: each variant's mean, and its paired difference to the default with a 95 % bootstrap interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.search_quality.runs import Space

RESAMPLES = 4000
MEASURES = {  # -> where a result has it
    "equal candidates": ("scores", "candidates"),
    "equal evaluations": ("scores", "evaluations"),
    "hold-out": ("holdout", "candidates"),
}
Found = Mapping[tuple[str, str], Mapping[int, Mapping[str, Any]]]  # space, variant -> seed -> result


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A mean of paired differences (above 0 is better) with the ends of its interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[np.ndarray]) -> Difference | None:
        """Resamples the pairs of each space by themselves; spaces count alike. None for no pairs."""
        if not samples:
            return None
        rng = np.random.Generator(np.random.PCG64(1))
        drawn = [one[rng.integers(len(one), size=(RESAMPLES, len(one)))].mean(axis=1) for one in samples]
        low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
        return cls(mean=float(np.mean([one.mean() for one in samples])), low=float(low), high=float(high))

    def __str__(self) -> str:
        mark = " +" if self.low > 0 else " -" if self.high < 0 else ""
        return f"{self.mean:+.3g} [{self.low:+.2g}, {self.high:+.2g}]{mark}"


def rows(results: Sequence[Mapping[str, Any]], spaces: Mapping[str, Space]) -> list[dict[str, Any]]:
    """Returns a row for each space and variant, and one for each variant over all landscapes and over all problems."""
    found: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for one in results:
        found.setdefault((one["space"], one["variant"]), {})[one["seed"]] = one
    table = []
    for space, variant in sorted(found, key=lambda pair: [*spaces].index(pair[0])):
        row: dict[str, Any] = {"space": space, "variant": variant or "default", "seeds": len(found[space, variant])}
        for measure in MEASURES:
            scores = [*_scores(found, space, variant, measure).values()]
            pairs = [_paired(found, space, variant, measure)] if variant and scores else []
            row[measure] = {
                "mean": spaces[space].unit * np.mean(scores) if scores else None,
                "gain": Difference.of(pairs),
            }
        table.append(row)
    for kind, variant in sorted({(spaces[space].kind, variant) for space, variant in found if variant}):
        among = [space for space, other in found if other == variant and spaces[space].kind == kind]
        gains = {name: {"mean": None, "gain": Difference.of(_scaled(found, among, variant, name))} for name in MEASURES}
        table.append({"space": f"{kind}, in SD", "variant": variant, "seeds": None, **gains})
    return table


def _scores(found: Found, space: str, variant: str, measure: str) -> dict[int, float]:
    kind, budget = MEASURES[measure]
    scores = {seed: one[kind][budget] for seed, one in found[space, variant].items()}
    return {seed: score for seed, score in scores.items() if score is not None}


def _paired(found: Found, space: str, variant: str, measure: str) -> np.ndarray:
    """Returns the differences to the default, of the seeds that both have."""
    mine, base = (_scores(found, space, one, measure) for one in (variant, ""))
    return np.array([mine[seed] - base[seed] for seed in sorted({*mine} & {*base})])


def _scaled(found: Found, spaces: Sequence[str], variant: str, measure: str) -> list[np.ndarray]:
    """Returns those differences in standard deviations of the default, for each space where it has one."""
    spreads = {space: np.std([*_scores(found, space, "", measure).values()] or [0.0]) for space in spaces}
    return [_paired(found, space, variant, measure) / spread for space, spread in spreads.items() if spread > 0]


def text(table: Sequence[Mapping[str, Any]], markdown: bool) -> str:
    """Renders rows in columns."""
    lines = [["space", "variant", "seeds", *(cell for name in MEASURES for cell in (name, "difference"))]]
    lines += [["---"] * len(lines[0])] * markdown
    for row in table:
        cells = [cell for name in MEASURES for cell in (_short(row[name]["mean"]), str(row[name]["gain"] or ""))]
        lines.append([row["space"], row["variant"], _short(row["seeds"]), *cells])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" if markdown else "  ".join(line).rstrip() for line in padded)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
