"""Online bin packing: the drawn data, the session's rules, best fit's score, and the answers it refuses."""

import hashlib
import importlib.util
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage

FOLDER = bundled_root() / "online_bin_packing"


def load(file):
    spec = importlib.util.spec_from_file_location(f"online_bin_packing_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def draw(stage, data="weibull", seed=0, **keys) -> list[Instance]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return referee.instances(Stage(name=stage, **keys), rng, data)


def case(items, capacity=10) -> Instance:
    return Instance({"capacity": capacity}, secret=list(items), name="case")


def place(items, priority) -> list[int]:
    return referee.drive(case(items), SimpleNamespace(priority=priority))


def mean_excess(instances, priority) -> float:
    candidate = SimpleNamespace(priority=priority)
    return float(np.mean([referee.score(i, referee.drive(i, candidate)).metrics["excess"] for i in instances]))


def best_fit(item, bins):
    return item - bins


def first_fit(item, bins):
    return -np.arange(len(bins))


# ---------------------------------------------------------------- the folder and its data


@pytest.mark.parametrize(("data", "known"), [("weibull", 0.68), ("or", None)])
def test_folder_loads(data, known):
    problem = load_problem("online_bin_packing", {"data": data})
    assert (problem.entry, problem.objectives, problem.known_best()) == ("priority", {"excess": -1}, known)
    assert f"item law is `{data}`" in problem.description


@pytest.mark.parametrize(
    ("data", "golden"),
    [("weibull", "b65fa8461da50e33"), ("or", "239f10a793a1cb7c")],
)
def test_drawn_data_stay_the_same(data, golden):
    items = [i.secret for stage in ("small", "main", "holdout") for i in draw(stage, data)]
    assert hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16] == golden


@pytest.mark.parametrize(
    ("data", "count", "length", "low", "high", "capacity"),
    [("weibull", 3, 5000, 1, 100, 100), ("or", 20, 500, 20, 100, 150)],
)
def test_main_instances_follow_the_law(data, count, length, low, high, capacity):
    instances = draw("main", data)
    assert [len(i.secret) for i in instances] == [length] * count
    assert min(min(i.secret) for i in instances) >= low and max(max(i.secret) for i in instances) <= high
    assert all(i.input == {"capacity": capacity} for i in instances)


def test_holdout_has_other_lengths():
    assert {len(i.secret) for i in draw("holdout")} == {2000, 5000, 10000}


def test_stage_key_sets_the_number_of_instances():
    assert len(draw("main", instances=5)) == 5


def test_unknown_law_is_refused():
    with pytest.raises(ValueError, match=r"param.data=x: must be one of weibull, or"):
        draw("main", "x")


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize(("data", "low", "high"), [("weibull", 3.8, 4.3), ("or", 5.0, 5.4)])
def test_initial_program_scores_as_best_fit(data, low, high):
    instances = draw("main", data)
    assert low < mean_excess(instances, initial.priority) < high


def test_initial_program_is_best_fit():
    instances = draw("small") + draw("small", "or")
    for instance in instances:
        placed = [referee.drive(instance, SimpleNamespace(priority=p)) for p in (initial.priority, best_fit)]
        assert placed[0] == placed[1]


def test_avoiding_small_gaps_beats_best_fit_by_far():
    def avoid_gaps(item, bins):
        left = bins - item
        return -left - 50.0 * left * np.exp(-left / 8.0)

    assert mean_excess(draw("main", instances=1), avoid_gaps) < 1.5


def test_excess_is_in_percent_of_the_least_number_of_bins():
    result = referee.score(case([6, 6, 4, 4]), [0, 1, 0, 2])
    assert result.metrics == {"excess": 50.0}
    assert result.features == {"full_bins": 1 / 3, "mean_gap": pytest.approx(1 / 3), "eager_openings": 1 / 3}
    assert "4 items in 3 bins, at least 2 are needed: excess 50.000 %. 1 bins were opened" in result.feedback


@pytest.mark.parametrize("placements", [[0, 0], [0, 2], [1, 0], [0, -1], [0]])
def test_impossible_placements_are_refused(placements):
    with pytest.raises(Invalid):
        referee.score(case([6, 6]), placements)


# ---------------------------------------------------------------- the session


def test_candidate_sees_bins_that_fit_and_last_an_empty_one():
    seen = []

    def watch(item, bins):
        seen.append((item, bins.tolist()))
        return best_fit(item, bins)

    assert place([6, 5, 8, 4], watch) == [0, 1, 2, 0]
    assert seen == [(6.0, [10.0]), (5.0, [10.0]), (8.0, [10.0]), (4.0, [4.0, 5.0, 10.0])]


def test_first_of_equal_scores_wins():
    assert place([3, 3, 3, 3], lambda item, bins: np.zeros(len(bins))) == [0, 0, 0, 1]


def test_highest_score_wins_also_for_the_empty_bin():
    assert place([3, 3, 3], lambda item, bins: bins) == [0, 1, 2]


def test_candidate_that_writes_into_its_arguments_changes_nothing():
    def vandal(item, bins):
        scores = best_fit(item, bins)
        bins[:] = 1000.0
        return scores

    assert place([6, 5, 8, 4], vandal) == place([6, 5, 8, 4], best_fit)


@pytest.mark.parametrize("convert", [list, tuple, np.int64, np.float32, lambda scores: [float(s) for s in scores]])
def test_lists_and_real_arrays_are_scores(convert):
    assert place([6, 5, 8, 4], lambda item, bins: convert(first_fit(item, bins))) == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("scores", "reason"),
    [
        ([math.nan, 1.0], "score of bin 0 .* is nan"),
        (np.array([0.0, -math.inf]), "score of bin 1 .* is -inf"),
        (np.array([math.inf, 0.0]), "score of bin 0 .* is inf"),
        ([True, False], "type bool"),
        (["1", "2"], "type str"),
        ([None, 1.0], "type NoneType"),
        ([1j, 1.0], "type complex"),
        ([[1.0, 2.0]], "type list"),
        ([10**400, 0], "too large"),
        (np.array([True, False]), "array of bool"),
        (np.array([1j, 0]), "array of complex"),
        (np.array(["1", "2"]), "array of <U1"),
        (np.array([1.0, 2.0], dtype=object), "array of object"),
        (np.zeros(3), r"shape \(3,\)"),
        (np.zeros((2, 1)), r"shape \(2, 1\)"),
        (np.zeros(()), r"shape \(\)"),
        ([], r"shape \(0,\)"),
        (1.0, "type float"),
        (None, "type NoneType"),
        ("12", "type str"),
        ({"0": 1.0, "1": 2.0}, "type dict"),
        (np.ma.masked_array([1.0, 2.0]), "type MaskedArray"),
    ],
)
def test_answer_that_is_not_one_finite_real_score_per_bin_is_refused(scores, reason):
    answers = iter([[0.0], scores])
    with pytest.raises(Invalid, match=f"item 1 .size 5., 2 bins: .*{reason}"):
        place([5, 5], lambda item, bins: next(answers))
