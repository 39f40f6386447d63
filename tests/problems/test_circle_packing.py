"""Circle packing: the initial programs, known packings, containers, the repair, and the cheats that the referee refuses."""

import importlib.util
import json
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.llm.mutation import mutate
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Result, Stage

FOLDER = bundled_root() / "circle_packing"
CONTAINERS = ("square", "rectangle", "disc")


def load(file):
    spec = importlib.util.spec_from_file_location(file.replace("/", "_"), FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee = load("evaluator")
FORMULATIONS = {path.stem: load(f"initials/{path.stem}") for path in sorted(FOLDER.glob("initials/*.py"))}
initial, improve = FORMULATIONS["1_rings"], FORMULATIONS["3_improve"]
SQUARE, RECTANGLE, DISC = (referee.CONTAINERS[name] for name in CONTAINERS)


def judged(output, container="square", n=None) -> Result:
    return referee.score(Instance(n or len(output)), output, container)


def sum_radii(output, n=None, container="square") -> float:
    return judged(output, container, n).metrics["sum_radii"]


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
    assert [stage.name for stage in problem.stages] == ["small", "main", "alone"] and problem.incumbent
    assert "n = 26 in the container **square**" in problem.description and "{" not in problem.description
    assert len(problem.initials) == 3 and set(problem.edit) == {"initial.py"}


@pytest.mark.parametrize("params", [{"n": 32}, {"container": "rectangle"}, {"n": 21, "container": "disc"}])
def test_other_parameters_have_no_known_value_and_are_named_to_the_model(params):
    problem = load_problem("circle_packing", params)
    given = {"n": 26, "container": "square", **params}
    assert problem.known_best() is None
    assert f"n = {given['n']} in the container **{given['container']}**" in problem.description
    assert all(f"- {name}: " in problem.description for name in CONTAINERS)


@pytest.mark.parametrize(
    ("stage", "n", "sizes"),
    [("small", 26, [10]), ("small", 7, [7]), ("main", 26, [26]), ("alone", 26, [26]), ("holdout", 26, [27, 30, 33])],
)
def test_instances(stage, n, sizes):
    assert [i.input for i in referee.instances(Stage(name=stage), np.random.default_rng(0), n, "square")] == sizes


@pytest.mark.parametrize(
    ("n", "container", "said"),
    [
        (0, "square", r"param\.n=0: must be at least 1"),
        (26, "hexagon", r"param\.container=hexagon: must be square, rectangle or disc"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(n, container, said):
    with pytest.raises(ValueError, match=said):
        referee.instances(Stage(name="main"), np.random.default_rng(0), n, container)


# ---------------------------------------------------------------- the initial programs


@pytest.mark.parametrize(("name", "known"), [("1_rings", 0.956), ("2_gradient", 1.14), ("3_improve", 1.354)])
def test_initial_programs_leave_much_to_find(name, known):
    assert sum_radii(FORMULATIONS[name].pack(26)) == pytest.approx(known, abs=0.01)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_initial_programs_pack_any_n_in_any_container(name):
    for n in [*range(1, 41), 60]:
        discs = referee.parse(FORMULATIONS[name].pack(n), n)
        assert sum(r for _, _, r in discs) > 0
        for container in (SQUARE, RECTANGLE, DISC):
            referee.repair(discs, container)


def test_initial_program_fits_any_centres():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sum_radii(initial.fit(rng.normal(0.5, 1.0, (26, 2)).tolist()), 26)


def test_gradient_fits_any_discs():
    rng = np.random.default_rng(0)
    for _ in range(20):
        sum_radii(FORMULATIONS["2_gradient"].fit(rng.normal(0.5, 1.0, (26, 3))), 26)


@pytest.mark.parametrize("name", FORMULATIONS)
def test_offline_proposer_varies_every_formulation(name):
    text = (FOLDER / f"initials/{name}.py").read_text()
    others = [(FOLDER / f"initials/{other}.py").read_text() for other in FORMULATIONS]
    made = [mutate(text, others, np.random.default_rng(seed), crossover=bool(seed % 2)) for seed in range(4)]
    assert len({child.text for child in made} - {text}) == 4


# ---------------------------------------------------------------- improving the best so far

LOOSE = [[(2 * i + 1) / 10, (2 * j + 1) / 10, 0.05] for i in range(5) for j in range(5)]


@pytest.mark.parametrize("found", [LOOSE, np.array(LOOSE)])
def test_improve_returns_something_better_than_what_it_was_given(found):
    assert sum_radii(improve.pack(25, incumbent=lambda: found)) > sum_radii(found)


def test_improve_returns_what_it_can_not_better():
    assert sum_radii(improve.pack(25, incumbent=lambda: grid(5))) == sum_radii(grid(5))


def test_improve_begins_by_itself_where_there_is_none():
    assert improve.pack(10, incumbent=lambda: None) == improve.pack(10)


@pytest.mark.parametrize(
    ("container", "found"),
    [
        ("rectangle", [[0.25, 0.25, 0.25], [1.25, 0.25, 0.25], [0.75, 0.1, 0.01]]),
        ("rectangle", [[-7.0, 3.0, 0.1], [-6.0, 3.0, 0.1]]),
        ("disc", [[0.5, -0.1, 0.1], [0.5, 1.1, 0.1], [0.9, 0.5, 0.1]]),
    ],
)
def test_improve_leaves_a_packing_of_another_container_valid(container, found):
    better = improve.pack(len(found), incumbent=lambda: found)
    assert sum_radii(better, container=container) >= sum_radii(found, container=container)


# ---------------------------------------------------------------- what is valid


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
    assert referee.repair(discs, SQUARE) == (discs, 0.0)


# ---------------------------------------------------------------- the repair


@pytest.mark.parametrize(
    ("excess", "shrink"), [(2.0**-54, 1e-16), (4e-16, 1e-15), (4e-15, 1e-14), (4e-14, 1e-13), (4e-13, 1e-12)]
)
def test_repair_takes_the_smallest_sufficient_amount_off_every_radius(excess, shrink):
    discs = [(0.25, 0.5, 0.25 + excess), (0.75, 0.5, 0.125)]
    repaired, taken = referee.repair(discs, SQUARE)
    assert taken == shrink
    assert [r for _, _, r in repaired] == [r - shrink for _, _, r in discs]


def test_repair_is_scored_kept_and_reported():
    result = judged([[0.25, 0.5, 0.25 + 4e-13], [0.75, 0.5, 0.125]])
    kept = json.loads(result.artifacts["packing.json"])
    assert result.metrics["sum_radii"] == math.fsum(r for _, _, r in kept) < 0.375
    assert "1e-12 was taken off every radius" in result.feedback


def test_repair_leaves_no_radius_negative():
    repaired, _ = referee.repair([(0.25, 0.5, 0.25 + 4e-13), (0.9, 0.9, 1e-14)], SQUARE)
    assert repaired[1][2] == 0.0


def test_repaired_packing_is_feasible_in_fractions():
    discs, _ = referee.repair(referee.parse(grid(5, grow=5e-14), 25), SQUARE)
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
    assert referee.faults(tiny, SQUARE) == ([0], [(0, 1)])


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


# ---------------------------------------------------------------- containers

WIDE = [(0.375, 0.375, 0.375), (1.0, 0.25, 0.25)]  # in a rectangle of 1.25 x 0.75, exactly


def moved(discs, by=(0.0, 0.0)):
    return [(x + by[0], y + by[1], r) for x, y, r in discs]


@pytest.mark.parametrize("by", [(0.0, 0.0), (-0.5, 2.0), (1024.0, -1024.0)])
def test_rectangle_may_lie_anywhere(by):
    assert referee.repair(moved(WIDE, by), RECTANGLE) == (moved(WIDE, by), 0.0)
    assert sum_radii(moved(WIDE, by), container="rectangle") == 0.625


@pytest.mark.parametrize("container", ["square", "disc"])
def test_wide_packing_fits_no_other_container(container):
    with pytest.raises(Invalid, match="leaves the"):
        sum_radii(WIDE, container=container)


def test_rectangle_is_decided_without_rounding():
    wider = [(0.375, 0.375, 0.375), (1.0, 0.25, 0.25), (0.0, 1e-3, 0.0), (-5e-324, 2e-3, 0.0)]
    assert referee.faults(wider[:3], RECTANGLE) == ([], [])
    assert referee.faults(wider, RECTANGLE)[0] == [0, 1, 3]  # those at the sides of the box


def test_too_wide_a_rectangle_is_refused_with_its_box():
    said = (
        r"the box around the discs is 1.251 x 0.75: width \+ height exceeds 2 by 0.001 \(discs 0, 1 are at its sides\)"
    )
    with pytest.raises(Invalid, match=said):
        sum_radii([WIDE[0], (1.001, 0.25, 0.25)], container="rectangle")


@pytest.mark.parametrize("container", ["rectangle", "disc"])
@pytest.mark.parametrize("value", [1e300, -1.7976931348623157e308, 3])
def test_huge_coordinates_are_refused_in_every_container(container, value):
    with pytest.raises(Invalid, match=r"exceeds 2 by|leaves the circle by"):
        sum_radii(with_value(value), container=container)


@pytest.mark.parametrize(("excess", "shrink"), [(4e-16, 1e-15), (4e-13, 1e-12)])
def test_rectangle_is_repaired_on_all_sides(excess, shrink):
    discs = [(0.375, 0.375, 0.375 + excess), (1.0, 0.25, 0.25 + excess)]
    assert referee.repair(discs, RECTANGLE)[1] == shrink


def test_circle_goes_through_the_corners_of_the_square():
    corners = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0, 0.0)]
    assert referee.faults(corners, DISC) == ([], [])
    assert referee.faults([(0.0, 0.0, 5e-324), (-5e-324, 0.0, 0.0)], DISC) == ([0, 1], [])


def test_disc_as_large_as_the_circle_is_repaired():
    R = math.sqrt(0.5)  # rounded up
    assert referee.repair([(0.5, 0.5, R)], DISC) == ([(0.5, 0.5, R - 1e-16)], 1e-16)
    with pytest.raises(Invalid, match=r"disc 0 leaves the circle by 1e-09 \(1 of 1 discs leave it\)"):
        sum_radii([[0.5, 0.5, R + 1e-9]], container="disc")


@pytest.mark.parametrize("r", [0.71, 1.5, 10.0, 1e300])
def test_disc_larger_than_the_circle_is_refused(r):
    # for these (R - r)^2 >= d^2 holds again: the sign of R - r has to be looked at
    assert referee.faults([(0.5, 0.5, r)], DISC) == ([0], [])


def test_circle_is_decided_as_in_two_hundred_digits():
    rng = np.random.default_rng(0)
    answers = []
    for _ in range(300):
        d, angle = math.sqrt(rng.random() / 2), rng.random() * math.tau
        x, y = 0.5 + d * math.cos(angle), 0.5 + d * math.sin(angle)
        r = math.sqrt(0.5) - d + float(rng.integers(-2, 3)) * 2.0**-53
        if r >= 0:
            answers.append((referee.faults([(x, y, r)], DISC)[0] == [], inside(x, y, r)))
    assert all(said == true for said, true in answers)
    assert 80 < sum(said for said, _ in answers) < len(answers) - 80


def inside(x, y, r) -> bool:
    with localcontext() as context:
        context.prec = 200
        half = Decimal("0.5")
        return ((Decimal(x) - half) ** 2 + (Decimal(y) - half) ** 2).sqrt() + Decimal(r) <= half.sqrt()


# ---------------------------------------------------------------- features and feedback


def test_features_of_a_grid():
    assert judged(grid(2)).features == {"contacts": 12.0, "distinct_radii": 1.0, "symmetry_error": 0.0}


BOTTOM = [[0.25, 0.25, 0.25], [0.75, 0.25, 0.25]]  # along the square's lower wall, in a box of 1 x 0.5
RIGHT = [[0.3 + math.sqrt(0.5), 0.5, 0.2], [math.sqrt(0.5) - 0.1, 0.5, 0.2]]  # on a diameter of the circle


@pytest.mark.parametrize(
    ("container", "discs", "walls"),
    [("square", BOTTOM, 4), ("rectangle", BOTTOM, 6), ("disc", BOTTOM, 0), ("rectangle", RIGHT, 6), ("disc", RIGHT, 1)],
)
def test_contacts_are_with_the_walls_of_the_container(container, discs, walls):
    assert judged(discs, container).features["contacts"] == 1 + walls


@pytest.mark.parametrize(("container", "symmetric"), [("square", True), ("rectangle", False), ("disc", True)])
def test_a_rectangle_has_no_diagonal_symmetry(container, symmetric):
    diagonal = [[0.2, 0.7, 0.1], [0.7, 0.2, 0.1], [0.8, 0.8, 0.1]]
    assert (judged(diagonal, container).features["symmetry_error"] < 1e-9) == symmetric


def test_a_rectangle_is_symmetric_wherever_it_lies():
    row = [[5.0, -3.0, 0.25], [5.5, -3.0, 0.25], [6.0, -3.0, 0.25]]
    assert judged(row, "rectangle").features["symmetry_error"] == 0.0


def test_symmetry_error_of_a_lopsided_packing():
    assert judged([[0.3, 0.4, 0.1]]).features["symmetry_error"] == pytest.approx(math.hypot(0.1, 0.1))


def test_feedback_names_loose_discs_and_holes():
    lines = judged([[0.25, 0.25, 0.25], [0.7, 0.7, 0.1]]).feedback.splitlines()
    assert "sum of radii 0.35000000; smallest 0.100000, largest 0.250000, 2 distinct" in lines[0]
    assert "disc 1 at (0.700, 0.700), r = 0.1000, by 0.2000" in lines[2]
    assert "largest hole takes a disc of radius about 0.2" in lines[3]


def test_feedback_of_a_circle_measures_from_its_wall():
    lines = judged([[0.5, 0.5, 0.2]], "disc").feedback.splitlines()
    assert "disc 0 at (0.500, 0.500), r = 0.2000, by 0.5071" in lines[2]
    assert "92.0% of the circle is uncovered; the largest hole takes a disc of radius about 0.25" in lines[3]


def test_feedback_of_a_rectangle_measures_in_its_box():
    lines = judged(moved(WIDE, (8.0, 8.0)), "rectangle").feedback.splitlines()
    assert "of the rectangle is uncovered; the largest hole takes a disc of radius about 0.135" in lines[2]
    assert lines[3] == "The box around the discs is 1.250000 x 0.750000."


def test_feedback_of_a_rectangle_says_what_enlarging_gives():
    half = [[x / 2, y / 2, r / 2] for x, y, r in WIDE]
    said = "The box around the discs is 0.625000 x 0.375000; enlarged until width + height = 2, the same packing has the sum"
    assert judged(half, "rectangle").feedback.splitlines()[-1] == f"{said} 0.62500000."


@pytest.mark.parametrize("at", [0.5, 1e308])
def test_points_alone_are_a_packing_of_a_rectangle(at):
    result = judged([[at, at, 0.0], [at, at, 0.0]], "rectangle")
    assert result.metrics == {"sum_radii": 0.0} and all(map(math.isfinite, result.features.values()))
