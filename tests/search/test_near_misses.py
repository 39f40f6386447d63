"""Failed candidates that are mended, searches that begin from nothing, and inspirations that complement the parent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.search import Search, Strategy
from evolve.search.inspirations import BetterAndComplementary
from evolve.search.island import Island
from evolve.search.member import Member
from evolve.search.operators import WeightedOperators
from evolve.search.pool import SIZE
from evolve.search.selectors import PowerLaw
from evolve.types import Status
from tests.search.driving import founded, settings, steps


def mending(weights: dict[str, float]) -> Strategy:
    return Strategy(
        parents=[PowerLaw()], inspirations=BetterAndComplementary(), operators=WeightedOperators(weights=weights)
    )


FIXER = mending({"diff": 1e-9, "fix": 1.0})


def test_a_failed_child_of_a_good_parent_is_mended_once():
    search = founded(islands=1, strategy=FIXER)
    first = search.ask()
    assert first.operator == "diff"
    search.tell(first.id, Status.CRASH, None, {})
    fix = search.ask()
    assert (fix.operator, fix.parent, fix.inspirations) == ("fix", first.id, (1,))
    assert search.ask().operator == "diff"
    search.tell(fix.id, Status.CRASH, None, {})
    assert search.ask().operator == "diff"  # a repair is not repaired


@pytest.mark.parametrize(
    "status", [Status.DUPLICATE, Status.REJECTED, Status.EDIT_FAILED, Status.SUSPECT, Status.INFRA]
)
def test_what_has_no_fault_to_mend_is_no_near_miss(status):
    search = founded(islands=1, strategy=FIXER)
    search.tell(search.ask().id, status, None, {})
    assert search.ask().operator == "diff"


def test_a_failed_child_of_a_poor_parent_is_let_go():
    search = founded(islands=1, strategy=mending({"diff": 1.0}))
    for _ in range(20):
        request = search.ask()
        search.tell(request.id, Status.OK, float(request.id), {})
    while True:
        request = search.ask()
        rank = search.islands[0].rank(search.key(request.parent))
        search.tell(request.id, Status.CRASH, None, {})
        near = request.id in search.islands[0].near_misses
        assert near == (2 * rank < len(search.islands[0]))
        if not near:
            break


def test_only_fix_has_a_failed_parent():
    search = founded(islands=2, strategy=mending({"diff": 0.4, "fix": 0.3, "crossover": 0.3}))
    asked = steps(search, 200)
    failed = {request.id for request in asked if search.score(request.id) != search.score(request.id)}
    fixes = [request for request in asked if request.operator == "fix"]
    assert len(fixes) > 10 and all(request.parent in failed for request in fixes)
    assert not failed & {request.parent for request in asked if request.operator != "fix"}
    assert len({request.parent for request in fixes}) == len(fixes)


def test_from_nothing_each_island_begins_with_a_program_of_its_own():
    search = Search(**settings(islands=2))
    requests = [search.ask() for _ in range(2)]
    assert [(r.operator, r.parent, r.island) for r in requests] == [("initial", None, 0), ("initial", None, 1)]
    search.tell(1, Status.OK, 1.0, {})
    search.tell(2, Status.CRASH, None, {})
    assert [(r.operator, r.parent, r.island) for r in (search.ask(), search.ask())] == [("diff", 1, 0), ("fix", 2, 1)]


def test_an_island_that_comes_to_nothing_gives_its_turns_away():
    search = Search(**settings(islands=2))
    for _ in range(30):
        request = search.ask()
        search.tell(request.id, *((Status.OK, 1.0) if request.island == 0 else (Status.INVALID, None)), {})
    assert len(search.islands[1]) == 0 and search.islands[1].own == 4
    assert search.ask().island == 0


def test_where_nothing_has_come_of_it_yet_it_is_asked_again():
    search = Search(**settings(islands=1))
    asked = steps(search, 3, lambda candidate: type("Outcome", (), {"status": Status.EDIT_FAILED, "score": None})())
    assert [request.operator for request in asked] == ["initial"] * 3


def island_of(vectors: list[tuple[float, ...]]) -> Island:
    """Returns an island whose candidate i has the sum of vector i - 1 as its score."""
    island = Island(0)
    for candidate, vector in enumerate(vectors, 1):
        island.add(Member(id=candidate, score=sum(vector), vector=vector))
    return island


def test_an_inspiration_wins_instances_that_the_parent_loses():
    island = island_of([(9.0, 9.0, 0.0), (8.0, 8.0, 1.0), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
    for seed in range(20):
        found = BetterAndComplementary().inspirations(island, 1, 0, np.random.default_rng(seed))
        assert found in ((2,), (3,))
    found = {BetterAndComplementary().inspirations(island, 2, 1, np.random.default_rng(seed)) for seed in range(20)}
    assert found == {(1, 3), (1, 4)} or found <= {(1, 4), (1, 3)}  # nobody else wins one: a recent member


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=3 * SIZE))
def test_the_pool_of_vectors_is_bounded_and_keeps_the_best(vectors):
    island = island_of(vectors)
    best = sorted(range(1, len(vectors) + 1), key=lambda c: (-sum(vectors[c - 1]), c))
    kept = [member.id for member in island.pool]
    winners = {max(range(1, len(vectors) + 1), key=lambda c: (vectors[c - 1][i], -c)) for i in (0, 1)}
    assert len(kept) == min(SIZE, len(vectors)) and winners | {best[0]} <= set(kept)
    assert set(best[: SIZE - len(winners)]) <= set(kept)


def test_vectors_go_with_references_and_are_found_again_on_loading():
    search = founded(islands=2, strategy=mending({"diff": 1.0}))
    search.take_events()
    for candidate in range(2, 12):
        request = search.ask()
        search.tell(request.id, Status.OK, float(candidate), {}, [float(candidate), 1.0])
    moved = search.islands[0].at(0)
    search._decide("migrated", None, {"moves": [[0, 1, [moved]]]})
    assert moved in [member.id for member in search.islands[0].pool]
    assert search.islands[1].pool.get(moved) == search.islands[0].pool.get(moved)
    again = founded(islands=2, strategy=mending({"diff": 1.0}))
    for event in search.take_events():
        again.apply(event)
    assert [list(island.pool) for island in again.islands] == [list(island.pool) for island in search.islands]


def test_an_inspiration_of_the_parents_own_score_is_no_better_one():
    search = founded(islands=1, strategy=mending({"diff": 1.0}))
    for _ in range(6):
        search.tell(search.ask().id, Status.OK, 0.0, {})
    drawn: list[int] = []
    search.islands[0].at = lambda rank, at=search.islands[0].at: drawn.append(rank) or at(rank)
    search.ask()
    assert len(drawn) == 1  # the parent alone: nobody scores more
