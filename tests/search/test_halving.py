"""Asynchronous successive halving: who goes on at which rung."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evolve.rungs import rung, rungs
from evolve.search.halving import LEAST, Halving

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def test_rungs_lie_at_powers_of_three() -> None:
    assert [rung(step) for step in (0, 0.5, 1, 2, 3, 8.9, 9, 26, 27, 100)] == [0, 0, 1, 1, 3, 3, 9, 9, 27, 81]


def test_a_curve_reaches_each_rung_once() -> None:
    assert list(rungs([(0, 9.0), (1, 1.0), (2, 2.0), (4, 4.0), (30, 5.0), (31, 6.0)])) == [
        (1, 1.0),
        (3, 4.0),
        (27, 5.0),
    ]


def test_the_best_third_goes_on() -> None:
    halving = Halving()
    for value in range(9):
        halving.observe("main", 3, value)
    assert halving.observe("main", 3, 6.0) is None
    stop = halving.observe("main", 3, 5.0)
    assert stop is not None and (stop.needed, stop.seen) == (6.0, 11)


def test_rungs_and_stages_are_told_apart() -> None:
    halving = Halving()
    for value in range(9):
        halving.observe("main", 3, value)
    assert halving.observe("main", 9, 0.0) is None and halving.observe("small", 3, 0.0) is None


@given(VALUES)
def test_nothing_stops_early_and_the_best_so_far_never_does(values: list[float]) -> None:
    halving = Halving()
    for i, value in enumerate(values):
        stop = halving.observe("main", 1, value)
        assert stop is None or (i + 1 >= LEAST and value < stop.needed <= max(values[: i + 1]))
        if value == max(values[: i + 1]):
            assert stop is None
