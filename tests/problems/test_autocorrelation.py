"""Autocorrelation: known step functions, exactness at every scale, and the outputs that the referee refuses."""

import importlib.util
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid

FOLDER = bundled_root() / "autocorrelation"


def load(file):
    spec = importlib.util.spec_from_file_location(f"autocorrelation_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def result(heights):
    return referee.score(Instance(), heights)


def ratio(heights) -> float:
    return result(heights).metrics["ratio"]


def in_fractions(heights) -> float:
    """The statement's formula, by the book."""
    a = [Fraction(height) for height in heights]
    n = len(a)
    sums = [sum(a[i] * a[k - i] for i in range(max(0, k - n + 1), min(n, k + 1))) for k in range(2 * n - 1)]
    return float(2 * n * max(sums) / sum(a) ** 2)


def binomial(n) -> list[float]:
    """Heights whose autoconvolution is exactly flat over the first half: the coefficients of (1 - z)^(-1/2)."""
    heights = [1.0]
    for i in range(n - 1):
        heights.append(heights[-1] * (i + 0.5) / (i + 1))
    return heights


# ---------------------------------------------------------------- the folder


def test_folder_loads():
    problem = load_problem("autocorrelation")
    assert (problem.entry, problem.objectives, problem.known_best()) == ("heights", {"ratio": -1}, 1.503163554681561)
    assert [stage.name for stage in problem.stages] == ["main"]


def test_less_than_the_proven_bound_is_noticed():
    problem = load_problem("autocorrelation")
    assert problem.beyond_bound({"ratio": 1.27}) and not problem.beyond_bound({"ratio": 1.5})


# ---------------------------------------------------------------- scores


def test_initial_program():
    assert len(initial.heights()) == 60
    assert ratio(initial.heights()) == pytest.approx(2.0051602796)


@pytest.mark.parametrize("n", [1, 2, 3, 60, 20_000])
def test_all_ones_score_two(n):
    assert ratio([1.0] * n) == 2.0


@pytest.mark.parametrize(
    ("heights", "known"),
    [([5.0], 2.0), ([1.0, 0.0], 4.0), ([0.0, 3.0, 0.0], 6.0), ([1, 2], 16 / 9), ([2.0, 1.0, 1.0], 15 / 8)],
)
def test_scores_by_hand(heights, known):
    assert ratio(heights) == known


@pytest.mark.parametrize(("n", "known"), [(60, 1.5773548898), (600, 1.5714509616), (10_000, math.pi / 2 + 4e-5)])
def test_binomial_heights_come_near_half_pi(n, known):
    assert ratio(binomial(n)) == pytest.approx(known, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("spread", [0, 10, 40])
def test_score_is_that_of_fractions(n, spread):
    rng = np.random.default_rng(n + spread)
    heights = (rng.random(n) * 2.0 ** -rng.integers(0, spread, n, endpoint=True)).tolist()
    assert ratio(heights) == pytest.approx(in_fractions(heights), rel=1e-15)


def test_heights_down_to_a_two_thousandth_are_kept_to_the_last_bit():
    heights = [1.0, *(np.random.default_rng(0).random(30) * 0.99 + 2.0**-10).tolist()]
    assert [Fraction(whole, 2**63) for whole in referee.scaled(heights)] == [Fraction(height) for height in heights]


def test_lists_tuples_and_real_arrays_score_alike():
    heights = [1, 2, 3, 2]
    kinds = (list, tuple, np.array, np.float32, lambda a: np.array(a, dtype=np.uint8))
    assert {ratio(kind(heights)) for kind in kinds} == {in_fractions(heights)}


def test_mirrored_heights_score_alike():
    assert ratio(initial.heights()[::-1]) == ratio(initial.heights())


# ---------------------------------------------------------------- the holes


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1e-162, 1e-155, 1e154, 1e308])
def test_scale_changes_nothing(scale):
    # (1e-162)**2 is 0 in floats, so a float check reads a bound of 0 off such heights
    assert ratio([scale] * 3) == 2.0
    assert ratio([scale, 0.0]) == 4.0


@pytest.mark.parametrize("tiny", [5e-324, 1e-162, 1e-40])
def test_heights_beyond_the_grid_win_nothing(tiny):
    assert ratio([1.0, tiny, 1.0, tiny]) == ratio([1.0, 0.0, 1.0, 0.0])


def test_whole_numbers_do_not_wrap():
    assert ratio([2**62, 2**62]) == ratio(np.array([2**62, 2**62])) == 2.0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "height 1 is nan"),
        (math.inf, "height 1 is inf"),
        (-math.inf, "height 1 is -inf"),
        (-1e-300, "height 1 is -1e-300"),
        (True, "type bool"),
        (np.True_, "type bool"),
        ("1.0", "type str"),
        (None, "type NoneType"),
        (1 + 0j, "type complex"),
        ([1.0], "type list"),
        (10**400, "too large"),
        (Fraction(1, 2), "type Fraction"),
    ],
)
def test_value_that_is_no_height_is_refused(value, reason):
    with pytest.raises(Invalid, match=reason):
        ratio([1.0, value, 1.0])


@pytest.mark.parametrize("dtype", [bool, complex, object, "U8", "datetime64[s]"])
def test_array_that_is_not_real_is_refused(dtype):
    with pytest.raises(Invalid, match="must hold real numbers"):
        ratio(np.ones(4).astype(dtype))


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ([], "0 steps"),
        ([1.0] * 20_001, "20001 steps"),
        (np.ones(10_000_000), "10000000 steps"),
        (np.ones((3, 3)), r"shape \(3, 3\)"),
        (np.ones((3, 1)), r"shape \(3, 1\)"),
        (np.array(1.0), r"shape \(\)"),
        (np.ma.masked_array([1.0, 2.0]), "type MaskedArray"),
        ([0.0, 0.0, -0.0], "all heights are 0"),
        (np.array([1.0, math.nan]), "height 1 is nan"),
        ({"heights": [1.0], "ratio": 1.3}, "type dict"),
        ([[1.0, 1.0], 1.3], "height 0 is of type list"),
        (1.3, "type float"),
        (None, "type NoneType"),
        ("111", "type str"),
    ],
)
def test_output_that_is_no_step_function_is_refused(output, reason):
    with pytest.raises(Invalid, match=reason):
        ratio(output)


# ---------------------------------------------------------------- features and feedback


def test_features():
    assert result([1.0, 0.0, 0.0, 0.0]).features == {"active": 1 / 7, "zeros": 0.75, "centre": 0.125, "log2_steps": 2.0}
    assert result(binomial(60)).features["active"] == pytest.approx(60 / 119)


def test_feedback_says_where_the_autoconvolution_is_high_and_low():
    lines = result([1.0] * 60).feedback.splitlines()
    assert lines[0].startswith("60 steps: 2.000000000. The autoconvolution is highest at position 59 of 0..118; 1% of")
    assert lines[1].endswith("0.20, 0.40, 0.60, 0.80, 1.00, 0.98, 0.78, 0.58, 0.38, 0.18. Flat is good.")


def test_heights_are_kept():
    kept = json.loads(result(initial.heights()).artifacts["heights.json"])
    assert kept == initial.heights()
