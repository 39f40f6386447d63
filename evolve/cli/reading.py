"""The verbs that read a stored run: runs, status, best, show, lineage, diff, export."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from evolve.cli.plain import plain, plain_all, plain_json
from evolve.errors import RunError
from evolve.lineage import Run, runs_in
from evolve.lineage.export import lines
from evolve.problem import SHARED
from evolve.proposer.shown import number
from evolve.runner import rundir

console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)
NAMED = 4  # artifacts in a line


def show_json(found: Any) -> int:
    sys.stdout.write(plain_json(json.dumps(found)) + "\n")
    return 0


def runs(arguments: argparse.Namespace) -> int:
    place = arguments.folder
    if "://" not in place and not Path(place).is_dir():
        raise RunError(f"{place}: no such folder")
    found = runs_in(rundir.listed(place) if "://" in place else list(rundir.scan(Path(place))))
    if arguments.json:
        return show_json({"runs": found})
    if not found:
        console.print(f"No runs in {place}, nor in a folder runs there; start one with 'evolve run'.")
    for line in plain_all(found):
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(line["created_at"]))
        best = (measured(line["best"]) if line["best"] else "no ok candidate") + shared(line)
        asked = line["candidates"].get("asked", "?")
        where = shown_path(Path(line["folder"])) if line["folder"] else f"{line['database']}#{line['run_id']}"
        console.print(f"{began}  {line['state']:<11}  {line['problem']:<20}  {asked:>6}  {best}  {where}")
    return 0


def shown_path(folder: Path) -> str:
    """Returns a path relative to here where that is shorter."""
    relative = os.path.relpath(folder)
    return relative if not relative.startswith("..") else str(folder)


def status(arguments: argparse.Namespace) -> int:
    run = Run.open(arguments.run)
    found = run.status()
    if arguments.json:
        return show_json(found)
    found = plain_all(found)
    counts = "  ".join(f"{name} {n}" for name, n in found["candidates"].items() if n or name == "asked")
    judges = found["llm"]["evaluation"]
    shown = {
        "run": f"{found['run_id']}  {found['state']}" + (f" ({found['reason']})" if found["reason"] else ""),
        "problem": f"{found['problem']}  seed {found['seed']}  isolation {found['isolation']}"
        + shared(found)
        + (f"  revision {found['revision']}" if found["revision"] else ""),
        **({"from": _from(found["from"])} if found["from"] else {}),
        "budget": "  ".join(f"{name} {value}" for name, value in found["budget"].items() if value is not None),
        "candidates": counts,
        "best": f"candidate {found['best']['id']}  {measured(found['best'])}" if found["best"] else "none yet",
        **({"best output": _output(found["output"])} if found.get("output") else {}),
        **({"final": final_of(found["final"])} if found["final"] else {}),
        **({"hold-out": held_out(found["holdout"])} if found["holdout"] else {}),
        **{name: told for name, told in steered(found["steered"]).items() if told},
        "llm": "  ".join(
            f"{name} {found['llm'][name]}" for name in ("calls", "lost", "tokens_in", "tokens_out", "tokens_cached")
        )
        + _dollars(found["llm"]),
        **({"judge calls": f"{judges['calls']}{_dollars(judges)} (of those)"} if judges["calls"] else {}),
        "busy": "  ".join(f"{name} {share:.0%}" for name, share in found["utilisation"].items()),
        "time": f"{found['wall_s']:.1f} s",
    }
    for name, text in shown.items():
        console.print(f"{name:<12}{text}")
    return 0


def _output(found: Mapping[str, Any]) -> str:
    return f"candidate {found['id']}  stage {found['stage']}  {measured(found)}"


def _from(found: Mapping[str, Any]) -> str:
    runs = found.get("warm_start", [found.get("fork")])
    return f"{next(iter(found))} of {', '.join(map(str, runs))}"


def steered(found: Mapping[str, Any]) -> dict[str, str]:
    """Returns the lines of what a person has said to the search."""
    set_ = [f"{kind} {name}={value}" for kind in ("budget", "weight") for name, value in found[kind].items()]
    return {"steered": "  ".join(set_), "hints": " | ".join(found["hints"]), "banned": "  ".join(found["bans"])}


def _dollars(llm: dict[str, Any]) -> str:
    return "  cost unknown" if llm["cost_usd"] is None else f"  cost ${llm['cost_usd']:.4g}"


def best(arguments: argparse.Namespace) -> int:
    run = Run.open(arguments.run)
    if arguments.front:
        return _front(run, arguments.json)
    return _show(run, run.best().id, arguments.json, final=run.final())


def _front(run: Run, as_json: bool) -> int:
    front = run.front()
    if as_json:
        return show_json({"front": front})
    if not front:
        raise RunError(f"run {run.run_id} has no ok candidate that violates nothing yet")
    table = Table(box=None, padding=(0, 2, 0, 0))
    names = list(run.problem().objectives)
    for name in ("candidate", *names):
        table.add_column(name, justify="right")
    for one in front:
        table.add_row(str(one["id"]), *(number(one["metrics"][name]) for name in names))
    console.print(table)
    return 0


def show(arguments: argparse.Namespace) -> int:
    return _show(Run.open(arguments.run), arguments.id, arguments.json)


def _show(run: Run, candidate: int, as_json: bool, final: dict[str, Any] | None = None) -> int:
    found = run.shown(candidate)
    if final is not None:  # what the search saw of the best of many noisy values is too good
        found |= {name: final[name] for name in ("score", "stderr", "n", "metrics")}
    if as_json:
        return show_json(found)
    found = plain_all(found)
    console.print(Text(f"candidate {found['id']}  {found['status']}{shared(found)}  {found['title']}", style="bold"))
    came = f"island {found['island']}  {found['operator'] or found['origin']}"
    if found["parent"] is not None:
        came += f"  parent {found['parent']}"
    if found["inspirations"]:
        came += f"  inspirations {', '.join(map(str, found['inspirations']))}"
    console.print(came)
    holdout = f"hold-out: {held_out(found['holdout'])}" if found["holdout"] else ""
    left = [f"{one['name']} ({one['kind']}, {one['size']:,} bytes)" for one in found["artifacts"]]
    more = f" and {len(left) - NAMED} more (--json names them)" if len(left) > NAMED else ""
    artifacts = f"artifacts: {', '.join(left[:NAMED])}{more}" if left else ""
    same = f"behaves as candidate {found['behaves_as']}" if found["behaves_as"] else ""
    drafts = ", ".join(f"{one['origin']} {one['number']} {one['status']}" for one in found["drafts"] if one["status"])
    drafts = f"drafts: {drafts}" if drafts and len(found["drafts"]) > 1 else ""
    tuned = found["tuned"] and f"tuned: {found['tuned']['trials']} trials by {found['tuned']['method']}" + (
        "" if found["tuned"]["after"] is not None else ", none of them better"
    )
    for text in (
        found["hypothesis"],
        measured(found),
        same,
        holdout,
        drafts,
        tuned,
        artifacts,
        found["feedback"].strip(),
    ):
        if text:
            console.print(text)
    for path, text in found["files"].items():
        console.print(Text(f"\n{path}", style="dim"))
        if console.is_terminal:
            console.print(Syntax(text, Syntax.guess_lexer(path, text), background_color="default"))
        else:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
    return 0


def lineage(arguments: argparse.Namespace) -> int:
    found = Run.open(arguments.run).lineage(arguments.id)
    if arguments.json:
        return show_json({"id": arguments.id, "ancestors": found})
    before: float | None = None
    for entry in plain_all(found):
        gain = f"  {entry['score'] - before:+.6g}" if before is not None and entry["score"] is not None else ""
        what = entry["title"] or entry["operator"]
        told = measured(entry) if entry["status"] == "ok" else entry["status"]
        others = f"  with {', '.join(map(str, entry['inspirations']))}" if entry["inspirations"] else ""
        console.print(f"{entry['id']:>6}  island {entry['island']}  {told}{gain}  {what}{others}")
        before = entry["score"] if entry["score"] is not None else before
    return 0


def diff(arguments: argparse.Namespace) -> int:
    text = plain(Run.open(arguments.run).diff(arguments.a, arguments.b))
    if console.is_terminal:
        console.print(Syntax(text, "diff", background_color="default"))
    else:
        sys.stdout.write(text)
    return 0


def export(arguments: argparse.Namespace) -> int:
    found = lines(Run.open(arguments.run), measured=not arguments.no_measured)
    if arguments.destination == "-":
        for line in found:
            sys.stdout.write((plain_json(line) if sys.stdout.isatty() else line) + "\n")
        return 0
    try:
        with Path(arguments.destination).open("w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in found)
    except OSError as error:
        raise RunError(f"{arguments.destination}: can't be written: {error.strerror}") from None
    return 0


def shared(found: Mapping[str, Any]) -> str:
    """Returns the mark of what was scored in the candidate's own sandbox."""
    return f"  trust: {SHARED}" if found["trust"] == SHARED else ""


def measured(found: Mapping[str, Any]) -> str:
    """Returns metrics in one line; the one that ranks with its standard error, where it is a mean over replicates."""
    ranks = next(
        (n for n, v in found["metrics"].items() if v is not None and abs(v) == abs(found["score"] or 0.0)), None
    )
    error = f" ± {found['stderr']:.2g} (n = {found['n']})" if found.get("stderr") is not None else ""
    return "  ".join(
        f"{name} {number(value) if value is not None else 'none'}{error if name == ranks else ''}"
        for name, value in found["metrics"].items()
    )


def final_of(found: Mapping[str, Any]) -> str:
    """Returns a line on the winner of a noisy run's final."""
    error = "" if found["stderr"] is None else f" +- {found['stderr']:.2g}"
    values = ", ".join(f"{name} {number(value)}" for name, value in found["metrics"].items())
    return f"candidate {found['candidate']}  {values}{error}, the mean of {found['n']} fresh evaluations"


def held_out(found: Mapping[str, Any]) -> str:
    """Returns what the best came to on the instances kept for the end."""
    told = measured({"score": None, **found}) if found["status"] == "ok" else found["status"]
    return f"{told}  (candidate {found['candidate']}, instances {found['instances']})"
