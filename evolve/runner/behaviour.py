"""Behaviour: what a program does on each instance, by which programs of other texts are found to be the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evolve.population import Firsts, digest
from evolve.problem import Problem
from evolve.types import Evaluation, Files, Status

VECTOR = 64  # instances whose scores the search is told


class Behaviours:
    """Knows for each behaviour who had it first."""

    def __init__(self, first: Firsts):
        self._first = first

    def first(self, evaluation: Evaluation) -> int | None:
        """Returns who is known to behave as an evaluation shows."""
        return self._first.get(_mark(evaluation))

    def of(self, candidate: int, evaluation: Evaluation) -> dict[str, Any]:
        """Returns the columns that tell a candidate's behaviour: a hash of all that was measured, and who had it before."""
        instances = last_instances(evaluation)
        if evaluation.status is not Status.OK or not instances:
            return {}
        mark = _mark(evaluation)
        first = self._first.note(mark, candidate)
        return {"behaviour": mark, **({} if first == candidate else {"behaves_as": first})}


def _mark(evaluation: Evaluation) -> str:
    instances = last_instances(evaluation)
    return digest(repr([sorted((name, repr(value)) for name, value in one["metrics"].items()) for one in instances]))


def facts(problem: Problem, files: Files, evaluation: Evaluation) -> dict[str, Any]:
    """Returns what the search compares an ok candidate by beside its score; what says nothing is left out."""
    if evaluation.status is not Status.OK:
        return {}
    signs = problem.objectives if len(problem.objectives) > 1 else {}
    found = {
        "vector": vector(problem, evaluation),
        "features": dict(evaluation.features),
        "objectives": [sign * evaluation.metrics[name] for name, sign in signs.items()],
        "violation": problem.violation(evaluation.metrics),
        "size": sum(map(len, files.values())),
    }
    return {name: value for name, value in found.items() if value}


def vector(problem: Problem, evaluation: Evaluation) -> list[float]:
    """Returns the score on each instance (higher is better), [] where there are too many or one has none."""
    sign, name = problem.objectives[problem.objective], problem.objective
    values = [one["metrics"].get(name) for one in last_instances(evaluation)]
    known = evaluation.status is Status.OK and 1 < len(values) <= VECTOR and None not in values
    return [sign * float(value) for value in values] if known else []


def last_instances(evaluation: Evaluation) -> tuple[Mapping[str, Any], ...]:
    """Returns what the last stage's first replicate measured on each instance."""
    return next((o.instances for o in evaluation.stages if o.stage == evaluation.stages[-1].stage), ())
