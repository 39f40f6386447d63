"""What `evolve check` advises beyond the initial program's result: each line says what is wrong, where, and the remedy.

Random edits show whether the score tells programs apart; outputs that are tampered with show what `score` believes. All of it
ends after `PATIENCE_S`.
"""

from __future__ import annotations

import ast
import importlib
import math
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from itertools import product

from numpy.random import PCG64, Generator

from evolve.llm.mutation import mutate
from evolve.problem import HOOKS, TEXT, Problem, same_value
from evolve.types import Evaluation, Files, StageOutcome, Status

EDITS, MUTATIONS = 10, 3.0  # random edits of the initial program, and changes in each of them
PATIENCE_S = 30.0  # for edits and tampering together
LIE = 1e12
NUMBERS = 8  # how many numbers of an output are tampered with, one by one, where they are no data of a longer list
FASTER = "Raise it in problem.yaml, or make the instances fewer or smaller"
NO_MORE = "evolve check: no such number"

TAMPER = '''

_evolve_entry = {entry}


def {entry}(*args, **kwargs):
    """Returns what the program does, with its number {place} (None: all) in place of another."""
    place, lie, count = {place}, float("{lie}"), [0]

    def altered(value, deep):
        if getattr(value, "shape", None) == ():
            value = value.item()
        if isinstance(value, dict):
            return {{key: altered(inner, deep) for key, inner in value.items()}}
        if isinstance(value, (list, tuple)):
            return [altered(inner, deep or len(value) > {most}) for inner in value]
        if hasattr(value, "astype") and place is None and value.dtype.kind in "iuf":
            count[0] += 1
            return value.astype(float) * 0 + lie
        if type(value) not in (int, float) or (deep and place is not None):
            return value
        count[0] += 1
        return lie if place in (None, count[0]) else value

    output = altered(_evolve_entry(*args, **kwargs), False)
    if count[0] < (place or 1):
        raise LookupError("{no_more}")
    return output
'''

Measure = Callable[..., Awaitable[StageOutcome]]


async def advice(problem: Problem, files: Files, found: Evaluation, measure: Measure) -> list[str]:
    """Returns the advice on a problem whose initial program was evaluated; `measure` runs one stage of other files."""
    said = [*_misnamed(problem), *_without_entry(problem, files, found), *_slow(problem, found)]
    if not problem.description:
        said.append("there is no description, so a prompt says nothing of what is wanted; write problem.md")
    if found.status is not Status.OK:
        return said
    until = time.monotonic() + PATIENCE_S
    said += [line async for line in _constant(problem, files, found.stages[0], measure, until)]
    said += [line async for line in _believed(problem, files, measure, until)]
    if problem.holdout or (problem.path / "hidden").is_dir():
        said += importlib.import_module("evaluators.leaks").leaks(problem)  # by name, like all that evaluates
    return said


def _functions(problem: Problem) -> tuple[set[str], set[str]]:
    """Returns the names of evaluator.py's functions, and all names that it reads."""
    tree = ast.parse((problem.path / "evaluator.py").read_text(encoding="utf-8", errors="replace"))
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return own, {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _misnamed(problem: Problem) -> Iterator[str]:
    """Finds functions of evaluator.py that nobody calls, and whose names are all but those that the engine looks for."""
    with suppress(SyntaxError):  # which the evaluation has told
        own, used = _functions(problem)
        for name in sorted(own - used - set(HOOKS)):
            if near := get_close_matches(name, set(HOOKS) - own, 1, 0.8):
                yield f"evaluator.py: nobody calls {name}(); did you mean {near[0]}()?"


def _without_entry(problem: Problem, files: Files, found: Evaluation) -> Iterator[str]:
    if found.status is Status.CRASH and f"has no '{problem.entry}'" in found.feedback:
        functions = re.findall(r"^def ([A-Za-z]\w*)", files.get(problem.entry_file, ""), re.MULTILINE)
        only = f", only {', '.join(functions)}; write it, or entry: {functions[0]}" if functions else "; write it"
        yield f"entry: {problem.entry_file} has no function {problem.entry}(){only}"


def _slow(problem: Problem, found: Evaluation) -> Iterator[str]:
    for outcome in found.stages:
        stage = problem.stage(outcome.stage)
        limit = f"stage '{stage.name}': timeout_s={stage.timeout_s:g}"
        if outcome.status is Status.TIMEOUT:
            trial = f"stage.{stage.name}.timeout_s={10 * stage.timeout_s:g}"
            yield f"{limit} is too short for the program; {trial} shows how long it takes. {FASTER}"
        elif outcome.turn_s > stage.timeout_s / 2:
            yield f"{limit} leaves little room: the program takes {outcome.turn_s:.2g} s, others take longer. {FASTER}"


# ---------------------------------------------------------------- random edits


async def _constant(
    problem: Problem, files: Files, first: StageOutcome, measure: Measure, until: float
) -> AsyncIterator[str]:
    """Says where random edits of the initial program all score like it, or never score."""
    rng, ends = Generator(PCG64(0)), Counter[str]()
    paths = [path for path in problem.edit if path.endswith(".py") and path in files]
    for number in range(EDITS if paths else 0):
        path = paths[number % len(paths)]
        child = mutate(files[path], [], rng, mutations=MUTATIONS)
        if child is None or time.monotonic() > until:
            break
        outcome = await measure({**files, path: child.text}, stage=first.stage)
        if outcome.status is Status.OK and not _alike(problem, outcome, first):
            return
        ends[outcome.status.value] += 1
    if ends.total() < EDITS:
        return
    failed = ", ".join(f"{count} {status}" for status, count in ends.items() if status != Status.OK)
    where = f"stage '{first.stage}': of {EDITS} random edits of the program"
    if ends[Status.OK]:
        value = f"{problem.objective} {first.metrics[problem.objective]:g}"
        but = f", but for {failed}" if failed else ""
        yield f"{where} all score as it does ({value}){but}; let score() tell a little better from a little worse"
    elif failed:
        yield f"{where} none scores ({failed}); let score() give part of the credit where it now raises Invalid"


def _alike(problem: Problem, one: StageOutcome, other: StageOutcome) -> bool:
    return all(same_value(one.metrics[name], other.metrics[name]) for name in problem.objectives)


# ---------------------------------------------------------------- outputs that are tampered with


async def _believed(problem: Problem, files: Files, measure: Measure, until: float) -> AsyncIterator[str]:
    """Says where `score` believes a number that the candidate states, or lets NaN pass; on the first instance of a stage."""
    if problem.command or problem.entry == TEXT or problem.entry_file not in files:
        return

    async def scored(place: int | None, lie: float) -> StageOutcome | None:
        """Returns the outcome with a number replaced; None where there is no such number, or no more time."""
        told = {"entry": problem.entry, "place": place, "lie": lie, "most": NUMBERS, "no_more": NO_MORE}
        text = files[problem.entry_file] + TAMPER.format(**told)
        if time.monotonic() > until:
            return None
        outcome = await measure({**files, problem.entry_file: text}, **where)
        return None if NO_MORE in outcome.feedback else outcome

    where = {"stage": problem.stages[0].name, "only": "0"}
    honest = await measure(files, **where)
    if honest.score is None:
        return
    name, entry = problem.objective, f"{problem.entry}()"
    before = f"{name} {honest.metrics[name]:g}"
    told = await scored(None, math.nan)
    if told is not None and told.score is not None and told.score >= honest.score:
        got = f"NaN for each number of what {entry} returns brings {name} {told.metrics[name]:g} (else {before})"
        yield f"score() lets NaN pass: {got}; no comparison with NaN is true, so raise Invalid unless math.isfinite()"
    # in a session a number is an answer, and any other one may be a better answer
    least = honest.score + (LIE / 1e6 if "drive" in _functions(problem)[0] else 1e-9 * abs(honest.score))
    for place, lie in product(range(1, NUMBERS + 1), (LIE, -LIE)):
        told = await scored(place, lie)
        if told is None:
            return
        if told.score is not None and told.score > least:
            got = f"{lie:g} for number {place} of what {entry} returns brings {name} {told.metrics[name]:g} (else {before})"
            yield f"score() seems to believe what the candidate states: {got}; compute it from the rest of the output"
            return
