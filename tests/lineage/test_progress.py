"""Progress: hand-computed curves from rows."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.lineage.progress import progress, seconds
from tests.lineage import rows

INF = float("inf")


def test_a_curve_over_each_axis(store):
    run = rows.a_run(store, "r", [1.0, None, 3.0, 2.0], usd=0.5)
    found = progress(run)
    assert list(found.best) == [1, 1, 3, 3]
    assert {axis: list(used) for axis, used in found.used.items()} == {
        "candidates": [0, 1, 2, 3],  # the initial program is not asked
        "evaluations": [1, 2, 3, 4],
        "usd": [0.5, 1, 1.5, 2],
        "seconds": [1, 2, 3, 4],
    }
    assert list(found.at("candidates", np.array([0, 1.5, 2, 99]))) == [1, 1, 3, 3]
    assert list(found.at("seconds", np.array([0, 1]))) == [-INF, 1]


def test_drafts_lost_calls_and_work_in_flight_are_paid_for_and_the_hold_out_is_not(store):
    run = rows.a_run(store, "r", [1.0, 2.0], usd=0.5)
    rows.evaluation(store, "r", 1, 2, draft="turn 1")
    rows.evaluation(store, "r", 2, 2, stage="holdout")
    rows.evaluation(store, "r", 3, 9)  # of a candidate that is not told
    for number, state in enumerate(("lost", "failed", "sent"), 10):
        rows.call(store, "r", number, 9, state=state, reserved_usd=0.25)
    found = progress(run)
    assert list(found.used["evaluations"]) == [1, 3] and list(found.used["usd"]) == [0.5, 1]
    assert found.total == {"candidates": 1, "evaluations": 4, "usd": 1.5, "seconds": 2}


def test_trials_are_evaluations(store):
    run = rows.a_run(store, "r", [1.0, 2.0, 3.0])
    for number, candidate in enumerate((2, 2, 9)):
        rows.trial(store, "r", number, candidate)
    found = progress(run)
    assert list(found.used["evaluations"]) == [1, 4, 5] and found.total["evaluations"] == 6


def test_an_unknown_price_makes_dollars_unknown(store):
    found = progress(rows.a_run(store, "r", [1.0, 2.0], usd=None))
    assert np.isnan(found.total["usd"]) and found.total["evaluations"] == 2


def test_a_run_without_rows_has_no_best(store):
    found = progress(rows.a_run(store, "r", []))
    assert list(found.at("candidates", np.array([0.0, 5.0]))) == [-INF, -INF] and found.total["candidates"] == 0


def test_candidates_count_by_their_newest_scores(store):
    run = rows.a_run(store, "r", [1.0, 9.0, 2.0, 5.0])
    rows.rescore(store, "r", 2, 1.5)
    rows.rescore(store, "r", 4, None)  # no longer ranked
    assert list(progress(run).best) == [1, 1.5, 2, 2]


@pytest.mark.parametrize(
    ("wall_s", "sessions", "expected"),
    [
        (104, 1, [1, 2, 103, 104]),
        (6, 1, [1, 2, 103, 104]),  # nothing was resumed
        (6, 2, [1, 2, 5, 6]),
        (2, 2, [1, 2, 2, 3]),  # no gap becomes less than none
        (200, 3, [1, 2, 103, 104]),
    ],
)
def test_a_run_stands_still_between_its_sessions(wall_s, sessions, expected):
    *own, end = seconds([11, 12, 113, 114], 10, wall_s, sessions)
    assert own == expected and end == max(wall_s, own[-1])


def test_a_clock_that_goes_back_takes_nothing_back():
    assert list(seconds([9, 12, 11, 13], 10, 3, 1)) == [0, 2, 2, 3, 3]
