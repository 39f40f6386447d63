"""Measures tuning: `python -m tests.benchmarks.tuning [--problem NAME] [--seeds 10] [--candidates 200] [--json]`.

Each seed runs the problem with tuning, by the offline proposer, and then without, until it has used as many evaluations. The
difference of the best scores (higher is better) comes with the 95 % interval of a bootstrap over the pairs of runs; where the
problem has a hold-out, so is that of the scores there.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import evolve
from evolve.lineage import Run

DRAWS = 10_000


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of paired differences (percentile bootstrap)."""
    rng = np.random.default_rng(1)
    means = rng.choice(np.array(differences), (DRAWS, len(differences))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def measured(run: Run) -> dict[str, Any]:
    status, best = run.status(), run.store.best(run.run_id)
    holdout = run.store.holdout_row(run.run_id)
    return {
        "score": run.store.candidate(run.run_id, best or 0).score,
        "holdout": holdout and holdout["score"],
        "asked": status["candidates"]["asked"],
        "evaluations": run.store.evaluations(run.run_id),
        "wall_s": status["wall_s"],
    }


def pair(folder: Path, problem: str, seed: int, candidates: int) -> dict[str, Any]:
    """Runs one seed with and without tuning at equal evaluations."""
    words = [f"seed={seed}", "llm=offline"]
    on = measured(evolve.run(problem, [*words, f"budget.candidates={candidates}", f"run_dir={folder}/on-{seed}"]))
    limits = ["budget.candidates=null", f"budget.evaluations={on['evaluations']}", "selection.tuning=null"]
    limits.append(f"selection.islands={min(8, max(1, candidates // 100))}")
    off = measured(evolve.run(problem, [*words, *limits, f"run_dir={folder}/off-{seed}"]))
    return {"seed": seed, "on": on, "off": off}


def summary(pairs: Sequence[dict[str, Any]], value: str) -> dict[str, Any]:
    differences = [found["on"][value] - found["off"][value] for found in pairs]
    low, high = interval(differences)
    medians = {arm: float(np.median([found[arm][value] for found in pairs])) for arm in ("on", "off")}
    return {"medians": medians, "mean": float(np.mean(differences)), "low": low, "high": high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="circle_packing")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, arguments.seeds + 1):
            pairs.append(pair(Path(folder), arguments.problem, seed, arguments.candidates))
            if not arguments.json:
                on, off = pairs[-1]["on"], pairs[-1]["off"]
                print(f"seed {seed}: {on['score']:.4f} with tuning, {off['score']:.4f} without", end="")
                print(f" ({on['evaluations']} evaluations, {off['asked']} candidates without)", flush=True)
    values = [
        value
        for value in ("score", "holdout")
        if all(one[arm][value] is not None for one in pairs for arm in ("on", "off"))
    ]
    found = {"problem": arguments.problem, "pairs": pairs, **{value: summary(pairs, value) for value in values}}
    if arguments.json:
        print(json.dumps(found))
    for value in [] if arguments.json else values:
        one = found[value]
        print(f"{value}: median {one['medians']['on']:.4f} with, {one['medians']['off']:.4f} without; ", end="")
        print(f"mean difference {one['mean']:.4f} [{one['low']:.4f}, {one['high']:.4f}]")


if __name__ == "__main__":
    main()
