"""cpp_tsp: the drawn points, tours by length, what programs may print, and programs compiled and run in the sandbox."""

import hashlib
import importlib.util
import math
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage
from evolve.types import Status

FOLDER = bundled_root() / "cpp_tsp"
needs_cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
asynchronous = pytest.mark.asyncio(loop_scope="session")


def load(file):
    spec = importlib.util.spec_from_file_location(f"cpp_tsp_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee = load("evaluator")


def draw(stage, n=1000, seed=0, count=2) -> list[Instance]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return referee.instances(Stage(name=stage, instances=count), rng, n)


def scored(points, printed):
    points = np.array(points, dtype=np.int64)
    return referee.score(Instance("", secret=points, name="case"), referee.Run(printed, 0.5))


SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]

# ---------------------------------------------------------------- the folder and its data


def test_folder_loads_and_says_what_it_needs():
    problem = load_problem("cpp_tsp")
    assert (problem.command, problem.requires, problem.objectives) == (("./tsp",), ("g++",), {"ratio": -1})
    assert problem.noisy and problem.comparable_on == "cpu_model" and problem.holdout == 5
    assert "n = 1000 points" in problem.description


def test_drawn_points_stay_the_same():
    texts = [instance.input for stage in ("small", "main", "holdout") for instance in draw(stage)]
    assert hashlib.sha256("".join(texts).encode()).hexdigest()[:16] == "80bd7d3df47d2d15"


def test_input_is_the_number_of_points_and_their_coordinates():
    instance = draw("small", n=20)[0]
    first, *lines = instance.input.splitlines()
    assert first == "20" and [list(map(int, line.split())) for line in lines] == instance.secret.tolist()


@pytest.mark.parametrize(("stage", "sizes"), [("small", [100, 100]), ("main", [1000, 1000]), ("holdout", [666, 833])])
def test_sizes(stage, sizes):
    assert [len(instance.secret) for instance in draw(stage)] == sizes


def test_holdout_is_clustered_and_within_the_square():
    uniform, clustered = (draw(stage, count=3)[2].secret for stage in ("main", "holdout"))
    assert len(uniform) == len(clustered) == 1000 and clustered.min() >= 0 and clustered.max() <= referee.SIDE
    cells = [len(np.unique(points // 50_001, axis=0)) for points in (uniform, clustered)]  # of 400
    assert cells[1] < 0.5 * cells[0]


def test_holdout_reaches_no_prompt():
    shown = load_problem("cpp_tsp").description + (FOLDER / "initial.cpp").read_text()
    assert "cluster" not in shown


@pytest.mark.parametrize("n", [7, 20_001])
def test_n_out_of_range_is_refused(n):
    with pytest.raises(ValueError, match=f"param.n={n}: must be from 8 to 20000"):
        draw("main", n=n)


# ---------------------------------------------------------------- the score


def test_ratio_is_the_length_by_the_root_of_n_and_the_area():
    assert scored(SQUARE, "0 1 2 3").metrics == {"ratio": 40 / (1e6 * math.sqrt(4))}
    crossed = scored(SQUARE, "0 2 1 3")
    assert crossed.metrics["ratio"] == pytest.approx((20 + 2 * math.sqrt(200)) / 2e6, rel=1e-15)


def test_length_is_that_of_exact_arithmetic():
    points = draw("main", n=300)[0].secret
    order = np.random.default_rng(0).permutation(300).tolist()
    exact = sum(
        math.isqrt(10**40 * sum((int(a) - int(b)) ** 2 for a, b in zip(points[i], points[j], strict=True)))
        for i, j in zip(order, order[1:] + order[:1], strict=True)
    )
    assert math.fsum(referee.lengths(points, np.array(order))) == pytest.approx(exact / 10**20, rel=1e-15)


def test_exchanges_are_those_that_shorten_the_tour():
    points = np.array(SQUARE, dtype=np.int64)
    assert referee.exchanges(points, np.array([0, 1, 2, 3])) == (0.0, 0.0)
    share, gain = referee.exchanges(points, np.array([0, 2, 1, 3]))
    assert share == pytest.approx(2 / 3) and gain == pytest.approx(2 * math.sqrt(200) - 20)


def test_features_and_feedback_tell_what_is_left():
    result = scored(SQUARE, "0 2 1 3\n")
    assert result.features["time_share"] == 0.25 and result.features["longest_edge"] > 1
    assert "case: length / sqrt(n A) 0.0000 after 0.50 s of 2 s. 66.7% of the edges" in result.feedback


# ---------------------------------------------------------------- the holes


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("0 1 2", "printed 3 words"),
        ("0 1 2 3 0", "printed 5 words"),
        ("", "printed 0 words"),
        ("0 1 2 2", "point 2 is visited 2 times"),
        ("0 1 2 4", "word 3 is 4"),
        ("0 1 2 -3", "word 3 is '-3'"),
        ("0 1 2 3.0", "word 3 is '3.0'"),
        ("0 1 2 3e0", "word 3 is '3e0'"),
        ("0 1 2 0x3", "word 3 is '0x3'"),
        ("0 1 2 0_3", "word 3 is '0_3'"),
        ("0 1 2 +3", "word 3 is"),
        ("0 1 2 ٣", "word 3 is"),
        ("0 1 2 nan", "word 3 is 'nan'"),
        ("0 1 2 inf", "word 3 is 'inf'"),
        ("0 1 2 True", "word 3 is 'True'"),
        ("0 1 2 18446744073709551619", "word 3 is '18446744073709551619'"),  # 3 in 64 bits
        ("0 1 2 " + "9" * 100_000, "printed 4 words in 100006 characters"),
        ("length 1 2 3", "word 0 is 'length'"),
        ([0, 1, 2, 3], "a JSON value .list."),
        ({"length": 0.0}, "a JSON value .dict."),
        (0, "a JSON value .int."),
        (math.nan, "a JSON value .float."),
        (True, "a JSON value .bool."),
        (None, "a JSON value .NoneType."),
    ],
)
def test_what_is_no_tour_is_refused(printed, reason):
    with pytest.raises(Invalid, match=reason):
        scored(SQUARE, printed)


# ---------------------------------------------------------------- programs

TWO_OPT = """
    for (bool better = true; better;) {
        better = false;
        for (int i = 0; i + 1 < n; ++i)
            for (int j = i + 2; j < n; ++j) {
                const Point &a = points[order[i]], &b = points[order[i + 1]];
                const Point &c = points[order[j]], &d = points[order[(j + 1) % n]];
                if (distance(a, c) + distance(b, d) < distance(a, b) + distance(c, d) - 1e-7) {
                    std::reverse(order.begin() + i + 1, order.begin() + j + 1);
                    better = true;
                }
            }
    }
    return order;
"""


def edited(old, new) -> str:
    text = (FOLDER / "initial.cpp").read_text()
    assert old in text
    return text.replace(old, new)


def test_tour_that_took_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(referee, "LIMIT_S", 0.0)
    with pytest.raises(Invalid, match=r"case: took 0.00 s; 0 s are allowed for a tour"):
        referee.drive(Instance("4", name="case"), SimpleNamespace(call=lambda name, text: "0 1 2 3"))


@needs_cpp
@asynchronous
async def test_initial_program_is_nearest_neighbour(run):
    outcome = await run(load_problem("cpp_tsp"))
    assert outcome.status is Status.OK, outcome.feedback
    assert 0.86 < outcome.metrics["ratio"] < 0.95 and len(outcome.instances) == 5


@needs_cpp
@asynchronous
async def test_two_opt_scores_what_is_known_of_it(run):
    outcome = await run(load_problem("cpp_tsp"), edited("    return order;\n", TWO_OPT))
    assert outcome.status is Status.OK, outcome.feedback
    assert 0.76 < outcome.metrics["ratio"] < 0.81
    assert outcome.features["exchangeable"] == 0.0


@needs_cpp
@asynchronous
async def test_errors_of_the_compiler_come_back(run):
    outcome = await run(load_problem("cpp_tsp"), edited("return order;", "return ordre;"))
    assert outcome.status is Status.BUILD_FAILED
    assert re.search(r"initial.cpp:\d+:\d+: error: .ordre. was not declared", outcome.feedback), outcome.feedback


@needs_cpp
@asynchronous
@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        ('std::printf("0\\n"); return order;', Status.INVALID, "printed 101 words"),
        ("std::exit(0);", Status.INVALID, "printed 0 words"),
        ("std::abort();", Status.CRASH, "SIGABRT"),
        (
            'for (int k = 0; k < 100000; ++k) std::printf("["); std::exit(0);',
            Status.INVALID,
            "printed 1 words",
        ),  # no JSON
        pytest.param(
            "while (seconds() < 2.1) {} return order;",
            Status.INVALID,
            "uniform-100-0: took 2.* s; 2 s are allowed",
            marks=pytest.mark.integration,
        ),
    ],
)
async def test_programs_that_break_the_rules(run, code, status, reason):
    outcome = await run(load_problem("cpp_tsp"), edited("return order;", code), "small")
    assert outcome.status is status and re.search(reason, outcome.feedback), (outcome.status, outcome.feedback)


@needs_cpp
@asynchronous
async def test_nothing_is_left_for_a_later_evaluation(run):
    """A program that would answer from a file finds none: each evaluation has a folder of its own."""
    keep = 'FILE* f = std::fopen("/tmp/kept", "r"); if (f) return {}; f = std::fopen("kept", "r"); if (f) return {};'
    keep += (
        'f = std::fopen("kept", "w"); if (f) std::fclose(f); f = std::fopen("/tmp/kept", "w"); if (f) std::fclose(f);'
    )
    program = edited("return order;", keep + "return order;")
    problem = load_problem("cpp_tsp", stages={"small": {"instances": 1}})
    first, second = await run(problem, program, "small"), await run(problem, program, "small")
    assert first.status is second.status is Status.OK, second.feedback
