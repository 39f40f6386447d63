"""algorithm_speed: the drawn inputs, the checks of both answers, and the ways to be timed without doing the work."""

import hashlib
import importlib.util
import math

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from evaluators.timing import Timed
from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Result, Stage
from evolve.types import Status

FOLDER = bundled_root() / "algorithm_speed"
asynchronous = pytest.mark.asyncio(loop_scope="session")


def load(file):
    spec = importlib.util.spec_from_file_location(f"algorithm_speed_{file}", FOLDER / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


referee, initial = load("evaluator"), load("initial")


def draw(stage, seed=0) -> list[Instance]:
    return referee.instances(Stage(name=stage), np.random.Generator(np.random.PCG64(seed)))


CONVOLVE, FACTOR = draw("small")


def right(instance):
    problem = instance.input
    if problem["task"] == "convolve":
        return scipy.signal.convolve2d(problem["a"], problem["b"])
    p, l, u = scipy.linalg.lu(problem["a"], p_indices=True)  # noqa: E741
    return {"p": p.argsort(), "l": l, "u": u}


def timed(*answers, seconds=0.002, reference_s=0.01, cpus=0.9) -> Timed:
    count = len(answers)
    return Timed([seconds] * count, list(answers), [reference_s] * count, [cpus] * count)


def scored(instance, *answers, **times) -> Result:
    return referee.score(instance, timed(*answers, **times))


# ---------------------------------------------------------------- the folder and its data


def test_folder_loads_as_a_noisy_problem_of_one_kind_of_machine():
    problem = load_problem("algorithm_speed")
    assert (problem.entry, problem.objectives, problem.deterministic) == ("solve", {"speedup": 1}, False)
    assert problem.comparable_on == "cpu_model" and problem.holdout == 4
    assert {stage.draw for stage in problem.stages} == {"fresh"}


def test_drawn_inputs_stay_the_same():
    inputs = [instance.input for stage in ("small", "main", "holdout") for instance in draw(stage)]
    content = b"".join(problem[name].tobytes() for problem in inputs for name in ("a", "b") if name in problem)
    assert hashlib.sha256(content).hexdigest()[:16] == "00ef925f3121db58"


def test_instances_and_their_repeats():
    assert [instance.name for instance in draw("main")] == ["convolve-100x100-24x24", "factor-300"]
    assert [instance.secret for stage in ("small", "main", "holdout") for instance in draw(stage)] == [1] * 2 + [5] * 6


def test_holdout_has_other_sizes_another_law_and_reaches_no_prompt():
    main, holdout = draw("main"), draw("holdout")
    assert not {i.name for i in main} & {i.name for i in holdout}
    assert all(i.input["a"].min() >= -1.0 and i.input["a"].max() <= 3.0 for i in holdout)
    assert "167" not in (load_problem("algorithm_speed").description + (FOLDER / "initial.py").read_text())


# ---------------------------------------------------------------- the checks


@pytest.mark.parametrize("instance", [*draw("small"), *draw("holdout", seed=3)], ids=lambda instance: instance.name)
def test_reference_and_initial_program_are_right(instance):
    code = {}
    exec(referee.REFERENCE["initial.py"], code)
    for solve in (code["solve"], initial.solve):
        copied = {name: value.copy() if name != "task" else value for name, value in instance.input.items()}
        assert 0 <= referee.score(instance, timed(solve(copied))).metrics["speedup"] < math.inf


def test_speedup_is_of_the_least_times():
    times = Timed([0.004, 0.002, 0.003], [right(FACTOR)] * 3, [0.02, 0.01, 0.03], [0.9] * 3)
    result = referee.score(FACTOR, times)
    assert result.metrics == {"speedup": pytest.approx(5.0)}
    assert "factor-40: 2.00 ms, the reference 10.00 ms" in result.feedback


def test_the_score_is_the_geometric_mean():
    results = [scored(CONVOLVE, right(CONVOLVE), seconds=s) for s in (0.001, 0.004)]
    assert referee.aggregate(results) == {"speedup": pytest.approx(5.0)}


@pytest.mark.parametrize("instance", [CONVOLVE, FACTOR], ids=["convolve", "factor"])
def test_every_answer_is_checked_not_only_the_first(instance):
    with pytest.raises(Invalid):
        scored(instance, right(instance), right(instance), None)


X = right(CONVOLVE)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "type NoneType"),
        (X.tolist(), "type list"),
        ("0", "type str"),
        (1.0, "type float"),
        (np.ma.masked_array(X), "type MaskedArray"),
        (X.astype(np.float32), "is float32"),
        (X.astype(complex), "is complex128"),
        (X.astype(object), "is object"),
        (X > 0, "is bool"),
        (X[:-1], r"of shape \(69, 70\)"),
        (scipy.signal.convolve2d(CONVOLVE.input["a"], CONVOLVE.input["b"], "same"), "of shape"),
        (X * np.nan, "NaN or infinity"),
        (np.where(X.max() == X, np.inf, X), "NaN or infinity"),
        (X * (1 + 1e-9), "relative residual"),
        (np.zeros_like(X), "relative residual"),
        (np.where(X.max() == X, 0.0, X), "relative residual"),  # one entry of 4,900
        (scipy.signal.correlate2d(CONVOLVE.input["a"], CONVOLVE.input["b"]), "relative residual"),
    ],
)
def test_what_is_no_convolution_is_refused(answer, reason):
    with pytest.raises(Invalid, match=reason):
        scored(CONVOLVE, answer)


F, A = right(FACTOR), FACTOR.input["a"]
IDENTITY, ORDER, HUGE = np.eye(40), np.arange(40), np.full((40, 40), 1e308)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"p": ORDER, "l": IDENTITY, "u": A}, "u must be 0 below its diagonal, exactly"),
        ({"p": ORDER, "l": A, "u": IDENTITY}, "l must be 0 above its diagonal and 1 on it"),
        ({"l": F["l"] * 2, "u": F["u"] / 2}, "1 on it"),
        ({"l": F["l"] + np.triu(np.full((40, 40), 1e-300), 1)}, "0 above its diagonal"),
        ({"u": F["u"] + np.tril(np.full((40, 40), 1e-300), -1)}, "0 below its diagonal"),
        ({"p": ORDER}, "relative residual"),
        ({"p": np.zeros(40, dtype=int)}, "no permutation"),
        ({"p": F["p"] - 40}, "no permutation"),
        ({"p": F["p"] + 2**32}, "no permutation"),
        ({"p": F["p"].astype(float)}, "p must be an integer array"),
        ({"p": F["p"].astype(object)}, "p must be an integer array"),
        ({"p": F["p"].tolist()}, "p must be an integer array"),
        ({"p": np.eye(40)[F["p"]]}, "p must be an integer array"),
        ({"l": F["l"].astype(np.float32)}, "l is float32"),
        ({"u": F["u"].astype(np.float32).astype(float)}, "relative residual"),
        ({"u": F["u"] * np.nan}, "u holds NaN"),
        ({"u": np.triu(HUGE), "l": IDENTITY + np.tril(HUGE, -1)}, "relative residual (nan|inf)"),
        ({"u": F["u"][:-1]}, "u is float64 of shape"),
        ({"extra": 1}, "return a dict of p, l and u"),
    ],
)
def test_what_are_no_factors_is_refused(changed, reason):
    with pytest.raises(Invalid, match=reason):
        scored(FACTOR, {**F, **changed})


def test_factors_without_pivoting_are_off_by_more_than_is_allowed():
    a = A.copy()
    a[0, 0] = 1e-9
    u, l = a.copy(), np.eye(40)  # noqa: E741
    for k in range(40):
        l[k + 1 :, k] = u[k + 1 :, k] / u[k, k]
        u[k + 1 :] -= np.outer(l[k + 1 :, k], u[k])
    with pytest.raises(Invalid, match="relative residual"):
        scored(Instance({"task": "factor", "a": a}, secret=1), {"p": ORDER, "l": l, "u": np.triu(u)})


# ---------------------------------------------------------------- the clock


def test_more_than_one_cpu_is_refused():
    assert scored(FACTOR, F, cpus=1.0).metrics["speedup"] == pytest.approx(5.0)
    with pytest.raises(Invalid, match=r"factor-40: kept 1.9 CPUs busy"):
        scored(FACTOR, F, cpus=1.9)


def test_repeats_with_more_than_one_cpu_do_not_count():
    times = Timed([0.001, 0.002, 0.001, 0.003, 0.004], [F] * 5, [0.01] * 5, [1.9, 0.9, 1.9, 0.9, 0.9])
    assert referee.score(FACTOR, times).metrics == {"speedup": pytest.approx(5.0)}


@pytest.mark.parametrize("seconds", [0.0, 1e-9])
def test_faster_than_the_memory_is_suspect(seconds):
    results = [scored(CONVOLVE, X, seconds=seconds), scored(FACTOR, F)]
    assert "better than the bound" in load_problem("algorithm_speed").beyond_bound(referee.aggregate(results))


SMALL = "small"


async def tried(run, code, stage=SMALL):
    """Runs the initial program with code at its end; `honest` is its own solve."""
    source = (FOLDER / "initial.py").read_text() + "\nhonest = solve\n" + code
    return await run(load_problem("algorithm_speed"), source, stage)


@asynchronous
async def test_initial_program_scores_within_its_range(run):
    outcome = await run(load_problem("algorithm_speed"))
    assert outcome.status is Status.OK, outcome.feedback
    assert 0.2 < outcome.metrics["speedup"] < 4.0  # 0.57 to 0.77 was measured
    assert len(outcome.instances) == 2


@asynchronous
async def test_constants_of_the_initial_program_can_be_improved(run):
    source = (
        (FOLDER / "initial.py")
        .read_text()
        .replace("copies = 1200.0", "copies = 100.0")
        .replace("pad = 1.5", "pad = 1.0")
    )
    before, after = await run(load_problem("algorithm_speed")), await run(load_problem("algorithm_speed"), source)
    assert after.features["log_convolve"] > before.features["log_convolve"] + 0.3, after.feedback  # over twice as fast


@asynchronous
async def test_nothing_is_kept_from_one_repeat_to_the_next(run):
    keep = """
import os
PLACES = [os.path.join(p, "kept") for p in (".", "/tmp", "/dev/shm", "/var/tmp", os.environ.get("HOME", "."))]
def solve(problem):
    if any(map(os.path.exists, PLACES)) or getattr(np, "kept", None):
        raise RuntimeError("an answer of another repeat is here")
    np.kept = True
    for place in PLACES:
        try:
            open(place, "w").close()
        except OSError:
            pass
    return honest(problem)
"""
    outcome = await tried(run, keep, "main")
    assert outcome.status is Status.OK, outcome.feedback


@pytest.mark.parametrize(
    ("code", "status", "reason"),
    [
        # known at import: nothing of the input is
        (
            "answer = honest({'task': 'convolve', 'a': np.ones((31, 31)), 'b': np.ones((40, 40))})\n"
            "def solve(problem):\n    return answer if problem['task'] == 'convolve' else honest(problem)",
            Status.INVALID,
            "relative residual",
        ),
        # writes into its arguments, which are copies
        (
            "def solve(problem):\n    problem['a'][:] = 0.0\n    return np.zeros((70, 70)) if 'b' in problem else "
            "{'p': np.arange(40), 'l': np.eye(40), 'u': problem['a']}",
            Status.INVALID,
            "relative residual",
        ),
        # an answer that is the input's memory
        (
            "def solve(problem):\n    a = problem['a']\n    return honest(problem) if 'b' in problem else "
            "{'p': np.arange(40), 'l': a, 'u': a}",
            Status.INVALID,
            "l must be 0 above",
        ),
        # an answer that is computed when it is looked at
        ("def solve(problem):\n    return lambda: honest(problem)", Status.INVALID, "can't be sent"),
        ("def solve(problem):\n    return (honest(problem) for _ in range(1))", Status.INVALID, "can't be sent"),
        # the scorer's tools, in the wrong process
        (
            "np.linalg.norm = lambda x: 0.0\nnp.array_equal = lambda x, y: True\n"
            "def solve(problem):\n    return np.zeros((70, 70))",
            Status.INVALID,
            "relative residual",
        ),
        ("def solve(problem):\n    return {'speedup': 1e9}", Status.INVALID, "type dict"),
    ],
    ids=["import", "writes", "aliases", "lazy", "generator", "patches", "reports"],
)
@asynchronous
async def test_ways_around_the_work_are_refused(run, code, status, reason):
    outcome = await tried(run, code)
    assert outcome.status is status and reason in outcome.feedback, (outcome.status, outcome.feedback)


@asynchronous
async def test_clocks_of_the_candidate_s_process_do_not_count(run):
    patch = """
import time
sleep = time.sleep
time.perf_counter = time.monotonic = time.time = lambda: 0.0
def solve(problem):
    answer = honest(problem)
    sleep(0.1)
    return answer
"""
    outcome = await tried(run, patch)
    assert outcome.status is Status.OK and outcome.metrics["speedup"] < 1.0, outcome.feedback
