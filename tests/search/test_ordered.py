"""`schedule=ordered`: W, and not the number of workers, decides the run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.errors import UsageError
from evolve.search import Ordered, Search
from evolve.search.migration import Migration
from evolve.search.reset import ResetWeakest
from evolve.search.thresholds import Rule
from tests.search.driving import founded, plain, strategy, tell, tell_allowed, unordered

BUSY = strategy(Migration(every=4), ResetWeakest(every=12, minimum=8))


def ordered(window: int) -> Search:
    return founded(islands=3, window=window, strategy=BUSY, rules={"main": Rule(quantile=0.5)})


@given(st.integers(0, 2**32), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_the_order_of_arrival_and_the_number_of_slots_change_nothing(seed, slots):
    one, other = ordered(5), ordered(5)
    unordered(one, 70, 1, np.random.default_rng(0))
    unordered(other, 70, slots, np.random.default_rng(seed))
    assert plain(other.take_events()) == plain(one.take_events())


@pytest.mark.parametrize("window", [1, 4, 16])
def test_proposal_n_is_made_when_exactly_the_candidates_up_to_n_less_window_are_told(window):
    search = ordered(window)
    unordered(search, 60, 8, np.random.default_rng(3))
    told = 0
    for event in search.take_events():
        if event.kind == "told":
            told += 1
            assert event.candidate == told
        if event.kind == "asked":
            assert told == max(1, event.candidate - window)


def test_another_window_is_another_run():
    runs = [ordered(3), ordered(4)]
    for search in runs:
        unordered(search, 60, 2, np.random.default_rng(0))
    first, second = (plain(search.take_events()) for search in runs)
    assert first != second


def test_no_more_than_a_window_is_asked_ahead():
    search = ordered(3)
    for _ in range(3):
        search.ask()
    assert not search.may_ask()


def test_a_result_waits_for_those_before_it_and_for_the_proposals_due():
    search = ordered(2)
    search.ask()
    assert not search.may_tell(2, asking_ended=False)  # proposal 3 is due first
    search.ask()
    assert search.may_tell(2, asking_ended=False) and not search.may_tell(3, asking_ended=False)


def test_when_asking_has_ended_the_rest_is_told_in_order():
    search = ordered(4)
    search.ask(), search.ask()
    tell_allowed(search, {3}, ended=True)
    assert search.open() == [2, 3]
    tell_allowed(search, {2, 3}, ended=True)
    assert search.open() == []


def test_async_tells_in_any_order():
    search = founded()
    search.ask(), search.ask()
    assert search.may_tell(3, asking_ended=False) and search.may_ask()
    tell(search, 3)
    assert search.open() == [2]


@pytest.mark.parametrize("window", [0, -1, 1.5, "4"])
def test_a_window_that_is_no_count_is_refused(window):
    with pytest.raises(UsageError, match=f"schedule.window={window}"):
        Ordered(window=window)
