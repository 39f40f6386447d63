"""What every strategy keeps to, and the distributions that they state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.config import build, choices, compose
from evolve.errors import UsageError
from evolve.search import Search, Strategy
from evolve.search.comparing import Clusters, InstanceFront, Lexicase, NonDominated, NoveltyWeighted, fronts
from evolve.search.grid import Grid
from evolve.search.island import Island
from evolve.search.member import Member
from evolve.search.migration import TOPOLOGIES, Migration
from evolve.search.pool import SIZE, Pool
from evolve.search.portfolio import Portfolio
from evolve.search.selectors import Founders, MapElites, Refine, Tournament
from evolve.types import Event, ProposalRequest, Status
from tests.search.driving import plain, stored

STRATEGIES = choices("selection")
DRAWS = 4000
NUMBERS = st.floats(-9, 9).map(lambda x: round(x, 1))
SCORES = st.one_of(st.none(), st.tuples(NUMBERS, NUMBERS, st.integers(1, 40), st.sampled_from([0.0, 0.0, 0.0, 0.5])))
SCRIPTS = st.lists(st.tuples(st.integers(0, 3), SCORES), max_size=60)


@cache
def strategy_of(name: str, islands: int) -> Strategy:
    words = [f"selection={name}", "selection.migration.every=3", "selection.reset.every=7", "selection.reset.minimum=4"]
    words += ["selection.stagnation.after=2", "selection.stagnation.answers=[explore,formulation]"]
    words = words[:1] if name in ("random", "refinement", "best_of_n") else words
    return build(compose([*words, f"selection.islands={islands}"])).search_settings["strategy"]


def searching(name: str, islands: int = 3) -> Search:
    return Search(seed=1, islands=islands, strategy=strategy_of(name, islands))


def found(search: Search) -> Search:
    for island in range(len(search.islands)):
        search.tell(search.add("initial", [island]), Status.OK, float(-island), {}, size=9)
    return search


def tell(search: Search, candidate: int, what: tuple[float, float, int, float] | None) -> None:
    if what is None:
        search.tell(candidate, Status.CRASH, None, {})
        return
    a, b, size, violation = what
    facts: Mapping[str, Any] = {"objectives": [a, b], "features": {"b": b}, "size": size, "violation": violation}
    search.tell(candidate, Status.OK, a + b, {}, [a, b], **facts)


def carry_out(search: Search, script: list[tuple[int, Any]]) -> list[ProposalRequest]:
    """Asks, and tells one of the open ones, step by step."""
    asked = []
    for place, what in script:
        asked.append(search.ask())
        opened = search.open()
        if len(opened) > 2:
            tell(search, opened[place % len(opened)], what)
    return asked


# ---------------------------------------------------------------- every strategy


@pytest.mark.parametrize("name", STRATEGIES)
@given(script=SCRIPTS)
@settings(max_examples=20, deadline=None)
def test_selects_only_an_islands_own_members_and_what_was_sent_to_it(name, script):
    search, here = found(searching(name)), {index: {index + 1} for index in range(3)}
    for place, what in script:
        request = search.ask()
        chosen = {request.parent, *request.inspirations}
        failed = {c for c in chosen if search.score(c) != search.score(c)}
        assert chosen <= here[request.island]
        assert not failed or (request.operator == "fix" and failed == {request.parent})
        here[request.island].add(request.id)
        opened = search.open()
        if len(opened) > 2:
            tell(search, opened[place % len(opened)], what)
        for event in search.take_events():
            for _, target, ids in event.data.get("moves", ()):
                here[target].update(ids)
            refounded = [(event.data["island"], event.data["founder"])] if "founder" in event.data else []
            for target, founder in (*event.data.get("resets", ()), *refounded):
                here[target] = {founder, *(c for c in search.open() if search._island[c] == target)}


@pytest.mark.parametrize("name", STRATEGIES)
@given(script=SCRIPTS)
@settings(max_examples=20, deadline=None)
def test_counts_are_kept_and_the_best_is_never_lost(name, script):
    search = found(searching(name))
    asked = carry_out(search, script)
    assert search.asked == len(asked) == search.told + len(search.open())
    ok = [c for c in range(1, search.size + 1) if search.score(c) == search.score(c)]
    assert search.best == min(ok, key=search.key)
    home = next(island for island in search.islands if island.best() == search.key(search.best))
    assert search.best in {member.id for member in home.pool}
    if home.grid is not None:
        assert search.best in {home.grid.at(place).id for place in range(len(home.grid))}


@pytest.mark.parametrize("name", STRATEGIES)
@given(script=SCRIPTS, more=SCRIPTS)
@settings(max_examples=15, deadline=None)
def test_loading_equals_telling_one_by_one(name, script, more):
    search = found(searching(name))
    carry_out(search, script)
    settings_ = {"seed": 1, "islands": 3, "strategy": search.strategy}
    loaded = Search.load(stored(search.take_events()), **settings_)
    carry_out(search, more)
    carry_out(loaded, more)
    assert plain(loaded.take_events()) == plain(search.take_events())


@pytest.mark.parametrize("name", STRATEGIES)
def test_an_event_is_json(name):
    search = found(searching(name))
    carry_out(search, [(0, (1.0, 2.0, 3, 0.0))] * 9)
    assert all(isinstance(event, Event) and json.dumps(dict(event.data)) for event in search.take_events())


# ---------------------------------------------------------------- distributions


def island_of(*members: Member, **facts: Any) -> Island:
    made = Island(0, facts.get("grid"))
    for member in members:
        made.add(member)
    return made


def shares(selector: Any, island: Island) -> dict[int, float]:
    rng = np.random.default_rng(3)
    drawn = Counter(selector.parent(island, rng) for _ in range(DRAWS))
    return {candidate: count / DRAWS for candidate, count in sorted(drawn.items())}


def near(given: dict[int, float], stated: dict[int, float]) -> bool:
    """Says whether shares are within 4.5 standard deviations of the stated ones."""
    assert set(given) <= set(stated)
    return all(abs(given.get(c, 0) - p) <= 4.5 * (p * (1 - p) / DRAWS) ** 0.5 for c, p in stated.items())


def scored(*scores: float) -> list[Member]:
    return [Member(id=candidate, score=score) for candidate, score in enumerate(scores, 1)]


def test_a_tournament_of_k_takes_rank_r_as_often_as_stated():
    n, k = 5, 3
    stated = {r + 1: ((n - r) ** k - (n - r - 1) ** k) / n**k for r in range(n)}
    assert near(shares(Tournament(size=k), island_of(*scored(5, 4, 3, 2, 1))), stated)


def test_founders_are_drawn_uniformly_and_nobody_else():
    search = Search(seed=1, islands=1, strategy=searching("random", 1).strategy)
    for _ in range(2):
        search.tell(search.add("initial", [0]), Status.OK, 0.0, {})
    island = search.islands[0]
    island.add(Member(id=9, score=99.0))
    assert near(shares(Founders(), island), {1: 0.5, 2: 0.5})


def test_best_of_n_stays_with_a_parent_for_n_children():
    search = searching("best_of_n", 1)
    search.tell(search.add("initial", [0]), Status.OK, 0.0, {})
    parents = []
    for _ in range(24):
        request = search.ask()
        parents.append(request.parent)
        search.tell(request.id, Status.OK, float(request.id), {})
    assert parents == [1] * 8 + [9] * 8 + [17] * 8


def test_refinement_takes_the_best():
    assert shares(Refine(), island_of(*scored(1, 3, 2))) == {2: 1.0}


def test_cells_are_drawn_uniformly_whatever_their_elites_score():
    members = [Member(id=i, score=float(i), features={"x": x}) for i, x in enumerate((0.0, 0.01, 0.5, 1.0), 1)]
    island = island_of(*members, grid=Grid(["x"], 10))
    assert near(shares(MapElites(features=["x"]), island), {2: 1 / 3, 3: 1 / 3, 4: 1 / 3})


def test_clusters_are_drawn_by_softmax_and_short_members_of_them_more_often():
    members = [Member(id=1, score=1.0, size=10), Member(id=2, score=1.0, size=20), Member(id=3, score=0.0, size=5)]
    better = 1 / (1 + np.exp(-1 / 0.5))
    short = 1 / (1 + np.exp(-10 / 20))
    stated = {1: better * short, 2: better * (1 - short), 3: 1 - better}
    assert near(shares(Clusters(temperature=0.5), island_of(*members)), stated)


def test_the_temperature_of_clusters_falls_over_the_period():
    island = island_of(*scored(1.0, 0.0))
    island.own = 999
    assert shares(Clusters(temperature=0.5, period=1000), island) == {1: 1.0}


def test_novelty_weights_by_sigmoid_and_children():
    island = island_of(*scored(2.0, 1.0, 0.0))
    for _ in range(3):
        island.pool.had_child(1)
    weights = {c: 1 / (1 + np.exp(-(2.0 - c))) / (1 + 3 * (c == 1)) for c in (1, 2, 3)}
    assert near(
        shares(NoveltyWeighted(pressure=1.0), island), {c: w / sum(weights.values()) for c, w in weights.items()}
    )


def vectors(*rows: tuple[float, ...]) -> Island:
    return island_of(*(Member(id=c, score=sum(row), vector=row) for c, row in enumerate(rows, 1)))


def test_the_front_over_instances_is_drawn_by_wins_without_the_dominated():
    island = vectors((3, 3, 0), (3, 2, 0), (0, 0, 5), (1, 1, 1))
    assert near(shares(InstanceFront(), island), {1: 2 / 3, 3: 1 / 3})


def test_lexicase_keeps_those_near_the_best_of_the_first_instance():
    island = vectors((10, 0), (0, 10), (1, 1), (0, 0), (0, 0))
    assert near(shares(Lexicase(), island), {1: 0.5, 2: 0.5})


def test_an_instance_on_which_all_are_alike_decides_nothing():
    assert near(shares(Lexicase(), vectors((1, 1), (1, 1))), {1: 0.5, 2: 0.5})


def test_nondominated_prefers_the_front_then_the_less_crowded():
    rows = ((0.0, 4.0), (1.9, 2.1), (2.0, 2.0), (4.0, 0.0), (0.0, 0.0))
    island = island_of(*(Member(id=c, score=row[0], objectives=row) for c, row in enumerate(rows, 1)))
    share = shares(NonDominated(), island)
    assert share.get(5, 0) < 0.06 and min(share[1], share[4]) > max(share[2], share[3])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20))
def test_non_dominated_ranks_are_those_of_peeling(rows):
    values, ranks = np.array(rows), fronts(np.array(rows))
    for i, row in enumerate(values):
        above = [j for j, other in enumerate(values) if (other >= row).all() and (other > row).any()]
        assert ranks[i] == (1 + max(ranks[j] for j in above) if above else 0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_feasible_members_come_before_infeasible_ones(name):
    search = searching(name, 1)
    search.tell(search.add("initial", [0]), Status.OK, 9.0, {}, violation=2.0)
    search.tell(search.ask().id, Status.OK, 0.0, {}, violation=0.0)
    search.tell(search.ask().id, Status.OK, 8.0, {}, violation=1.0)
    assert search.best == 2 and list(search.islands[0]) == [2, 3, 1]


# ---------------------------------------------------------------- pool and grid


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3 * SIZE))
@settings(deadline=None)
def test_a_pool_is_bounded_and_keeps_the_best_and_the_best_of_each_instance(rows):
    pool = Pool(8)
    for candidate, row in enumerate(rows, 1):
        pool.add(Member(id=candidate, score=sum(row), vector=row))
    kept = {member.id for member in pool}
    firsts = {max(range(len(rows)), key=lambda c: (rows[c][i], -c)) + 1 for i in (0, 1)}
    best = max(range(len(rows)), key=lambda c: (sum(rows[c]), -c)) + 1
    assert len(kept) == min(8, len(rows)) and {best, *firsts} <= kept


def test_an_instances_next_best_holds_it_when_the_best_is_removed():
    pool = Pool(2)
    for candidate, row in enumerate([(9.0, 0.0), (8.0, 0.0)], 1):
        pool.add(Member(id=candidate, score=sum(row), vector=row))
    pool.remove(1)
    for candidate in range(3, 9):
        pool.add(Member(id=candidate, score=20.0, vector=(1.0, 19.0)))
    assert 2 in {member.id for member in pool}


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=60))
def test_a_grid_has_the_best_of_each_cell_of_its_final_ranges(rows):
    grid, members = Grid(["x"], 4), [Member(id=c, score=s, features={"x": x}) for c, (s, x) in enumerate(rows, 1)]
    for member in members:
        grid.add(member)
    elites = [grid.at(place) for place in range(len(grid))]
    assert min(members, key=lambda m: m.key) in elites
    assert len({grid._cell(elite) for elite in elites}) == len(elites) <= 4


# ---------------------------------------------------------------- between islands


def islands_of(*scores: float) -> list[Island]:
    made = [Island(index) for index in range(len(scores))]
    for index, score in enumerate(scores):
        made[index].add(Member(id=index + 1, score=score))
    return made


@pytest.mark.parametrize(
    ("topology", "ways"),
    [
        ("ring", [(0, 1), (1, 2), (2, 0)]),
        ("full", [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
        ("star", [(0, 1), (1, 0), (1, 2), (2, 1)]),
    ],
)
def test_topologies(topology, ways):
    moves = Migration(topology=topology).moves(islands_of(1.0, 3.0, 2.0), np.random.default_rng(0))
    assert [(a, b) for a, b, _ in moves] == ways and all(ids == (a + 1,) for a, _, ids in moves)


def test_a_random_topology_never_sends_home():
    moves = [Migration(topology="random").moves(islands_of(1, 2, 3), np.random.default_rng(seed)) for seed in range(30)]
    ways = Counter((a, b) for move in moves for a, b, _ in move)
    assert len(ways) == 6 and all(a != b for a, b in ways)


def test_an_unknown_topology_names_the_known_ones():
    with pytest.raises(UsageError, match=f"topology=grid: known: {', '.join(TOPOLOGIES)}"):
        Migration(topology="grid")


def test_the_portfolio_gives_the_floor_to_all_and_the_rest_by_gain():
    islands, rng = islands_of(1, 2, 3), np.random.default_rng(1)
    islands[0].gain, islands[1].gain = 3.0, 1.0
    drawn = Counter(Portfolio(floor=0.1).island(islands, rng).index for _ in range(DRAWS))
    stated = {0: 0.1 + 0.7 * 0.75, 1: 0.1 + 0.7 * 0.25, 2: 0.1}
    assert near({index: count / DRAWS for index, count in drawn.items()}, stated)


def test_a_gain_is_relative_to_the_best_and_decays():
    portfolio, (island,) = Portfolio(decay=0.5), islands_of(2.0)
    island.gain = portfolio.gained(island, before=2.0, score=3.0, best=4.0)
    assert island.gain == 0.25
    assert portfolio.gained(island, before=3.0, score=1.0, best=4.0) == 0.125


def test_proposals_move_to_the_island_that_gains():
    search = found(searching("portfolio", islands=4))
    asked = Counter()
    for _ in range(200):
        request = search.ask()
        asked[request.island] += 1
        search.tell(request.id, Status.OK, float(request.id) if request.island == 2 else -9.0, {})
    assert asked[2] > 100 and min(asked[index] for index in range(4)) >= 2
