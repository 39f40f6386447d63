"""The reply after an answer, whole, against a golden file, and what it says in each case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.proposer import reply
from evolve.types import Candidate, StageOutcome, Status
from tests.proposer.test_prompt import CASES, PARENT, PROBLEM, golden

RAN = StageOutcome(
    stage="main",
    status=Status.OK,
    metrics={"least_gap": 0.05721, "spread": 1.0},
    score=0.05721,
    feedback="points 1 and 2 are the closest",
    instances=CASES,
)
TRACE = '  File "initial.py", line 4, in pack\n    return 1 / 0\nZeroDivisionError: division by zero\n'
CRASHED = StageOutcome(stage="small", status=Status.CRASH, feedback=TRACE)


def said(status: str = "ok", reason: str = "", outcome: StageOutcome | None = None, **changes: object) -> str:
    parts = {"parent": PARENT, "last": False, "operator": "diff", **changes}
    return reply(PROBLEM, status=status, reason=reason, outcome=outcome, **parts)


def test_the_whole_reply_is_as_agreed():
    golden("reply", said(outcome=RAN, reintroduced=[("noise = random.gauss(0, 1)", 9)]))


def test_an_answer_that_could_not_be_applied_leaves_the_parent():
    text = said("edit_failed", "block 1: SEARCH is empty", operator="functions")
    assert text.startswith("Your answer could not be applied: block 1: SEARCH is empty.\n")
    assert "Correct the answer. It is applied to the parent as shown above, not to your last answer." in text
    assert "Give the whole program." in said("edit_failed", "no fence", parent=None)


@pytest.mark.parametrize(("operator", "searches"), [("diff", True), ("refine", True), ("functions", False)])
def test_an_answer_that_could_be_applied_is_what_the_next_one_changes(operator, searches):
    text = said("crash", TRACE, CRASHED, operator=operator)
    assert "It is applied to the program that your last answer made" in text
    assert ("copy SEARCH lines from that" in text) == searches


def test_a_failure_is_told_once_with_its_frames():
    text = said("crash", TRACE, CRASHED)
    assert text.startswith("Your program ended as crash in stage small (0.5 s).\n\nFeedback:\n  File")
    assert text.count("ZeroDivisionError") == 1 and "least_gap" not in text


def test_a_duplicate_is_told_of_which_candidate():
    text = said("duplicate", "the same program as candidate 7")
    assert text.startswith("Your answer was not run: the same program as candidate 7.\n\nAnswer once more")


def test_metrics_of_another_stage_are_not_compared_with_the_parents():
    assert "The parent" not in said(outcome=replace(RAN, stage="small"))
    assert "Gap" not in said(outcome=replace(RAN, stage="small"))


def test_the_last_reply_says_so():
    assert said(outcome=RAN, last=True).endswith("It is the last one.") and "last one" not in said(outcome=RAN)


def test_nothing_in_a_reply_is_empty_or_unknown():
    bare = Candidate(id=1, status=Status.OK)
    for text in (
        said(outcome=StageOutcome(stage="main", status=Status.OK), parent=bare),
        said("infra"),
        said("duplicate"),
    ):
        assert not [sign for sign in ("None", "{{", "\n\n\n", ": \n", ":.", "..", "Feedback") if sign in text], text
