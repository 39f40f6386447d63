"""Measures what helps the search: `python -m tests.benchmarks.search_quality --out DIR [--jobs N] [--only PATTERN] [--json]`.

Every variant of the configuration (variants.py) on every space (runs.py), at equal candidates and at equal evaluations, against
the default: two landscapes of known optimum (NK is rugged, the royal road neutral; scores are shares of the optimum) under a
simulated model, and problems under llm=offline. An interval without 0 is marked + (better than the default) or -. Results are
kept as JSON lines in DIR, so that a killed benchmark goes on; those of other code are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluators.harness import tree
from tests.benchmarks.search_quality.runs import MODEL, SPACES, one
from tests.benchmarks.search_quality.table import rows, text
from tests.benchmarks.search_quality.variants import VARIANTS

ROOT = Path(__file__).parents[3]
CODE = (
    "evolve/search/*.py", "evolve/llm/[mop]*.py", "configs/s*/*.yaml", "problems/*/[ei]*.py", "problems/*/problem.yaml",
    "tests/benchmarks/search_quality/[!_tv]*.py",
)  # fmt: skip
Key = tuple[str, str, int, int]  # space, variant, seed, budget of evaluations


def digest() -> str:
    """Returns a hash of the code that results follow from."""
    paths = sorted(path for pattern in CODE for path in ROOT.glob(pattern))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:12]


def kept(path: Path, code: str) -> dict[Key, dict[str, Any]]:
    """Returns the results of earlier times; a line that a kill cut short is none."""
    lines = path.read_text().splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines if re.search(r'"code": "\w+"}$', line)]
    stale = sum(result["code"] != code for result in results)
    if stale:
        print(f"{path}: {stale} results of other code are left out", file=sys.stderr)
    return {_key(result): result for result in results if result["code"] == code}


def _key(result: dict[str, Any]) -> Key:
    return result["space"], result["variant"], result["seed"], result["budget"]


def run(space: str, variant: str, seed: int, budget: int) -> dict[str, Any]:
    return {"space": space, "variant": variant, "seed": seed, "budget": budget, **one(space, variant, seed, budget)}


def ran(todo: Sequence[Key], jobs: int) -> Iterator[dict[str, Any]]:
    """Yields results as they come."""
    with ProcessPoolExecutor(jobs, initializer=tree.die_with_parent, initargs=(os.getpid(),)) as pool:
        for future in as_completed([pool.submit(run, *wanted) for wanted in todo]):
            yield future.result()


def wanted(only: str, seeds: int, evaluations: float) -> list[Key]:
    """Returns the runs to be made, seed by seed; the default is among them for each space."""
    chosen = [(space, variant) for space in SPACES for variant in VARIANTS if re.search(only, f"{space} {variant}")]
    pairs = dict.fromkeys(pair for space, variant in chosen for pair in ((space, ""), (space, variant)))
    budgets = {name: round(space.candidates * evaluations) for name, space in SPACES.items()}
    return [(space, variant, seed, budgets[space]) for seed in range(1, seeds + 1) for space, variant in pairs]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", default="", help="regular expression, found in 'SPACE VARIANT'")
    parser.add_argument(
        "--evaluations", type=float, default=1.0, help="their budget, per candidate of the other budget"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


def main() -> None:
    given, code, began = arguments(), digest(), time.monotonic()
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "results.jsonl"
    results, keys = kept(path, code), wanted(given.only, given.seeds, given.evaluations)
    todo = [key for key in keys if key not in results]
    with path.open("a") as file:
        for done, result in enumerate(ran(todo, given.jobs), 1):
            results[_key(result)] = result
            print("\n" + json.dumps({**result, "code": code}), end="", file=file, flush=True)
            print(f"\r{done} of {len(todo)} runs, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    table = rows([results[key] for key in keys], SPACES)
    if given.json:
        print(json.dumps({"model": str(MODEL), "code": code, "rows": table}, default=asdict))
    else:
        print(f"\nLandscapes: {MODEL}.\n\n" + text(table, given.markdown))


if __name__ == "__main__":
    main()
