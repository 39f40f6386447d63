"""The verbs for those who write problems: problems, check, prompt."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from evolve import config
from evolve.cli.reading import measured, show_json
from evolve.errors import ProblemError, RunError, UsageError
from evolve.lineage import Run
from evolve.problem import Problem, find_problem, load_problem, problem_names
from evolve.proposer import build, tokens
from evolve.runner import confirm, rundir
from evolve.runner.asks import alone
from evolve.runner.launch import Setup
from evolve.search import Search
from evolve.search.randomness import entropy
from evolve.search.thresholds import Thresholds, rules
from evolve.types import Candidate, Evaluation, Files, Prompt, ProposalRequest, Status

console = Console(highlight=False, soft_wrap=True, emoji=False)


def problems(arguments: argparse.Namespace) -> int:
    found = [described(load_problem(name)) for name in problem_names()]
    if arguments.json:
        return show_json({"problems": found})
    for entry in found:
        console.print(f"[bold]{entry['name']}[/bold]  {entry['about']}")
        directions = ", ".join(f"{direction} {name}" for name, direction in entry["objectives"].items())
        here = f"; runs here: no (needs {', '.join(entry['missing'])})" if entry["missing"] else ""
        line = f"    {directions}; stages {', '.join(entry['stages'])}; {entry['language']}{here}"
        console.print(line, style="dim", markup=False)
    return 0


def described(problem: Problem) -> dict[str, Any]:
    """Returns what `evolve problems --json` says of one problem."""
    missing = _setup(str(problem.path), []).evaluator.missing(problem) if problem.requires else []
    about = next((line.strip("# ") for line in problem.description.splitlines() if line.strip("# ")), "")
    return {
        "name": problem.name,
        "about": about,
        "objectives": {name: "maximize" if sign > 0 else "minimize" for name, sign in problem.objectives.items()},
        "known": {name: entry["best"] for name, entry in problem.known.items()},
        "language": "python" if problem.edit[0].endswith(".py") else problem.edit[0].rpartition(".")[2],
        "entry": problem.entry,
        "stages": [stage.name for stage in problem.stages],
        "params": dict(problem.params),
        "path": str(problem.path),
        "runs_here": not missing,
        "missing": missing,
    }


# ---------------------------------------------------------------- check


def check(arguments: argparse.Namespace) -> int:
    setup = _setup(arguments.problem, arguments.words)
    files = _candidate_files(setup.problem, arguments.candidate)
    if missing := setup.evaluator.missing(setup.problem):
        evaluation = Evaluation(status=Status.SKIPPED, feedback=f"needs {', '.join(missing)}, not found here")
    else:
        evaluation = asyncio.run(_evaluate(setup, files, twice=True))
    found = _checked(evaluation)
    if arguments.json:
        show_json(found)
    else:
        _show_check(setup.problem, found)
    return 0 if evaluation.status in (Status.OK, Status.SKIPPED) else 1


def _setup(problem: str, words: list[str]) -> Setup:
    for word in words:
        if word.split(".")[0] not in (*config.FREE, "evaluator"):
            raise UsageError(f"{word}: check takes param.NAME=VALUE and stage.NAME.KEY=VALUE")
    return config.build(config.compose([f"problem={find_problem(problem)}", "evaluator.workers=1", *words]))


def _candidate_files(problem: Problem, path: str | None) -> Files:
    if path is None:
        return problem.initials[0]
    given = Path(path)
    try:
        if given.is_dir():
            files = {
                p.relative_to(given).as_posix(): p.read_text(encoding="utf-8")
                for p in sorted(given.rglob("*"))
                if p.is_file()
            }
        else:
            files = {problem.edit[0]: given.read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise ProblemError(f"--candidate {path}: can't be read as text: {error}") from None
    return {**problem.initials[0], **files}


async def _evaluate(setup: Setup, files: Files, twice: bool = False) -> Evaluation:
    """Runs the stages as a run would, thresholds in the objective's unit included.

    With `twice` the last one once more, as for a new best; the first look stands unless the second casts doubt on it.
    """
    same: dict[str, Any] = {"candidate": 1, "draw_seed": 0, "serve": alone}
    try:
        await setup.evaluator.start(setup.problem)
        found = await setup.evaluator.evaluate(
            setup.problem,
            files,
            thresholds=Thresholds(rules(setup.problem)).now(),
            done=(),
            on_stage=lambda outcome: None,
            **same,
        )
        if not twice or not confirm.is_due(found, None):
            return found
        again = partial(setup.evaluator.measure, setup.problem, files, **same)
        looked = await confirm.confirmed(lambda replicate: again(replicate=replicate), setup.problem, found)
        return found if looked.status is Status.OK else replace(looked, stages=found.stages)
    finally:
        await setup.evaluator.close()


def _checked(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "status": evaluation.status.value,
        **{name: getattr(evaluation, name) for name in ("score", "stderr", "n", "metrics", "feedback")},
        "features": dict(evaluation.features),
        "stages": [
            {
                "name": outcome.stage,
                "replicate": outcome.replicate,
                "status": outcome.status.value,
                "score": outcome.score,
                "metrics": dict(outcome.metrics),
                "seconds": round(outcome.seconds, 6),
            }
            for outcome in evaluation.stages
        ],
    }


def _show_check(problem: Problem, found: Mapping[str, Any]) -> None:
    console.print(f"{problem.name}: {found['status']}", style="bold", markup=False)
    if found["stderr"] is not None:
        console.print(measured(found), markup=False)
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("stage", "status", "metrics", "seconds"):
        table.add_column(heading)
    for stage in found["stages"]:
        table.add_row(stage["name"], stage["status"], measured(stage), f"{stage['seconds']:.3f}")
    if found["stages"]:
        console.print(table)
    if found["feedback"]:
        console.print(found["feedback"], markup=False)


# ---------------------------------------------------------------- prompt


def prompt(arguments: argparse.Namespace) -> int:
    try:
        made = _next_prompt(rundir.find(arguments.subject))
    except RunError as error:
        try:
            find_problem(arguments.subject)
        except ProblemError:
            raise error from None
        made = asyncio.run(_first_prompt(_setup(arguments.subject, [])))
    counts = [(name, tokens(text)) for name, text in (("system", made.system), *made.blocks)]
    if arguments.json:
        blocks = [{"name": name, "tokens": count} for name, count in counts]
        return show_json({"system": made.system, "user": made.user, "blocks": blocks})
    sys.stdout.write(f"{made.system}\n---\n{made.user}\n")
    for name, count in [*counts, ("in all (estimated)", sum(count for _, count in counts))]:
        console.print(f"{count:>7} tokens  {name}", style="dim", markup=False)
    return 0


async def _first_prompt(setup: Setup) -> Prompt:
    """Returns the prompt of a new run's first proposal; the initial program is evaluated for it."""
    search = Search(**setup.search_settings)
    files = setup.problem.initials[0]
    evaluation = await _evaluate(setup, files)
    first = search.add("initial", range(0, len(search.islands), len(setup.problem.initials)))
    search.tell(first, evaluation.status, evaluation.score, {})
    if search.best is None:
        raise ProblemError(
            f"problem={setup.problem.name}: the initial program ends as {evaluation.status}; 'evolve check' it"
        )
    same = {name: getattr(evaluation, name) for name in ("score", "metrics", "feedback", "features")}
    left = evaluation.artifacts()
    parent = Candidate(id=first, status=evaluation.status, origin="initial", files=files, artifacts=left, **same)
    return _built(setup.problem, search, {first: parent})


def _next_prompt(ref: rundir.RunRef) -> Prompt:
    """Returns the prompt that a resume of the run would send next, were it asked for one more candidate."""
    run = Run(ref, ref.open())
    row = run.row()
    setup = config.build({**row["config"], "problem": row["problem_path"]})
    search = Search.load(run.store.events(run.run_id), **setup.search_settings)
    return _built(setup.problem, search, None, run)


def _built(problem: Problem, search: Search, known: Mapping[int, Candidate] | None, run: Run | None = None) -> Prompt:
    request = search.ask()
    assert isinstance(request, ProposalRequest)  # no other kind is asked by this version
    ids = [request.parent or 0, *request.inspirations, *request.tried]
    found = known if known is not None else run.store.candidates(run.run_id, ids) if run else {}
    return build(
        problem,
        operator=request.operator,
        parent=found[request.parent or 0],
        inspirations=[found[candidate] for candidate in request.inspirations],
        tried=[found[candidate] for candidate in request.tried],
        seed=entropy(search.seed, "propose", request.id),
    )
