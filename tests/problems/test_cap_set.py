"""Cap sets: the greedy builder, known caps by their priorities, and the answers and tricks that the referee refuses."""

import importlib.util
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage

FOLDER = bundled_root() / "cap_set"
BLOCKS = {(0, 1, 2), (0, 1, 3), (0, 2, 4), (0, 3, 5), (0, 4, 5), (1, 2, 5), (1, 3, 4), (1, 4, 5), (2, 3, 4), (2, 3, 5)}


def load(file):
    spec = importlib.util.spec_from_file_location(f"cap_set_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def mapped(priority) -> SimpleNamespace:
    return SimpleNamespace(priorities=lambda elements, n: [priority(tuple(element), n) for element in elements])


def result(priority, n):
    return referee.score(Instance(n), referee.drive(Instance(n), mapped(priority)))


def size(priority, n) -> float:
    return result(priority, n).metrics["size"]


def answered(output, n=1):
    """Has the referee read one whole answer, whatever the elements."""
    return referee.drive(Instance(n), SimpleNamespace(priorities=lambda elements, n: output))


def quadric(element, n):
    """1 on the elliptic quadric of 4 dimensions, whose 20 vectors are a largest cap."""
    a, b, c, d = element
    return float(any(element) and (a * a + b * b + c * c + 2 * d * d) % 3 == 0)


def design(element, n):
    """1 on a largest cap of 6 dimensions: supports that are blocks of a 2-(6,3,2) design, or full with an even number of 2s."""
    support = tuple(i for i in range(n) if element[i])
    return float(support in BLOCKS or (len(support) == n and element.count(2) % 2 == 0))


# ---------------------------------------------------------------- the folder


def test_folder_loads_with_its_parameter_filled_in():
    problem = load_problem("cap_set")
    assert (problem.entry, problem.objectives, problem.known_best()) == ("priority", {"size": 1}, 112)
    assert [(stage.name, stage.timeout_s) for stage in problem.stages] == [("small", 2), ("main", 10)]
    assert "n = 6" in problem.description and "{n}" not in problem.description


def test_more_than_the_proven_bound_is_noticed():
    assert load_problem("cap_set").beyond_bound({"size": 113.0})
    assert not load_problem("cap_set").beyond_bound({"size": 112.0})
    assert not load_problem("cap_set", {"n": 8}).beyond_bound({"size": 513.0})


@pytest.mark.parametrize(
    ("stage", "n", "sizes"),
    [("small", 6, [4]), ("small", 3, [3]), ("main", 6, [6]), ("main", 8, [8]), ("holdout", 6, [7, 5])],
)
def test_instances(stage, n, sizes):
    assert [i.input for i in referee.instances(Stage(name=stage), np.random.default_rng(0), n)] == sizes


@pytest.mark.parametrize("n", [0, 9])
def test_n_out_of_range_is_refused(n):
    with pytest.raises(ValueError, match=f"param.n={n}"):
        referee.instances(Stage(name="main"), np.random.default_rng(0), n)


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7])
def test_zero_priorities_give_two_to_the_n(n):
    assert size(lambda element, n: 0.0, n) == 2**n


@pytest.mark.parametrize(("n", "known"), [(4, 17), (6, 69)])
def test_initial_program(n, known):
    assert referee.score(Instance(n), referee.drive(Instance(n), initial)).metrics == {"size": known}


@pytest.mark.parametrize(("priority", "n", "known"), [(quadric, 4, 20), (design, 6, 112)])
def test_known_caps(priority, n, known):
    elements = itertools.product(range(3), repeat=n)
    assert sum(priority(element, n) for element in elements) == known == size(priority, n)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_built_is_a_cap_to_which_nothing_can_be_added(seed):
    priorities = np.random.default_rng(seed).random(81)
    rows = referee.points(4)
    cap = {tuple(rows[i].tolist()) for i in referee.build(priorities, 4)}
    thirds = {tuple(-(a + b) % 3 for a, b in zip(x, y, strict=True)) for x, y in itertools.combinations(cap, 2)}
    assert not cap & thirds
    assert cap | thirds == set(itertools.product(range(3), repeat=4))


def test_higher_priorities_go_first_and_of_equals_the_first_point():
    assert referee.build(np.array([0.0, 1.0, 2.0]), 1) == [2, 1]
    assert referee.build(np.array([1.0, 1.0, 1.0]), 1) == [0, 1]


def test_order_alone_counts():
    def scaled(element, n):
        return 1e300 * math.tanh(initial.priority(element, n) / 100)

    assert size(scaled, 5) == size(initial.priority, 5)


# ---------------------------------------------------------------- the holes


def counting():
    calls = itertools.count()
    return lambda element, n: next(calls)


def remembering():
    seen = []
    return lambda element, n: seen.append(element) or float(len(seen) > 81)


def drawing():
    rng = np.random.default_rng(0)
    return lambda element, n: rng.random()


@pytest.mark.parametrize("impure", [counting, remembering, drawing])
def test_priority_that_is_no_function_is_refused(impure):
    with pytest.raises(Invalid, match=r"the priority of \(0, 0, 0, 0\) was .* and then .*; it must follow from"):
        size(impure(), 4)


def test_candidate_that_writes_into_its_arguments_changes_nothing():
    def vandal(elements, n):
        found = initial.priorities(elements, n)
        for element in elements:
            element[:] = [0] * n
        elements.clear()
        return found

    found = referee.drive(Instance(4), SimpleNamespace(priorities=vandal))
    assert (found == referee.drive(Instance(4), initial)).all()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, r"priority of \(1,\) is nan"),
        (math.inf, "is inf"),
        (-math.inf, "is -inf"),
        (True, "type bool"),
        (np.True_, "type bool"),
        ("1", "type str"),
        (None, "type NoneType"),
        (1j, "type complex"),
        ([1.0], "type list"),
        (10**400, "too large"),
    ],
)
def test_priority_that_is_no_finite_real_number_is_refused(value, reason):
    with pytest.raises(Invalid, match=reason):
        answered([0.0, value, 0.0])


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (np.array([True, False, True]), "array of bool"),
        (np.array([1j, 0, 0]), "array of complex"),
        (np.array(["1", "2", "3"]), "array of <U1"),
        (np.array([1.0, 2.0, 3.0], dtype=object), "array of object"),
        (np.array([1.0, math.nan, 3.0]), r"priority of \(1,\) is nan"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((3, 1)), r"shape \(3, 1\)"),
        (np.ma.masked_array(np.zeros(3)), "type MaskedArray"),
        ([], "0 priorities came back for 3"),
        ([0.0] * 1_000_000, "1000000 priorities came back for 3"),
        ({"0": 0.0}, "type dict"),
        (112, "type int"),
        (None, "type NoneType"),
        ("000", "type str"),
    ],
)
def test_answer_that_is_not_one_real_number_per_element_is_refused(output, reason):
    with pytest.raises(Invalid, match=reason):
        answered(output)


@pytest.mark.parametrize("convert", [tuple, np.array, np.float32, np.int64])
def test_lists_and_real_arrays_are_priorities(convert):
    assert answered(convert([1, 1, 1])).tolist() == [1.0, 1.0, 1.0]


# ---------------------------------------------------------------- features and feedback


def test_features_of_the_known_cap():
    features = result(design, 6).features
    assert features["negation"] == 1.0 and features["distinct_priorities"] == 2 / 729
    assert features["mean_support"] == pytest.approx((80 * 3 + 32 * 6) / (112 * 6))


def test_feedback_counts_points_by_their_support():
    lines = result(design, 6).feedback.splitlines()
    assert lines[0] == "n = 6: a cap of 112 points, the best known 112. Zero priorities give 64."
    assert "0: 0 of 1, 1: 0 of 12, 2: 0 of 60, 3: 80 of 160, 4: 0 of 240, 5: 0 of 192, 6: 32 of 64" in lines[1]
    assert lines[2].startswith("2 distinct priorities for 729 points. The cap keeps 100% under negation, ")
