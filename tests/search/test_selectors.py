"""Choosers of parent, inspirations and operator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.errors import UsageError
from evolve.search.inspirations import BetterAndComplementary
from evolve.search.island import Island
from evolve.search.member import Member
from evolve.search.operators import WeightedOperators
from evolve.search.randomness import entropy, generator
from evolve.search.selectors import PowerLaw

DRAWS = 20_000


def island_of(size: int) -> Island:
    """Returns an island in which candidate i has rank i - 1."""
    made = Island(0)
    for candidate in range(1, size + 1):
        made.add(Member(id=candidate, score=-float(candidate)))
    return made


def stated(exponent: float, size: int) -> np.ndarray:
    """Returns the probability of each rank by the docstring: that of [r, r + 1) under r^-exponent on [1, size + 1)."""
    edges = np.arange(1.0, size + 2)
    mass = np.log(edges) if exponent == 1 else edges ** (1 - exponent) / (1 - exponent)
    return np.diff(mass) / (mass[-1] - mass[0])


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize("size", [1, 2, 20])
def test_ranks_follow_the_stated_distribution(exponent, size):
    rng, chooser, island = np.random.default_rng(7), PowerLaw(exponent=exponent), island_of(size)
    drawn = np.array([chooser.parent(island, rng) - 1 for _ in range(DRAWS)])
    expected = DRAWS * stated(exponent, size)
    chi2 = ((np.bincount(drawn, minlength=size) - expected) ** 2 / expected).sum()
    assert chi2 < size + 4 * np.sqrt(2 * size)  # mean and deviation of a chi-square with (size - 1) degrees


@given(st.integers(1, 10**7), st.floats(0, 1, exclude_max=True), st.floats(0, 40))
def test_a_rank_is_always_one_of_the_island(size, u, exponent):
    assert 0 <= PowerLaw(exponent=exponent).rank(size, u) < size


@given(st.integers(1, 1000), st.floats(0, 4), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_larger_quantile_is_no_better_rank(size, exponent, u, v):
    law = PowerLaw(exponent=exponent)
    assert law.rank(size, min(u, v)) <= law.rank(size, max(u, v))


def test_a_negative_exponent_is_refused():
    with pytest.raises(UsageError, match=r"selection\.parents\.exponent=-1"):
        PowerLaw(exponent=-1)


@given(st.integers(1, 60), st.integers(0, 59), st.integers(0, 99))
def test_inspirations_are_a_better_one_and_a_recent_one(size, rank, seed):
    island, rank = island_of(size), rank % size
    parent = island.at(rank)
    found = BetterAndComplementary().inspirations(island, parent, rank, np.random.default_rng(seed))
    assert parent not in found and len(set(found)) == len(found) <= 2
    assert not rank or island.rank((0.0, float(found[0]), found[0])) < rank
    assert not found or found[-1] in island.recent or len(found) == 1


def test_a_lone_parent_has_no_inspiration():
    assert BetterAndComplementary().inspirations(island_of(1), 1, 0, np.random.default_rng(0)) == ()


def test_operators_are_drawn_by_weight():
    operators, rng = WeightedOperators(weights={"diff": 3, "rewrite": 1, "crossover": 0}), np.random.default_rng(5)
    drawn = [operators.operator(lambda name: True, rng) for _ in range(4000)]
    assert 2850 < drawn.count("diff") < 3150 and drawn.count("crossover") == 0


def test_only_what_is_possible_is_drawn():
    operators = WeightedOperators(weights={"diff": 1, "crossover": 1000})
    rng = np.random.default_rng(5)
    assert {operators.operator("diff".__eq__, rng) for _ in range(50)} == {"diff"}
    assert "crossover" in {operators.operator(lambda name: True, rng) for _ in range(50)}


def test_operators_that_mean_nothing_to_a_provider_give_their_turns_to_diff():
    operators = WeightedOperators(weights={"fix": 2.0, "rewrite": 1.0, "diff": 0.5}).only(["diff", "rewrite"])
    assert operators.weights == {"diff": 2.5, "rewrite": 1.0} and not operators.may_draw("fix")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"diff": 1, "dif": 1}, r"weights\.dif: no such operator; known: diff"),
        ({"diff": -1}, r"weights\.diff=-1: must be a number, 0 or more"),
        ({"crossover": 1, "fix": 1}, "another that is always possible must be above 0"),
        ({}, "another that is always possible must be above 0"),
    ],
)
def test_weights_that_make_no_sense_are_refused(weights, message):
    with pytest.raises(UsageError, match=message):
        WeightedOperators(weights=weights)


def test_a_parts_generator_depends_on_seed_part_and_candidate_alone():
    def first(*key):
        return generator(*key).integers(2**62)

    assert first(1, "select", 5) == first(1, "select", 5)
    assert len({first(1, "select", 5), first(2, "select", 5), first(1, "draw", 5), first(1, "select", 6)}) == 4
    assert entropy(1, "select", 5) == (1, 1274211008, 5)


def test_a_model_that_gets_functions_right_is_asked_for_those():
    operators = WeightedOperators(weights={"diff": 2.0, "rewrite": 1.0, "functions": 0.5}).only(
        ["functions", "rewrite"], "functions"
    )
    assert operators.weights == {"functions": 2.5, "rewrite": 1.0}
