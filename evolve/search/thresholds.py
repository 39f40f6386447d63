"""Stage thresholds: `>= 1.5` in the objective's unit, or `>= q25` of what the stage's last candidates scored."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evolve.errors import ProblemError
from evolve.problem import PASS_IF, Problem

WINDOW = 200  # a quantile is taken over the last scores of a stage
LEAST = 20  # and not before there are this many


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One stage's `pass_if`: a least score (higher is better), or a quantile of the recent ones."""

    score: float | None = None
    quantile: float | None = None


def rules(problem: Problem) -> dict[str, Rule]:
    """Returns the rule of each stage that has one. Raises ProblemError for a comparison against the objective's direction."""
    return {stage.name: _rule(problem, stage.name, stage.pass_if) for stage in problem.stages if stage.pass_if}


def _rule(problem: Problem, stage: str, text: str) -> Rule:
    sign = problem.objectives[problem.objective]
    comparison, value = re.fullmatch(PASS_IF, text).groups()  # type: ignore[union-attr]
    if (comparison[0] == ">") != (sign > 0):
        direction = "maximized, so pass_if compares with >=" if sign > 0 else "minimized, so pass_if compares with <="
        raise ProblemError(
            f"{problem.path}/problem.yaml: stages.{stage}.pass_if {text!r}: the objective is {direction}"
        )
    if value.startswith("q"):
        share = int(value[1:]) / 100  # of values in the objective's unit
        return Rule(quantile=share if sign > 0 else 1 - share)
    return Rule(score=sign * float(value))


class Thresholds:
    """Keeps each stage's recent scores and gives the least score that passes now."""

    def __init__(self, stage_rules: Mapping[str, Rule]):
        self._rules = dict(stage_rules)
        self._recent: dict[str, deque[float]] = {stage: deque(maxlen=WINDOW) for stage in self._rules}

    def observe(self, stage_scores: Mapping[str, float]) -> None:
        for stage, score in stage_scores.items():
            if stage in self._recent:
                self._recent[stage].append(score)

    def clear(self) -> None:
        """Forgets all scores: they were of another problem."""
        for recent in self._recent.values():
            recent.clear()

    def now(self) -> dict[str, float]:
        """Returns stage -> least score, for the stages that have one yet."""
        return {stage: least for stage, rule in self._rules.items() if (least := self._least(stage, rule)) is not None}

    def _least(self, stage: str, rule: Rule) -> float | None:
        if rule.score is not None:
            return rule.score
        recent = self._recent[stage]
        if rule.quantile is None or len(recent) < LEAST:
            return None
        return float(np.quantile(np.array(recent), rule.quantile))
