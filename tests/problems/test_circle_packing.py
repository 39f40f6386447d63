"""Circle packing: the initial program, known packings, the repair, and the cheats that the referee refuses."""

import importlib.util
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Result, Stage

FOLDER = bundled_root() / "circle_packing"


def load(file):
    spec = importlib.util.spec_from_file_location(f"circle_packing_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def sum_radii(output, n=None) -> float:
    return referee.score(Instance(n or len(output)), output).metrics["sum_radii"]


def grid(side: int, grow: float = 0.0) -> list[list[float]]:
    r = 0.5 / side
    return [[(2 * i + 1) * r, (2 * j + 1) * r, r + grow] for i in range(side) for j in range(side)]


def pair(overlap: float) -> list[list[float]]:
    """Two discs of radius 0.1, well inside the square."""
    return [[0.3, 0.5, 0.1], [0.5 - overlap, 0.5, 0.1]]


def with_value(value, row=1, column=0) -> list[list]:
    output = grid(2)
    output[row][column] = value
    return output


# ---------------------------------------------------------------- the folder


def test_folder_loads_with_its_parameter_filled_in():
    problem = load_problem("circle_packing")
    assert (problem.entry, problem.objectives, problem.known_best()) == ("pack", {"sum_radii": 1}, 2.63598308)
    assert [stage.name for stage in problem.stages] == ["small", "main"]
    assert "n = 26" in problem.description and "{n}" not in problem.description


def test_another_n_has_no_known_value():
    problem = load_problem("circle_packing", {"n": 32})
    assert problem.known_best() is None and "n = 32" in problem.description


@pytest.mark.parametrize(
    ("stage", "n", "sizes"),
    [("small", 26, [10]), ("small", 7, [7]), ("main", 26, [26]), ("holdout", 26, [27, 30, 33])],
)
def test_instances(stage, n, sizes):
    assert [i.input for i in referee.instances(Stage(name=stage), np.random.default_rng(0), n)] == sizes


def test_n_below_one_is_refused():
    with pytest.raises(ValueError, match=r"param.n=0"):
        referee.instances(Stage(name="main"), np.random.default_rng(0), 0)


# ---------------------------------------------------------------- what is valid


def test_initial_program_scores_about_096():
    assert 0.95 < sum_radii(initial.pack(26)) < 0.97


@pytest.mark.parametrize("n", [1, 2, 10, 27, 60])
def test_initial_program_packs_any_n(n):
    assert sum_radii(initial.pack(n), n) > 0


def test_initial_program_fits_any_centres():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sum_radii(initial.fit(rng.normal(0.5, 1.0, (26, 2)).tolist()), 26)


@pytest.mark.parametrize(("side", "known"), [(1, 0.5), (2, 1.0), (5, 2.5)])
def test_touching_grid_scores_half_its_side(side, known):
    assert sum_radii(grid(side)) == pytest.approx(known, abs=1e-10)


def test_lists_and_arrays_score_alike():
    rows = initial.pack(26)
    assert sum_radii(np.array(rows)) == sum_radii(rows) == sum_radii([np.array(row) for row in rows])


def test_score_does_not_depend_on_the_order_of_the_discs():
    rows = initial.pack(26)
    assert sum_radii(rows[::-1]) == sum_radii(rows)


def test_point_outside_all_discs_counts_as_a_disc_of_radius_zero():
    assert sum_radii([*grid(5), [0.0, 0.0, 0.0]]) == sum_radii(grid(5))


def test_touching_discs_are_not_repaired():
    discs = [(0.25, 0.5, 0.25), (0.75, 0.5, 0.25)]
    assert referee.repair(discs) == (discs, 0.0)


# ---------------------------------------------------------------- the repair


@pytest.mark.parametrize(
    ("excess", "shrink"), [(2.0**-54, 1e-16), (4e-16, 1e-15), (4e-15, 1e-14), (4e-14, 1e-13), (4e-13, 1e-12)]
)
def test_repair_takes_the_smallest_sufficient_amount_off_every_radius(excess, shrink):
    discs = [(0.25, 0.5, 0.25 + excess), (0.75, 0.5, 0.125)]
    repaired, taken = referee.repair(discs)
    assert taken == shrink
    assert [r for _, _, r in repaired] == [r - shrink for _, _, r in discs]


def test_repair_is_scored_kept_and_reported():
    result = referee.score(Instance(2), [[0.25, 0.5, 0.25 + 4e-13], [0.75, 0.5, 0.125]])
    judged = json.loads(result.artifacts["packing.json"])
    assert result.metrics["sum_radii"] == math.fsum(r for _, _, r in judged) < 0.375
    assert "1e-12 was taken off every radius" in result.feedback


def test_repair_leaves_no_radius_negative():
    repaired, _ = referee.repair([(0.25, 0.5, 0.25 + 4e-13), (0.9, 0.9, 1e-14)])
    assert repaired[1][2] == 0.0


def test_repaired_packing_is_feasible_in_fractions():
    discs, _ = referee.repair(referee.parse(grid(5, grow=5e-14), 25))
    exact = [tuple(map(Fraction, disc)) for disc in discs]
    assert all(r <= min(x, y) and max(x, y) <= 1 - r for x, y, r in exact)
    apart = [(x - u) ** 2 + (y - v) ** 2 >= (r + s) ** 2 for i, (x, y, r) in enumerate(exact) for u, v, s in exact[:i]]
    assert len(apart) == 300 and all(apart)


# ---------------------------------------------------------------- the holes


@pytest.mark.parametrize("overlap", [1e-9, 2e-11, 3e-12])
def test_overlap_beyond_the_repair_is_refused(overlap):
    with pytest.raises(Invalid, match=r"discs 0 and 1 overlap by .*\(1 of 3 pairs overlap\)"):
        sum_radii([*pair(overlap), [0.8, 0.8, 0.1]])


def test_message_names_pair_and_depth():
    with pytest.raises(Invalid, match=r"discs 0 and 1 overlap by 1.2e-09"):
        sum_radii(pair(1.2e-9))


def test_disc_that_leaves_the_square_is_refused():
    with pytest.raises(Invalid, match=r"disc 1 leaves the square by 1e-09"):
        sum_radii([[0.2, 0.2, 0.1], [0.9, 0.5, 0.1 + 1e-9]])


def test_disc_with_its_centre_inside_another_is_refused():
    with pytest.raises(Invalid, match="overlap"):
        sum_radii([[0.5, 0.5, 0.4], [0.6, 0.5, 0.0]])


@pytest.mark.parametrize("value", [1e300, -1e300, 1.7976931348623157e308, 2, -5e-324])
def test_huge_or_outside_coordinates_are_refused(value):
    with pytest.raises(Invalid, match="disc 1 leaves the square"):
        sum_radii(with_value(value))


def test_tiny_radii_do_not_underflow_into_a_feasible_packing():
    # (1e-162)**2 is 0 in floats, so a float check calls these discs disjoint; in integers nothing underflows
    tiny = [(0.5e-162, 1e-162, 1e-162), (1.5e-162, 1e-162, 1e-162)]
    assert referee.faults(tiny) == ([0], [(0, 1)])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "is nan"),
        (math.inf, "is inf"),
        (-math.inf, "is -inf"),
        (True, "type bool"),
        (np.True_, "type bool"),
        ("0.25", "type str"),
        (None, "type NoneType"),
        (0.25 + 0j, "type complex"),
        ([0.25], "type list"),
        (object(), "type object"),
        (10**400, "too large"),
        (Fraction(1, 4), "type Fraction"),
    ],
)
def test_value_that_is_no_finite_real_number_is_refused(value, reason):
    with pytest.raises(Invalid, match=reason):
        sum_radii(with_value(value))


@pytest.mark.parametrize("dtype", [bool, complex, object, "U8", "datetime64[s]"])
def test_array_that_is_not_real_is_refused(dtype):
    with pytest.raises(Invalid, match="must hold real numbers"):
        sum_radii(np.zeros((4, 3)).astype(dtype), 4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_array_with_a_value_that_is_not_finite_is_refused(value):
    output = np.array(grid(2))
    output[2, 1] = value
    with pytest.raises(Invalid, match="y of disc 2 is"):
        sum_radii(output)


def test_array_subclass_is_refused():
    with pytest.raises(Invalid, match="MaskedArray"):
        sum_radii(np.ma.masked_array(grid(2), mask=True), 4)


@pytest.mark.parametrize(
    "output",
    [
        [],
        grid(2)[:3],
        [*grid(2), [0.5, 0.5, 0.0]],
        [row[:2] for row in grid(2)],
        np.array(grid(2)).T,
        np.array(grid(2)).ravel(),
        np.array(grid(2))[None],
        {"discs": grid(2), "sum_radii": 2.7},
        [grid(2), 2.7],
        2.7,
        None,
        "discs",
    ],
)
def test_wrong_shape_is_refused(output):
    with pytest.raises(Invalid):
        sum_radii(output, 4)


@pytest.mark.parametrize("r", [-0.1, -1e-300])
def test_negative_radius_is_refused(r):
    with pytest.raises(Invalid, match="disc 1 has the negative radius"):
        sum_radii(with_value(r, column=2))


# ---------------------------------------------------------------- features and feedback


def test_features_of_a_grid():
    result = referee.score(Instance(4), grid(2))
    assert isinstance(result, Result)
    assert result.features == {"contacts": 12.0, "distinct_radii": 1.0, "symmetry_error": 0.0}


def test_symmetry_error_of_a_lopsided_packing():
    assert referee.score(Instance(1), [[0.3, 0.4, 0.1]]).features["symmetry_error"] == pytest.approx(
        math.hypot(0.1, 0.1)
    )


def test_feedback_names_loose_discs_and_holes():
    lines = referee.score(Instance(2), [[0.25, 0.25, 0.25], [0.7, 0.7, 0.1]]).feedback.splitlines()
    assert "sum of radii 0.35000000; smallest 0.100000, largest 0.250000, 2 distinct" in lines[0]
    assert "disc 1 at (0.700, 0.700), r = 0.1000, by 0.2000" in lines[2]
    assert "largest hole takes a disc of radius about 0.2" in lines[3]
