"""Replay: the state built from a run's stored events is the state that made them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.search import Search
from evolve.search.migration import Migration
from evolve.search.reset import ResetWeakest
from evolve.search.search import request_data, request_of
from evolve.search.thresholds import Rule
from evolve.search.tuning import Tuning
from evolve.types import ProposalRequest, Status
from tests.search import driving
from tests.search.driving import founded, good, plain, steps, stored

SCORES = st.floats(-5, 5, allow_nan=False).map(lambda x: round(x, 1))
STATUSES = st.sampled_from([Status.OK, Status.OK, Status.OK, Status.CRASH, Status.DUPLICATE, Status.REJECTED])
STEPS = st.lists(
    st.one_of(
        st.just(("ask",)),
        st.tuples(st.just("tell"), st.integers(0, 7), STATUSES, SCORES, st.one_of(st.none(), SCORES)),
        st.tuples(st.just("reevaluated"), st.integers(0, 30), SCORES),
    ),
    max_size=60,
)
BUSY = replace(
    driving.strategy(migration=Migration(every=3, count=2), reset=ResetWeakest(every=7, minimum=4)), tuning=Tuning()
)
SETTINGS = driving.settings(3, strategy=BUSY, rules={"main": Rule(quantile=0.25)}, lending=("main",))


def carry_out(search: Search, script: list[tuple]) -> list[int]:
    """Carries a script out as far as it makes sense; returns the ids told."""
    told = [1]
    for step in script:
        match step:
            case ("ask",):
                search.ask()
            case ("tell", place, status, score, after) if search.open():
                candidate = search.open()[place % len(search.open())]
                tuned = None if after is None else {"method": "hill", "before": 1.0, "after": after}
                search.tell(candidate, status, score if status is Status.OK else None, {"main": score}, tuned=tuned)
                told.append(candidate)
            case ("reevaluated", place, score):
                search.enter("reevaluated", {"status": Status.OK, "score": score}, told[place % len(told)])
    return told


def live(script: list[tuple]) -> tuple[Search, list]:
    search = founded(**{name: value for name, value in SETTINGS.items() if name != "seed"})
    carry_out(search, script)
    return search, search.take_events()


def same(search: Search) -> tuple:
    """What of a search shows from outside."""
    scores = [search.score(candidate) for candidate in range(1, search.size + 1)]
    return (
        search.size, search.asked, search.told, search.best, search.open(), repr(scores),
        [(list(island), list(island.recent), island.own) for island in search.islands],
    )  # fmt: skip


@given(STEPS)
@settings(max_examples=80, deadline=None)
def test_loading_events_equals_telling_them(script):
    search, events = live(script)
    assert same(Search.load(stored(events), **SETTINGS)) == same(search)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_a_loaded_search_goes_on_alike(script):
    search, events = live(script)
    loaded = Search.load(stored(events), **SETTINGS)
    follow_up: Callable[[Search], None] = lambda one: steps(one, 25)  # noqa: E731
    follow_up(search)
    follow_up(loaded)
    assert plain(loaded.take_events()) == plain(search.take_events())


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_events_are_numbered_without_a_clash_and_leave_room_for_the_proposed_ones(script):
    _, events = live(script)
    taken = [e.seq for e in events] + [e.seq + 1 for e in events if e.kind in ("asked", "added")]
    assert sorted(taken) == list(range(1, len(taken) + 1))


def test_a_search_stopped_half_way_goes_on_like_one_that_was_not():
    whole, halved = founded(), founded()
    steps(whole, 60)
    steps(halved, 30)
    events = halved.take_events()
    resumed = Search.load(stored(events), **driving.settings())
    steps(resumed, 30)
    assert plain([*events, *resumed.take_events()]) == plain(whole.take_events())


def test_a_proposed_event_in_the_log_changes_nothing():
    search = founded()
    request = search.ask()
    events = search.take_events()
    proposed = driving.Event(seq=search.proposed_seq(request.id), kind="proposed", candidate=request.id, data={})
    assert same(Search.load([*events, proposed], **driving.settings())) == same(search)


def test_a_request_survives_its_event():
    request = ProposalRequest(
        id=9,
        island=1,
        operator="diff",
        parent=3,
        inspirations=(1, 2),
        tried=(4,),
        thresholds={"small": 0.5},
        tune={"above": 0.5, "novel": False, "evaluations": 30, "method": "cma"},
    )
    event = driving.Event(seq=1, kind="asked", candidate=9, data=request_data(request))
    assert request_of(9, stored([event])[0].data) == request


def test_a_request_without_a_parent_is_replayed():
    search = founded()
    written_anew = ProposalRequest(id=2, island=0, operator="rewrite", parent=None)
    search.apply(driving.Event(seq=4, kind="asked", candidate=2, data=request_data(written_anew)))
    driving.tell(search, 2, lambda _: good(7.0))
    assert search.best == 2
