"""Islands: who is in them, what moves between them, what never gets lost."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.errors import UsageError
from evolve.search.island import Island
from evolve.search.member import Member
from evolve.search.migration import Migration
from evolve.search.randomness import generator
from evolve.search.reset import ResetWeakest
from evolve.types import Event, Status
from tests.search.driving import Outcome, founded, good, outcome, steps, strategy, tell

RNG = np.random.default_rng(0)


def island_of(*scores: float, index: int = 0, own: int = 0) -> Island:
    """Returns an island with the candidates 1, 2, ... + 100 * index."""
    made = Island(index)
    for candidate, score in enumerate(scores, 1):
        made.add(Member(id=100 * index + candidate, score=score))
    made.own = own
    return made


def kinds(events: Iterable[Event], kind: str) -> list[Event]:
    return [event for event in events if event.kind == kind]


# ---------------------------------------------------------------- one island


def test_ranks_the_best_first_and_the_older_of_equals():
    assert list(island_of(1.0, 3.0, 3.0, 2.0)) == [2, 3, 4, 1]


def test_adding_a_member_again_changes_nothing():
    island = island_of(1.0, 2.0)
    island.add(Member(id=1, score=1.0))
    assert list(island) == [2, 1] and list(island.recent) == [1, 2]


@given(st.dictionaries(st.integers(1, 50), st.floats(-3, 3).map(round), min_size=1))
def test_rank_and_at_are_inverse(scores):
    island = Island(0)
    for candidate, score in scores.items():
        island.add(Member(id=candidate, score=score))
    assert [island.at(island.rank((0.0, -s, c))) for c, s in scores.items()] == list(scores)


def test_removing_says_whether_there_was_one():
    island = island_of(1.0, 2.0)
    assert island.remove((0.0, -1.0, 1)) and not island.remove((0.0, -1.0, 1)) and not island.remove((0.0, -7.0, 2))
    assert list(island) == [2]


# ---------------------------------------------------------------- what a search chooses from


def test_islands_take_turns():
    assert [request.island for request in steps(founded(islands=3), 6, good)] == [0, 1, 2, 0, 1, 2]


def test_without_migration_islands_share_no_candidate():
    search = founded(founders=[good(1.0), good(2.0)])
    home = {1: 0, 2: 1}
    for request in steps(search, 300):
        home[request.id] = request.island
        assert {home[c] for c in (request.parent, *request.inspirations, *request.tried)} == {request.island}


def test_what_an_island_selects_is_its_own_or_was_sent_to_it():
    search = founded(
        founders=[good(1.0), good(2.0), good(3.0)], islands=3, strategy=strategy(Migration(every=5, count=2))
    )
    here: dict[int, set[int]] = {0: {1}, 1: {2}, 2: {3}}
    for _ in range(300):
        request = search.ask()
        assert {request.parent, *request.inspirations} <= here[request.island]
        here[request.island].add(request.id)
        search.take_events()
        tell(search, request.id)
        for event in kinds(search.take_events(), "migrated"):
            for _, target, ids in event.data["moves"]:
                here[target].update(ids)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.OK])
def test_a_failure_is_never_selected(status):
    search = founded()
    failed = steps(search, 5, lambda _: Outcome(status, None))
    later = steps(search, 40, lambda _: Outcome(Status.OK, 0.0))
    chosen = {c for request in later for c in (request.parent, *request.inspirations)}
    assert not chosen & {request.id for request in failed}


def test_a_failure_is_among_what_was_tried():
    search = founded(islands=1)
    steps(search, 3, lambda _: Outcome(Status.CRASH, None))
    assert search.ask().tried == (2, 3, 4)


def test_tried_names_the_last_eight_children_the_newest_last():
    search = founded(islands=1)
    steps(search, 12, lambda _: Outcome(Status.CRASH, None))
    assert search.ask().tried == tuple(range(6, 14))


def test_an_island_without_a_member_lends_its_turn():
    search = founded(founders=[Outcome(Status.CRASH, None), good(1.0)], islands=2)
    assert [request.island for request in steps(search, 3, lambda _: Outcome(Status.CRASH, None))] == [1, 1, 1]


@given(st.lists(st.one_of(st.none(), st.floats(-9, 9)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_the_best_is_never_lost(scores):
    search = founded(strategy=strategy(Migration(every=2), ResetWeakest(every=3, minimum=1)))
    best = 0.0
    for score in scores:
        steps(search, 1, lambda _, score=score: Outcome(Status.OK if score is not None else Status.CRASH, score))
        best = max(best, score if score is not None else best)
        assert search.score(search.best) == best
        assert any(search.best in list(island) for island in search.islands)


def test_of_equally_good_candidates_the_first_is_the_best():
    search = founded(founders=[good(1.0)])
    steps(search, 10, lambda _: good(1.0))
    assert search.best == 1


def test_every_candidate_asked_is_counted_once_told():
    search = founded(strategy=strategy(Migration(every=5), ResetWeakest(every=1000)))
    steps(search, 100)
    assert (search.asked, search.told, search.size) == (100, 100, 101)
    assert sum(island.own for island in search.islands) == 100


# ---------------------------------------------------------------- migration


def test_the_best_of_each_island_go_to_the_next():
    islands = [island_of(1.0, 2.0, 3.0), island_of(5.0, index=1), island_of(7.0, 6.0, index=2)]
    assert Migration(count=2).moves(islands, RNG) == [(0, 1, (3, 2)), (1, 2, (101,)), (2, 0, (201, 202))]


def test_an_only_island_and_an_empty_one_send_nothing():
    assert Migration().moves([island_of(1.0)], RNG) == []
    assert Migration().moves([Island(0), island_of(1.0, index=1)], RNG) == [(1, 0, (101,))]


def test_migration_adds_references_and_makes_no_candidate():
    search = founded(founders=[good(1.0), good(2.0)], strategy=strategy(Migration(every=4, count=1)))
    steps(search, 8, good)
    moves = kinds(search.take_events(), "migrated")[0].data["moves"]
    assert search.size == 10
    assert all(ids[0] in list(search.islands[a]) and ids[0] in list(search.islands[b]) for a, b, ids in moves)


def test_migration_falls_due_by_told_candidates_per_island():
    search = founded(islands=3, strategy=strategy(Migration(every=5)))
    steps(search, 46)
    assert len(kinds(search.take_events(), "migrated")) == 3


def test_migrants_are_not_an_islands_own():
    search = founded(islands=2, strategy=strategy(Migration(every=5, count=2)))
    steps(search, 50)
    assert [island.own for island in search.islands] == [25, 25]


# ---------------------------------------------------------------- resets


def resets(*islands: Island, minimum: int = 200) -> list[tuple[int, int]]:
    return ResetWeakest(minimum=minimum).resets(islands, generator(1, "reset", 1))


def test_the_weaker_half_is_refounded_by_a_survivors_best():
    islands = [island_of(9.0, 8.0, own=200), island_of(1.0, index=1, own=200), island_of(2.0, index=2, own=200)]
    assert resets(*islands) in ([(1, 1)], [(1, 201)])


def test_no_island_is_reset_before_200_of_its_own():
    strong, weak = island_of(9.0, own=500), island_of(1.0, index=1, own=199)
    assert resets(strong, weak) == []
    weak.own = 200
    assert resets(strong, weak) == [(1, 1)]


def test_of_equally_weak_islands_a_majority_survives():
    found = resets(*(island_of(1.0, index=i, own=300) for i in range(5)))
    assert len(found) == 2 and {index for index, _ in found}.isdisjoint({founder // 100 for _, founder in found})


def test_an_only_island_is_never_reset():
    search = founded(islands=1, strategy=strategy(reset=ResetWeakest(every=1, minimum=1)))
    steps(search, 20)
    assert not kinds(search.take_events(), "reset")


def test_a_reset_island_holds_its_founder_alone_and_counts_anew():
    search = founded(strategy=strategy(reset=ResetWeakest(every=10, minimum=10)))
    steps(search, 20, lambda c: good(float(c) if c % 2 else -float(c)))
    [event] = kinds(search.take_events(), "reset")
    [[index, founder]] = event.data["resets"]
    assert list(search.islands[index]) == [founder] and search.islands[index].own == 0
    assert founder == search.best


def test_a_child_asked_before_a_reset_is_told_into_the_new_island():
    search = founded(strategy=strategy(reset=ResetWeakest(every=2, minimum=1)))
    early = search.ask()
    steps(search, 4, lambda c: good(float(c)))
    assert kinds(search.take_events(), "reset")
    tell(search, early.id, lambda _: good(99.0))
    assert search.best == early.id and early.id in list(search.islands[early.island])


# ---------------------------------------------------------------- second opinions


def test_a_new_score_changes_the_ranking():
    search = founded(islands=1)
    steps(search, 3, lambda c: good(float(c)))
    search.enter("reevaluated", {"status": Status.OK, "score": 50.0}, 2)
    assert search.best == 2 and list(search.islands[0]) == [2, 4, 3, 1]


def test_a_best_that_does_not_hold_gives_way_to_the_next():
    search = founded(islands=1)
    steps(search, 3, lambda c: good(float(c)))
    search.enter("reevaluated", {"status": Status.SUSPECT, "score": None}, 4)
    assert search.best == 3 and 4 not in list(search.islands[0])


def test_a_new_score_counts_wherever_the_candidate_was_sent():
    search = founded(strategy=strategy(Migration(every=1, count=1)))
    steps(search, 2, lambda c: good(float(c)))
    search.enter("reevaluated", {"status": Status.OK, "score": 50.0}, 3)
    assert [-island.best()[1] for island in search.islands] == [50.0, 50.0]


def test_a_better_score_of_a_candidate_whose_island_was_reset_counts():
    search = founded(strategy=strategy(reset=ResetWeakest(every=5, minimum=5)))
    steps(search, 10, lambda c: good(float(c) if c % 2 else -float(c)))
    assert not any(2 in list(island) for island in search.islands)
    search.enter("reevaluated", {"status": Status.OK, "score": 50.0}, 2)
    assert search.best == 2


# ---------------------------------------------------------------- refused settings


@pytest.mark.parametrize(
    "make", [lambda: Migration(every=0), lambda: Migration(count=0), lambda: ResetWeakest(minimum=0)]
)
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(UsageError, match="1 or more"):
        make()


@pytest.mark.parametrize("islands", [0, 1001, 2.5, "3"])
def test_an_impossible_number_of_islands_is_refused(islands):
    with pytest.raises(UsageError, match=f"selection.islands={islands}"):
        type(strategy())(
            parents=strategy().parents,
            inspirations=strategy().inspirations,
            operators=strategy().operators,
            islands=islands,
        )


def test_the_outcomes_of_these_tests_hold_failures_and_equals():
    found = [outcome(candidate) for candidate in range(1, 101)]
    assert sum(o.status is not Status.OK for o in found) == 20 and len({o.score for o in found}) < 30
