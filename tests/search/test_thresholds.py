"""Stage thresholds: absolute, by quantile, in the objective's own direction."""

from __future__ import annotations

from pathlib import Path

import pytest

from evolve.errors import ProblemError
from evolve.problem import Problem, Stage
from evolve.search.thresholds import Rule, Thresholds, rules
from evolve.types import Status
from tests.search.driving import founded


def problem(pass_if: str, sign: int = 1) -> Problem:
    return Problem(
        name="p", path=Path("/p"), description="", entry="f", edit=("initial.py",), initials=({"initial.py": ""},),
        objectives={"value": sign}, stages=(Stage(name="small", pass_if=pass_if), Stage(name="main")),
    )  # fmt: skip


def test_an_absolute_threshold_holds_from_the_first_candidate():
    assert Thresholds(rules(problem(">= 1.5"))).now() == {"small": 1.5}


def test_a_minimised_objective_is_compared_by_score():
    assert rules(problem("<= 1.5", sign=-1)) == {"small": Rule(score=-1.5)}


def test_a_quantile_is_read_as_a_share():
    assert rules(problem(">= q25")) == {"small": Rule(quantile=0.25)}


def test_a_stage_without_a_rule_has_no_threshold():
    assert rules(problem("")) == {} and Thresholds({}).now() == {}


@pytest.mark.parametrize(
    ("text", "sign", "remedy"), [("<= 1.5", 1, "compares with >="), (">= 1.5", -1, "compares with <=")]
)
def test_a_comparison_against_the_direction_is_refused(text, sign, remedy):
    with pytest.raises(ProblemError, match=rf"stages\.small\.pass_if '{text}'.*{remedy}"):
        rules(problem(text, sign))


def test_a_quantile_waits_for_20_scores():
    thresholds = Thresholds({"small": Rule(quantile=0.5)})
    for score in range(19):
        thresholds.observe({"small": float(score)})
    assert thresholds.now() == {}
    thresholds.observe({"small": 19.0})
    assert thresholds.now() == {"small": 9.5}


def test_a_quantile_is_over_the_last_200_scores():
    thresholds = Thresholds({"small": Rule(quantile=0.5)})
    for score in [0.0] * 500 + [1.0] * 200:
        thresholds.observe({"small": score, "main": 9.0})
    assert thresholds.now() == {"small": 1.0}


def test_a_request_carries_the_thresholds_of_its_moment():
    search = founded(rules={"small": Rule(quantile=0.5)}, islands=1)
    assert search.ask().thresholds == {}
    for candidate in range(2, 23):
        search.tell(candidate, Status.OK, 1.0, {"small": float(candidate)})
        if candidate < 22:
            search.ask()
    assert search.ask().thresholds == {"small": 12.0}
