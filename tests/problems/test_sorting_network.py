"""Sorting networks: known ones by size and depth, all inputs at once, and the outputs that the referee refuses."""

import importlib.util
import itertools
import math

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage

FOLDER = bundled_root() / "sorting_network"
SIX = [[0, 5], [1, 3], [2, 4], [1, 2], [3, 4], [0, 3], [2, 5], [0, 1], [2, 3], [4, 5], [1, 2], [3, 4]]


def load(file):
    spec = importlib.util.spec_from_file_location(f"sorting_network_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def measured(pairs, n) -> tuple[float, float]:
    metrics = referee.score(Instance(n), pairs).metrics
    return metrics["size"], metrics["depth"]


def batcher(n) -> list[tuple[int, int]]:
    """Batcher's merge exchange (Knuth 3, 5.2.2, algorithm M)."""
    pairs = []
    top = 1 << math.ceil(math.log2(n)) - 1
    p = top
    while p:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(n - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return pairs


# ---------------------------------------------------------------- the folder


def test_folder_loads_with_its_parameter_filled_in():
    problem = load_problem("sorting_network")
    assert problem.objectives == {"size": -1, "depth": -1}
    assert (problem.entry, problem.known_best()) == ("network", 35)
    assert "at n = 11" in problem.description and "{n}" not in problem.description
    assert problem.beyond_bound({"size": 34.0}) and not problem.beyond_bound({"size": 35.0, "depth": 8.0})


@pytest.mark.parametrize(
    ("stage", "n", "wires"),
    [("small", 11, [6]), ("middle", 11, [9]), ("main", 11, [11]), ("middle", 5, [5]), ("holdout", 11, [12, 10])],
)
def test_instances(stage, n, wires):
    assert [i.input for i in referee.instances(Stage(name=stage), np.random.default_rng(0), n)] == wires


@pytest.mark.parametrize("n", [1, 16])
def test_n_out_of_range_is_refused(n):
    with pytest.raises(ValueError, match=f"param.n={n}"):
        referee.instances(Stage(name="main"), np.random.default_rng(0), n)


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize(("n", "known"), [(6, (15, 10)), (9, (36, 15)), (11, (54, 18))])
def test_initial_program(n, known):
    assert measured(initial.network(n), n) == known


@pytest.mark.parametrize("n", [1, 2, 3, 11, 16])
def test_insertion_network(n):
    assert measured(initial.finish(n), n) == (n * (n - 1) / 2, max(2 * n - 3, 0))


@pytest.mark.parametrize(("n", "known"), [(8, (19, 6)), (9, (26, 8)), (10, (31, 9)), (11, (37, 10)), (12, (41, 10))])
def test_batchers_network(n, known):
    assert measured(batcher(n), n) == known


def test_smallest_network_for_six():
    assert measured(SIX, 6) == (12, 5)


def test_lists_tuples_and_integer_arrays_score_alike():
    kinds = (
        list,
        tuple,
        np.array,
        lambda pairs: np.array(pairs, dtype=np.uint8),
        lambda pairs: [tuple(p) for p in pairs],
    )
    assert {measured(kind(SIX), 6) for kind in kinds} == {(12, 5)}


@pytest.mark.parametrize("gone", range(12))
def test_network_without_one_of_its_comparators_is_refused(gone):
    with pytest.raises(Invalid, match=r"n = 6: .* of 64 inputs of 0s and 1s are not sorted"):
        measured(SIX[:gone] + SIX[gone + 1 :], 6)


def test_verdict_is_that_of_sorting_all_permutations():
    rng = np.random.default_rng(0)
    verdicts = []
    for _ in range(40):
        pairs = [sorted(map(int, rng.choice(4, 2, replace=False))) for _ in range(8)]
        sorts = all(after(pairs, values) == sorted(values) for values in itertools.permutations(range(4)))
        verdicts.append(sorts)
        if sorts:
            referee.run(pairs, 4)
        else:
            with pytest.raises(Invalid):
                referee.run(pairs, 4)
    assert set(verdicts) == {True, False}


def after(pairs, values) -> list[int]:
    values = list(values)
    for i, j in pairs:
        values[i], values[j] = sorted((values[i], values[j]))
    return values


def test_message_shows_an_input_that_is_left_unsorted():
    with pytest.raises(Invalid, match=r"n = 3: 1 of 8 inputs .* are not sorted; 110 comes out as 101"):
        measured([[0, 1], [1, 2]], 3)


def test_useful_removes_what_exchanges_nothing():
    assert initial.useful([(0, 1), (0, 1), (1, 0), (0, 7)], 2) == [[0, 1]]
    assert initial.useful(SIX + SIX, 6) == SIX


# ---------------------------------------------------------------- the holes


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ([1, 0], r"comparator 1 is \[1, 0\]; it must hold 0 <= i < j < 2"),
        ([1, 1], "0 <= i < j < 2"),
        ([-1, 0], "0 <= i < j < 2"),
        ([0, 2], "0 <= i < j < 2"),
        ([0, 10**5000], "a pair of huge numbers"),
        ([0, 2**64 + 1], "0 <= i < j < 2"),
        ([0, 1.0], "type float"),
        ([0, math.nan], "type float"),
        ([0, math.inf], "type float"),
        ([False, True], "type bool"),
        ([0, 1j], "type complex"),
        (["0", "1"], "type str"),
        ([0, None], "type NoneType"),
        ("01", "type str"),
        ([0, 1, 2], "a pair"),
        (1, "type int"),
    ],
)
def test_item_that_is_no_comparator_is_refused(pair, reason):
    with pytest.raises(Invalid, match=reason):
        measured([[0, 1], pair], 2)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (np.array([[0.0, 1.0]]), "array of float64"),
        (np.array([[False, True]]), "array of bool"),
        (np.array([[0, 1j]]), "array of complex"),
        (np.array([[0, 1]], dtype=object), "array of object"),
        (np.array([["0", "1"]]), "array of <U1"),
        (np.array([0, 1]), r"shape \(2,\)"),
        (np.array([[0, 1, 1]]), r"shape \(1, 3\)"),
        (np.ma.masked_array([[0, 1]]), "type MaskedArray"),
        ([[0, 1]] * 1001, "1001 comparators"),
        (np.zeros((1_000_000, 2), dtype=np.int8), "1000000 comparators"),
        ([], "1 of 4 inputs .* are not sorted; 10 comes out as 10"),
        ({"size": 1}, "type dict"),
        (1, "type int"),
        (None, "type NoneType"),
        ("0-1", "type str"),
    ],
)
def test_output_that_is_no_network_is_refused(output, reason):
    with pytest.raises(Invalid, match=reason):
        measured(output, 2)


# ---------------------------------------------------------------- features and feedback


def test_comparators_that_never_exchange_count_and_are_named():
    result = referee.score(Instance(2), [[0, 1], [0, 1]])
    assert result.metrics == {"size": 2.0, "depth": 2.0}
    assert "1 comparators never exchange anything: 0-1." in result.feedback


def test_features_and_layers():
    result = referee.score(Instance(6), SIX)
    assert result.features["layers"] == 5 and result.features["symmetry"] == 1.0
    assert result.feedback.splitlines()[2:] == ["0-5 1-3 2-4", "1-2 3-4", "0-3 2-5", "0-1 2-3 4-5", "1-2 3-4"]
