"""Matrix multiplication schemes: known ones by their terms, exactness, what is inexact below all of them, refused outputs."""

import importlib.util
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage

FOLDER = bundled_root() / "matmul_tensor"
# times 1 by signs; rows as the problem has them, w of the transposed product
STRASSEN = (
    ("+0+0+-0", "0000+0+", "0+000+0", "++0+00-"),
    ("++0-0+0", "00+00+0", "000+00+", "+0-0+0+"),
    ("+00+-0+", "0+0+000", "00+0+00", "+-+00+0"),
)
FIFTEEN = (  # <2,3,3>, found by a run of this problem
    ("0-000000-+0-000", "--+-00000+00000", "00000-+00-+-0-0", "++00++-+000+-0-", "++-000-+000000-", "00000+0000-+-0+"),
    (
        "--+0-0000000000", "--+00000-000000", "00000-00+0+-000", "+0-0+00+0000000", "00--00000000000",
        "0-000++0-+-+0+0", "000000-+00-000+", "0000-+-+00-0+-+", "0000000000-00+0",
    ),
    ("-+000+-+--0-+00", "0000-00+0000+0+", "000+0-00+00+-00", "-0+++0000000-00", "00000-000+0+--0", "00000--000+0---"),
)  # fmt: skip


def load(file):
    spec = importlib.util.spec_from_file_location(f"matmul_tensor_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def signs(texts) -> list[np.ndarray]:
    """Factors, times 2, from rows of +, - and 0."""
    return [2 * np.array([["-0+".index(sign) - 1 for sign in row] for row in factor]) for factor in texts]


def standard(n, m, p) -> list[np.ndarray]:
    """The scheme with n m p terms."""
    u, v, w = (np.zeros((rows, n * m * p), dtype=int) for rows in (n * m, m * p, p * n))
    for r, (i, j, k) in enumerate(np.ndindex(n, m, p)):
        u[i * m + j, r] = v[j * p + k, r] = w[k * n + i, r] = 2
    return [u, v, w]


def nested(one, two) -> list[np.ndarray]:
    """The scheme of 2 x 2 matrices whose entries are 2 x 2 matrices, by one scheme outside and another inside."""
    order = [((a >> 3 & 1) * 2 + (a >> 1 & 1)) * 4 + (a >> 2 & 1) * 2 + (a & 1) for a in range(16)]
    return [np.kron(x, y)[order] // 2 for x, y in zip(one, two, strict=True)]


def with_column(factors) -> list[np.ndarray]:
    """A scheme for <2,2,3> from one for <2,2,2>: the standard one for the column that is more."""
    u, v, w = (np.zeros((rows, factors[0].shape[1] + 4), dtype=int) for rows in (4, 6, 6))
    terms = factors[0].shape[1]
    u[:, :terms], v[[0, 1, 3, 4], :terms], w[:4, :terms] = factors
    for r, (i, j) in enumerate(np.ndindex(2, 2), terms):
        u[i * 2 + j, r] = v[j * 3 + 2, r] = w[4 + i, r] = 2
    return [u, v, w]


def result(output, *shape):
    return referee.score(Instance(list(shape)), output)


def cost(output, *shape) -> float:
    return result(output, *shape).metrics["cost"]


def changed(row, column, value, factor=0) -> list[np.ndarray]:
    """Strassen's scheme with one entry changed."""
    factors = [x.astype(type(value)) for x in signs(STRASSEN)]
    factors[factor][row, column] = value
    return factors


# ---------------------------------------------------------------- the folder


def test_folder_loads_with_its_parameters_filled_in():
    problem = load_problem("matmul_tensor")
    assert (problem.entry, problem.objectives, problem.known_best()) == ("decompose", {"cost": -1}, 15)
    assert "n = 2, m = 3, p = 3" in problem.description and "{" not in problem.description


def test_another_shape_has_no_known_value_in_the_folder():
    assert load_problem("matmul_tensor", {"n": 3}).known_best() is None


@pytest.mark.parametrize(
    ("stage", "shape", "shapes"),
    [
        ("small", (2, 3, 3), [[2, 2, 2]]),
        ("main", (3, 2, 5), [[3, 2, 5]]),
        ("holdout", (2, 3, 3), [[2, 2, 3], [3, 3, 3]]),
        ("holdout", (3, 2, 3), [[2, 2, 3], [3, 3, 3]]),
        ("holdout", (4, 4, 4), [[2, 4, 5], [5, 5, 5]]),
        ("holdout", (2, 2, 2), [[2, 2, 3]]),
        ("holdout", (5, 5, 5), [[4, 4, 4]]),
    ],
)
def test_instances(stage, shape, shapes):
    assert [i.input for i in referee.instances(Stage(name=stage), np.random.default_rng(0), *shape)] == shapes


def test_size_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"param.m=6: must be from 2 to 5"):
        referee.instances(Stage(name="main"), np.random.default_rng(0), 2, 6, 2)


# ---------------------------------------------------------------- exact schemes


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 3, 4), (4, 3, 2), (3, 3, 3), (5, 5, 5)])
def test_standard_scheme_costs_n_m_p(shape):
    assert cost(standard(*shape), *shape) == math.prod(shape)


def test_known_schemes():
    strassen = signs(STRASSEN)
    assert cost(strassen, 2, 2, 2) == 7
    assert cost(with_column(strassen), 2, 2, 3) == 11
    assert cost(signs(FIFTEEN), 2, 3, 3) == 15
    assert cost(nested(strassen, strassen), 4, 4, 4) == 49


def test_the_tensor_is_that_of_the_product():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 9, (2, 3)), rng.integers(-9, 9, (3, 3))
    u, v, w = (factor // 2 for factor in signs(FIFTEEN))
    product = w @ ((u.T @ a.ravel()) * (v.T @ b.ravel()))
    assert (product.reshape(3, 2) == (a @ b).T).all()


def test_halves_and_imaginary_entries_are_exact():
    u, v, w = signs(STRASSEN)
    halves = [u // 2, 2 * v, w]  # 1/2, 2, 1
    assert cost(halves, 2, 2, 2) == 7
    zero = np.zeros_like(u)
    turned = [np.stack([zero, u], axis=2), np.stack([zero, -v], axis=2), w]  # i times -i
    assert cost(turned, 2, 2, 2) == 7
    wrong = [np.stack([zero, u], axis=2), np.stack([zero, v], axis=2), w]  # i times i: the negative of the product
    assert result(wrong, 2, 2, 2).metrics["error"] == 4 * 8


def test_all_forms_of_a_scheme_score_alike():
    u, v, w = signs(STRASSEN)
    pairs = [np.stack([x, np.zeros_like(x)], axis=2) for x in (u, v, w)]
    forms = (
        [u, v, w],
        (u.tolist(), v, w.astype(np.int8)),
        pairs,
        [x.tolist() for x in pairs],
        [x.astype(float) for x in (u, v, w)],
        [list(u), v, w],
    )
    assert {cost(form, 2, 2, 2) for form in forms} == {7.0}


# ---------------------------------------------------------------- what is not exact


def test_inexact_costs_more_than_any_exact():
    for row, column, value in [(0, 0, 1), (3, 6, 0), (1, 2, -2)]:
        found = result(changed(row, column, value), 2, 2, 2).metrics
        assert found["error"] > 0 and found["cost"] == 8 + found["error"] > cost(standard(2, 2, 2), 2, 2, 2)


def test_smallest_possible_error_still_costs_more_than_the_standard_scheme():
    u, v, w = standard(2, 2, 2)
    u, v, w = (np.hstack([x, x[:, :0]]) for x in (u, v, w))
    u[0, 7] = v[0, 7] = w[0, 7] = 1  # the last term becomes (1/2 e0 + e3) in each factor
    found = result([u, v, w], 2, 2, 2).metrics
    assert 0 < found["error"] < 1 and found["cost"] > 8


def test_error_is_the_squared_difference_recomputed_in_fractions():
    rng = np.random.default_rng(1)
    factors = [rng.integers(-16, 17, (rows, 5, 2)) for rows in (4, 6, 6)]
    total = Fraction(0)
    target = referee.target((2, 2, 3))
    for a, b, c in np.ndindex(4, 6, 6):
        real, imaginary = -Fraction(int(target[a, b, c])), Fraction(0)
        for r in range(5):
            (x, y), (s, t), (e, f) = ((Fraction(int(z), 2) for z in factors[k][i, r]) for k, i in enumerate((a, b, c)))
            x, y = x * s - y * t, x * t + y * s
            real, imaginary = real + x * e - y * f, imaginary + x * f + y * e
        total += real**2 + imaginary**2
    assert result(factors, 2, 2, 3).metrics["error"] == float(total)


def test_terms_left_out_of_the_standard_scheme_are_worth_less_than_a_near_one_at_the_best_known_number():
    rest = [x[:, :26] for x in standard(3, 3, 3)]
    assert result(rest, 3, 3, 3).metrics == {"cost": 27 + 1 + 3, "terms": 26.0, "error": 1.0}
    assert cost([x[:, :23] for x in standard(3, 3, 3)], 3, 3, 3) == 27 + 4
    assert cost([x[:, :11] for x in standard(2, 2, 4)], 2, 2, 4) == 16 + 5 + 11  # off the ladder each term counts


def test_largest_entries_do_not_wrap():
    largest = [np.full((25, 125, 2), 16) for _ in range(3)]
    real, imaginary = 125 * 16**3 * -2, 125 * 16**3 * 2  # (16 + 16i)^3 = 16^3 (-2 + 2i)
    ones = 125
    expected = (25**3 - ones) * (real**2 + imaginary**2) + ones * ((real - 8) ** 2 + imaginary**2)
    assert result(largest, 5, 5, 5).metrics["error"] == expected / 64


@pytest.mark.parametrize(("shape", "low", "high"), [((2, 2, 2), 7, 16), ((2, 3, 3), 15, 36)])
def test_initial_program(shape, low, high):
    # rounded least squares: the last digits depend on the machine's linear algebra
    assert low <= cost(initial.decompose(*shape), *shape) <= high


def test_initial_program_takes_any_shape():
    for shape in [(2, 2, 4), (3, 2, 2)]:
        result([x.tolist() for x in initial.decompose(*shape)], *shape)


# ---------------------------------------------------------------- the holes


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (17, r"u\[0, 1\] is 17"),
        (-17, "is -17"),
        (2**32, "is 4294967296"),
        (0.5, r"is 0.5; entries are returned times 2"),
        (math.nan, "is nan"),
        (math.inf, "is inf"),
        (2 + 1e-12, "is 2.0"),
        (5e-324, "is 5e-324"),
    ],
)
def test_entry_that_is_no_small_whole_number_is_refused(value, reason):
    for form in (changed(0, 1, value), [x.tolist() for x in changed(0, 1, value)]):
        with pytest.raises(Invalid, match=reason.replace("17", r"17(\.0)?").replace("4294967296", r"4294967296(\.0)?")):
            cost(form, 2, 2, 2)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "type bool"),
        ("2", "type str"),
        (None, "type NoneType"),
        (2j, "type complex"),
        (Fraction(1, 2), "type Fraction"),
        (10**400, "too large"),
        ([2, 0], "mixes numbers and pairs"),
    ],
)
def test_list_entry_that_is_no_number_is_refused(value, reason):
    factors = [x.tolist() for x in signs(STRASSEN)]
    factors[2][1][3] = value
    with pytest.raises(Invalid, match=f"w .*{reason}"):
        cost(factors, 2, 2, 2)


@pytest.mark.parametrize("dtype", [bool, complex, object, "U2"])
def test_array_of_another_type_is_refused(dtype):
    u, v, w = signs(STRASSEN)
    with pytest.raises(Invalid, match="v is an array of"):
        cost([u, v.astype(dtype), w], 2, 2, 2)


def test_unsigned_numbers_that_stand_for_negative_ones_are_refused():
    u, v, w = signs(STRASSEN)
    with pytest.raises(Invalid, match=r"u\[0, 5\] is 18446744073709551614"):
        cost([u.astype(np.uint64), v, w], 2, 2, 2)


def bad_shapes():
    u, v, w = signs(STRASSEN)
    return [
        (None, "type NoneType"),
        ("uvw", "type str of length 3"),
        ({"u": u, "v": v, "w": w}, "type dict"),
        (np.array([u, v, w]), "type ndarray"),
        (np.array(7), "type ndarray"),
        ([u, v], "length 2"),
        (7, "type int"),
        ([u, v, None], "w is a value of type NoneType"),
        ([u, v[:3], w], r"v has the shape \(3, 7\); it must be \(4, terms\)"),
        ([u, v.tolist()[:3], w], "v has 3 rows; it must have 4"),
        ([u, v[:, :6], w], "u, v, w have 7, 6 and 7 columns"),
        ([u[:, :0], v[:, :0], w[:, :0]], "u has 0 columns"),
        ([np.hstack([x, x]) for x in (u, v, w)], r"u has 14 columns; there must be 1 to 8 terms"),
        ([u.ravel(), v, w], r"shape \(28,\)"),
        ([u[..., None], v, w], r"shape \(4, 7, 1\)"),
        ([np.ma.masked_array(u), v, w], "type MaskedArray"),
        ([u, [*v.tolist()[:3], [2]], w], "v has rows of different lengths"),
        ([u, v, [2, 2, 2, 2]], "row 0 of w is no list"),
        ([[[0] * 10**6] * 4, v, w], "row 0 of u is no list of at most 8"),
        ([u, v, [[[2]] * 7] * 4], "w mixes numbers and pairs"),
    ]


@pytest.mark.parametrize(("output", "reason"), bad_shapes())
def test_output_that_is_no_scheme_is_refused(output, reason):
    with pytest.raises(Invalid, match=reason):
        cost(output, 2, 2, 2)


# ---------------------------------------------------------------- features and feedback


def test_features_feedback_and_the_kept_scheme():
    found = result(changed(0, 0, 1), 2, 2, 2)
    assert found.features["terms"] == 7 and 0 < found.features["halves"] < 0.02 and found.features["imaginary"] == 0
    assert "<2,2,2>: 7 terms (standard 8, best known 7). Not exact: the squared error is" in found.feedback
    kept = json.loads(found.artifacts["scheme.json"])
    assert cost(kept, 2, 2, 2) == found.metrics["cost"]


def test_idle_terms_count_and_are_told():
    factors = [np.hstack([x, np.zeros((4, 1), dtype=int)]) for x in signs(STRASSEN)]
    found = result(factors, 2, 2, 2)
    assert found.metrics["cost"] == 8 and "Exact." in found.feedback and "1 terms are 0 and may go" in found.feedback


def test_feedback_counts_wrong_entries():
    rest = [x[:, :7] for x in standard(2, 2, 2)]
    assert (
        "1 of 64 entries of the tensor are wrong: 1 of the 8 ones, 0 of the zeros; by at most 1."
        in result(rest, 2, 2, 2).feedback
    )
