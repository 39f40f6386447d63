"""Measures what the offline proposer makes of each bundled problem: `python -m tests.benchmarks.problems --out DIR [--json]`.

`evolve run problem=NAME budget.candidates=300 llm=offline seed=S` for each problem (or those of `--only`) and seed, one after
another; `--set KEY=VALUE` adds to the words (`selection.tuning=null` makes long ones a quarter as long). The table has the
objective that ranks: of the initial program, the median of the bests over the seeds (of a noisy problem the winner's mean in
the final), the best known and the median seconds. Runs are kept in DIR; a killed benchmark goes on there. Problems that
can't run here, or are of a language that it does not vary, are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CANDIDATES = 300
VARIED = ("python", "text")  # languages that the offline proposer varies


def evolve(*words: str) -> str:
    """Runs the command in a process of its own; what it prints on standard error is shown."""
    program = [sys.executable, "-c", "import sys; from evolve.cli import main; sys.exit(main())", *words]
    return subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True).stdout


def measured(problem: str, seed: int, candidates: int, folder: Path, more: Sequence[str]) -> dict[str, Any]:
    """Makes a run, or goes on with the one that is there; returns what is known of it."""
    if not (folder / "run.json").exists():
        words = [f"problem={problem}", f"budget.candidates={candidates}", "llm=offline", f"seed={seed}"]
        evolve("run", *words, *more, f"run_dir={folder}")
    elif json.loads(evolve("status", str(folder), "--json"))["state"] != "finished":
        evolve("resume", str(folder))
    status = json.loads(evolve("status", str(folder), "--json"))
    initial = json.loads(evolve("show", str(folder), "1", "--json"))
    return {"initial": initial["metrics"], "best": status["best"]["metrics"], "seconds": status["wall_s"]}


def row(found: dict[str, Any], runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a problem's line of the table, in the unit of the objective that ranks."""
    objective, direction = next(iter(found["objectives"].items()))
    bests = [run["best"][objective] for run in runs]
    initials = [run["initial"][objective] for run in runs]
    better = max if direction == "maximize" else min
    return {
        "problem": found["name"],
        "objective": f"{direction} {objective}",
        "initial": statistics.median(initials),
        "best": statistics.median(bests),
        "of": [min(bests), max(bests)],
        "known": found["known"].get(objective),
        "improved": sum(better(b, i) == b != i for b, i in zip(bests, initials, strict=True)),
        "seeds": len(runs),
        "seconds": statistics.median(run["seconds"] for run in runs),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--candidates", type=int, default=CANDIDATES)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="more words of `evolve run`")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    rows = []
    for found in json.loads(evolve("problems", "--json"))["problems"]:
        name = found["name"]
        may = found["runs_here"] and found["language"] in VARIED
        if not may or (given.only and name not in given.only):
            continue
        seeds = range(1, given.seeds + 1)
        runs = [measured(name, s, given.candidates, given.out / f"{name}-{s}", given.set) for s in seeds]
        rows.append(row(found, runs))
        if not given.json:
            print(_line(rows[-1]), flush=True)
    if given.json:
        print(json.dumps({"candidates": given.candidates, "rows": rows}))


def _line(found: dict[str, Any]) -> str:
    known = "-" if found["known"] is None else f"{found['known']:.6g}"
    low, high = found["of"]
    cells = (
        f"`{found['problem']}`, {found['objective']}",
        f"{found['initial']:.5g}",
        f"{found['best']:.5g} ({low:.5g} to {high:.5g})",
        known,
        f"{found['improved']} of {found['seeds']}",
        f"{found['seconds']:.0f}",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
