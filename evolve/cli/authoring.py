"""The verbs for those who write problems: problems, new, check, prompt."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import os
import shlex
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evolve import config
from evolve.cli.advice import advice
from evolve.cli.plain import plain, plain_all
from evolve.cli.reading import measured, shared, show_json
from evolve.errors import EvolveError, ProblemError, RunError, UsageError
from evolve.finding import find_problem, installed, known_problems, problem_folders, problem_names
from evolve.folder import bundled_root, folder_files
from evolve.lineage import Run
from evolve.loading import load_problem
from evolve.problem import TEXT, Problem
from evolve.proposer import tokens
from evolve.runner import confirm, launch, rundir
from evolve.runner.asks import alone
from evolve.runner.proposals import first_prompt, needed
from evolve.runner.setup import Setup
from evolve.search import Search
from evolve.search.thresholds import Thresholds, rules
from evolve.types import Candidate, Evaluation, Files, Prompt, Status

TEMPLATE = "_template"  # the folder among the bundled problems that `new` copies
UNVERIFIED = "unverified: evaluator.py and the candidate run in this process, without a sandbox; no limit is enforced"
FACTS: Mapping[str, Any] = {"candidate": 1, "draw_seed": 0, "serve": alone}  # of an evaluation outside a run
console = Console(highlight=False, soft_wrap=True, emoji=False, markup=False)


def problems(arguments: argparse.Namespace) -> int:
    found = [_listed(folder) for folder in known_problems()]
    for one in installed():
        if not (one.folder and problem_folders(one.folder)):
            reason = (
                "entry point evolve.problems: names no package that is installed and holds a folder with evaluator.py"
            )
            found.append(_broken(one.entry_point, one.folder or "", reason))
    if arguments.json:
        return show_json({"problems": found})
    for entry in found:
        console.print(Text.assemble((plain(entry["name"]), "bold"), plain(f"  {entry['about']}")))
        facts = [entry["kind"], *(f"{direction} {name}" for name, direction in entry["objectives"].items())]
        facts += [entry["language"], shared(entry).strip()]
        facts += [] if entry["runs_here"] else [f"runs here: no ({entry['reason']})"]
        console.print(plain(f"    {'; '.join(filter(None, facts))}"), style="dim")
    return 0


def _listed(folder: Path) -> dict[str, Any]:
    try:
        return described(load_problem(str(folder)))
    except EvolveError as error:
        return _broken(folder.name, folder, str(error))


def _broken(name: str, folder: Path | str, reason: str) -> dict[str, Any]:
    unknown: dict[str, Any] = {"about": "", "kind": "", "objectives": {}, "language": "", "trust": ""}
    return {"name": name, **unknown, "path": str(folder), "runs_here": False, "missing": [], "reason": reason}


def described(problem: Problem) -> dict[str, Any]:
    """Returns what `evolve problems --json` says of one problem."""
    missing = _setup(str(problem.folder), []).evaluator.missing(problem) if problem.requires else []
    about = next((line.strip("# ") for line in problem.description.splitlines() if line.strip("# ")), "")
    suffix = problem.edit[0].rpartition(".")[2]
    return {
        "name": problem.name,
        "about": about,
        "kind": problem.kind,
        "objectives": {name: "maximize" if sign > 0 else "minimize" for name, sign in problem.objectives.items()},
        "known": {name: entry["best"] for name, entry in problem.known.items()},
        "language": "text" if problem.entry == TEXT else "python" if suffix == "py" else suffix,
        "entry": problem.entry,
        "stages": [stage.name for stage in problem.stages],
        "params": dict(problem.params),
        "path": str(problem.folder),
        "trust": problem.trust,
        "runs_here": not missing,
        "missing": missing,
        "reason": f"needs {', '.join(missing)}, not found here" if missing else "",
    }


# ---------------------------------------------------------------- new


def new(arguments: argparse.Namespace) -> int:
    """Writes a problem that works as it is, with comments that say what to change."""
    folder = Path(arguments.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is there already and not empty; name a new folder")
    template = bundled_root() / TEMPLATE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder_files(template):
            (folder / path.relative_to(template)).write_bytes(path.read_bytes())
    except OSError as error:
        raise RunError(f"{folder}: can't be written ({error.strerror})") from None
    taken = (
        str(folder).startswith(("-", "~")) or str(folder) in problem_names()
    )  # for an option, or for another problem
    shown = shlex.quote(f"./{folder}" if taken else str(folder))
    console.print(plain(f"{shown} is a problem that works: {', '.join(p.name for p in folder_files(folder))}"))
    for line in (f"evolve check {shown}", f"evolve run problem={shown}"):
        console.print(f"    {line}")
    return 0


# ---------------------------------------------------------------- check


def check(arguments: argparse.Namespace) -> int:
    setup, missing = _here(_setup(arguments.problem, arguments.words))
    files = _candidate_files(setup.problem, arguments.candidate)
    if arguments.stage not in (None, *(stage.name for stage in setup.problem.stages)):
        names = ", ".join(stage.name for stage in setup.problem.stages)
        raise UsageError(f"--stage {arguments.stage}: {setup.problem.name} has the stages {names}")
    advised: list[str] = []
    if missing:
        evaluation = Evaluation(status=Status.SKIPPED, feedback=f"needs {', '.join(missing)}, not found here")
    elif arguments.debug:
        evaluation = _debugged(setup.problem, files, arguments)
    else:
        evaluation, advised = asyncio.run(_advised(setup, files, arguments))
    passed = evaluation.status in (Status.OK, Status.SKIPPED)
    found = {**_checked(evaluation, advised), "trust": setup.problem.trust}
    if arguments.debug:
        found["unverified"] = True
    elif not passed:
        found["repeat"] = shlex.join(_repeat(arguments, evaluation))
    if caution := setup.problem.caution:
        sys.stderr.write(plain(f"trust: {caution}\n"))
    if arguments.json:
        show_json(found)
    else:
        _show_check(setup.problem, plain_all(found))
    return 0 if passed else 1


def _setup(problem: str, words: list[str]) -> Setup:
    for word in words:
        if word.split(".")[0] not in (*config.FREE, "evaluator", "foreign"):
            raise UsageError(
                f"{word}: check takes param.NAME=VALUE, stage.NAME.KEY=VALUE, evaluator.KEY=VALUE and foreign.allow=[env:NAME]"
            )
    return config.build(config.compose([f"problem={find_problem(problem)}", "evaluator.workers=1", *words]))


def _here(setup: Setup) -> tuple[Setup, list[str]]:
    """Returns what runs a problem as far as this machine can, and what it lacks for the first stage.

    Without a GPU the stages that need none run, in the local pool, and the first that does ends as skipped.
    """
    missing = setup.evaluator.missing(setup.problem)
    if missing != ["gpu"] or setup.problem.stages[0].profile == "gpu":
        return setup, missing
    leaf = setup.config["evaluator"]
    return config.build({**setup.config, "evaluator": {**leaf, **({"gpu": False} if "gpu" in leaf else {})}}), []


def _candidate_files(problem: Problem, path: str | None) -> Files:
    if path is None and not problem.initials:
        raise ProblemError(f"problem={problem.name}: {problem.folder} has no initial program; give --candidate PATH")
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
    return {**(problem.initials[0] if problem.initials else {}), **files}


@contextlib.asynccontextmanager
async def _started(setup: Setup) -> AsyncIterator[Any]:
    try:
        await setup.evaluator.start(setup.problem)
        yield setup.evaluator
    finally:
        await setup.evaluator.close()


async def _sandboxed(setup: Setup, files: Files) -> Evaluation:
    async with _started(setup) as evaluator:
        return await _evaluate(evaluator, setup.problem, files, None)


async def _advised(setup: Setup, files: Files, arguments: argparse.Namespace | None) -> tuple[Evaluation, list[str]]:
    """Evaluates in the sandbox; where the whole problem is checked as it is, with the advice on it."""
    async with _started(setup) as evaluator:
        found = await _evaluate(evaluator, setup.problem, files, arguments)
        if arguments is not None and (arguments.candidate is not None or _chosen(arguments) != [None] * 3):
            return found, []
        measure = partial(evaluator.measure, setup.problem, **FACTS)
        return found, await advice(setup.problem, files, found, measure)


def _chosen(arguments: argparse.Namespace | None) -> list[Any]:
    return [None] * 3 if arguments is None else [arguments.stage, arguments.instance, arguments.replicate]


async def _evaluate(evaluator: Any, problem: Problem, files: Files, arguments: argparse.Namespace | None) -> Evaluation:
    """Runs the stages as a run would, thresholds in the objective's unit included; or what the arguments choose of them.

    A check looks at the last one twice, as a run does at a new best: the first look stands unless the second casts doubt on it.
    """
    if _chosen(arguments) != [None] * 3:
        stage, instance, replicate = _chosen(arguments)
        outcome = await evaluator.measure(
            problem, files, stage=stage or "", only=instance or "", replicate=replicate or 0, **FACTS
        )
        return Evaluation.of([outcome])
    thresholds = Thresholds(rules(problem)).now()
    found: Evaluation = await evaluator.evaluate(problem, files, thresholds=thresholds, **FACTS)
    if arguments is None or arguments.debug or not confirm.is_due(found, None):
        return found
    again = partial(evaluator.measure, problem, files, **FACTS)
    looked = await confirm.confirmed(lambda replicate: again(replicate=replicate), problem, found)
    return found if looked.status is Status.OK else replace(looked, stages=found.stages)


def _debugged(problem: Problem, files: Files, arguments: argparse.Namespace) -> Evaluation:
    """Evaluates in this process, in the foreground; on standard output there is nothing of it where that is for JSON."""
    debug: Any = importlib.import_module("evaluators.debug")  # by name: nothing of `evolve` imports what evaluates
    sys.stderr.write(UNVERIFIED + "\n")
    foreground = debug.Foreground(lambda text: sys.stderr.write(plain(text)))
    with _standard_output_elsewhere() if arguments.json else contextlib.nullcontext():
        evaluation: Evaluation = foreground.serve_until(_evaluate(debug.Cascade(foreground), problem, files, arguments))
    return evaluation


@contextlib.contextmanager
def _standard_output_elsewhere() -> Iterator[None]:
    """Has everything that is printed, by whatever means, go to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _repeat(arguments: argparse.Namespace, evaluation: Evaluation) -> list[str]:
    """Returns the words that repeat what failed, in this process, where it can be looked at."""
    words = ["evolve", "check", arguments.problem, *arguments.words]
    if arguments.candidate is not None:
        words += ["--candidate", arguments.candidate]
    failed = next((outcome for outcome in evaluation.stages if outcome.status is not Status.OK), None)
    if failed is not None:
        words += ["--stage", failed.stage]
        if failed.replicate:
            words += ["--replicate", str(failed.replicate)]
        if (instance := arguments.instance or _failed_instance(failed.instances)) is not None:
            words += [f"--instance={instance}"] if instance.startswith("-") else ["--instance", instance]
    return [*words, "--debug"]


def _failed_instance(instances: Sequence[Mapping[str, Any]]) -> str | None:
    """Returns the name of the first instance that failed, or its place where the name would be another's."""
    names: list[str] = []
    for place, instance in enumerate(instances):
        name = instance["name"]
        if instance["status"] != Status.OK:
            return name if name and name not in names and name.isprintable() else str(place)
        names.append(name)
    return None


def examined(problem: str) -> dict[str, Any]:
    """Returns what `check --json` says of a problem as it is; of its status alone where nothing can be evaluated here."""
    setup = _setup(problem, [])
    missing = setup.evaluator.missing(setup.problem)
    if missing or not setup.problem.initials:
        return {"status": Status.SKIPPED.value, "feedback": f"needs {', '.join(missing) or 'an initial program'}"}
    return _checked(*asyncio.run(_advised(setup, setup.problem.initials[0], None)))


def tried(problem: str, files: Files, debug: bool) -> dict[str, Any]:
    """Returns what `check --json` says of a candidate, without advice; with `debug` as `check --debug` has it."""
    setup, missing = _here(_setup(problem, []))
    files = {**(setup.problem.initials[0] if setup.problem.initials else {}), **files}
    if missing:
        return {"status": Status.SKIPPED.value, "feedback": f"needs {', '.join(missing)}, not found here"}
    if not debug:
        return _checked(asyncio.run(_sandboxed(setup, files)), [])
    whole = argparse.Namespace(stage=None, instance=None, replicate=None, debug=True, json=False)
    return {**_checked(_debugged(setup.problem, files, whole), []), "unverified": True}


def _checked(evaluation: Evaluation, advised: Sequence[str]) -> dict[str, Any]:
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
        "advice": list(advised),
    }


def _show_check(problem: Problem, found: Mapping[str, Any]) -> None:
    mark = " (unverified)" if "unverified" in found else ""
    console.print(f"{problem.name}: {found['status']}{mark}{shared(found)}", style="bold")
    if found["stderr"] is not None:
        console.print(measured(found))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("stage", "status", "metrics", "seconds"):
        table.add_column(heading)
    for stage in found["stages"]:
        table.add_row(stage["name"], stage["status"], measured(stage), f"{stage['seconds']:.3f}")
    if found["stages"]:
        console.print(table)
    if found["feedback"]:
        console.print(found["feedback"])
    for line in found["advice"]:
        console.print(f"advice: {line}")
    if "repeat" in found:
        console.print(f"repeat: {found['repeat']}")


# ---------------------------------------------------------------- prompt


def prompt(arguments: argparse.Namespace) -> int:
    try:
        made = _next_prompt(rundir.find(arguments.subject))
        if arguments.words:
            raise UsageError(
                f"{arguments.words[0]}: a run's next prompt takes no words; they are for a problem's first"
            )
    except RunError as error:
        try:
            find_problem(arguments.subject)
        except ProblemError:
            raise error from None
        words = [f"problem={find_problem(arguments.subject)}", "evaluator.workers=1", *arguments.words]
        made = asyncio.run(_first_prompt(_here(config.build(config.compose(words)))[0]))
    counts = [(name, tokens(text)) for name, text in (("system", made.system), *made.blocks)]
    if arguments.json:
        blocks = [{"name": name, "tokens": count} for name, count in counts]
        return show_json({"system": made.system, "user": made.user, "blocks": blocks})
    sys.stdout.write(plain(f"{made.system}\n---\n{made.user}\n"))
    for name, count in [*counts, ("in all (estimated)", sum(count for _, count in counts))]:
        console.print(f"{count:>7} tokens  {name}", style="dim")
    return 0


async def _first_prompt(setup: Setup) -> Prompt:
    """Returns the prompt of a new run's first proposal; the initial program is evaluated for it, as far as that can be here."""
    search = Search(**setup.search_settings)
    if not setup.problem.initials:
        return _built(setup, search, {})
    files = setup.problem.initials[0]
    evaluation = await _sandboxed(setup, files)
    if evaluation.status is Status.SKIPPED and evaluation.stages[1:]:
        evaluation = Evaluation.of(evaluation.stages[-2:-1])
    first = search.add("initial", range(0, len(search.islands), len(setup.problem.initials)))
    search.tell(first, evaluation.status, evaluation.score, {})
    if search.best is None:
        raise ProblemError(
            f"problem={setup.problem.name}: the initial program ends as {evaluation.status}; 'evolve check' it"
        )
    same = {name: getattr(evaluation, name) for name in ("score", "metrics", "feedback", "features")}
    left = evaluation.artifacts()
    parent = Candidate(id=first, status=evaluation.status, origin="initial", files=files, artifacts=left, **same)
    return _built(setup, search, {first: parent})


def _next_prompt(ref: rundir.RunRef) -> Prompt:
    """Returns the prompt that a resume of the run would send next, were it asked for one more candidate."""
    run = Run(ref, ref.open())
    row = run.row()
    setup = config.build({**row["config"], "problem": row["problem_path"]})
    if setup.problem.initials:
        run.best()  # there is nothing to propose from without one
    launch.checked(setup, row)
    search = Search.load(run.store.decisions(run.run_id), **setup.search_settings)
    return _built(setup, search, None, run)


def _built(setup: Setup, search: Search, known: Mapping[int, Candidate] | None, run: Run | None = None) -> Prompt:
    request = search.ask()
    if known is None and run is not None:
        known = run.store.candidates(run.run_id, needed(search, request))
    return first_prompt(setup.problem, search, request, known or {}, setup.proposing, setup.provider.converses)
