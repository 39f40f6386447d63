"""Referee of algorithm_speed: two numerical tasks, timed beside a reference by the scorer's clock, checked on every repeat.

Each repeat is one call in a fresh process (evaluators.timing); inputs are drawn for each evaluation, so no answer can be
known before the call. What a candidate says of its own time, or does to its copy of the input, counts for nothing. Not
covered: tables, plans and compiled code that it prepares while it is loaded, which is not timed.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
from scipy.signal import convolve2d

from evaluators.timing import Timed, timed
from evolve.problem import Instance, Invalid, Result, Stage

REPEATS = {"small": 1}  # of a stage; elsewhere five
RESIDUAL = 1e-12  # relative, of both tasks; the references have about 1e-15
MOST_CPUS = 1.25  # kept busy during a call, by the median of the repeats; what is measured of one thread is below 1

# task, sizes: the image's side and the kernel's, or the matrix's
SIZES: dict[str, tuple[tuple[str, int, int], ...]] = {
    "small": (("convolve", 31, 40), ("factor", 40, 40)),
    "main": (("convolve", 100, 24), ("factor", 300, 300)),
    "holdout": (("convolve", 130, 30), ("factor", 250, 250), ("convolve", 160, 9), ("factor", 121, 121)),
}

REFERENCE = {
    "initial.py": """
import scipy.linalg
import scipy.signal

def solve(problem):
    if problem["task"] == "convolve":
        return scipy.signal.convolve2d(problem["a"], problem["b"])
    p, l, u = scipy.linalg.lu(problem["a"], p_indices=True)
    return {"p": p.argsort(), "l": l, "u": u}
"""
}


def instances(stage: Stage, rng: np.random.Generator) -> list[Instance]:
    """Returns the stage's tasks, drawn one after another; in the hold-out of other sizes, and not square nor normal."""
    sizes = SIZES.get(stage.name, SIZES["main"])
    return [_instance(*sizes[k % len(sizes)], stage.name, rng) for k in range(stage.instances or len(sizes))]


def _instance(task: str, size: int, other: int, stage: str, rng: np.random.Generator) -> Instance:
    repeats = REPEATS.get(stage, 5)
    draw = (lambda shape: rng.uniform(-1.0, 3.0, shape)) if stage == "holdout" else rng.standard_normal
    if task == "factor":
        return Instance({"task": task, "a": draw((size, size))}, secret=repeats, name=f"factor-{size}")
    wide = size + 37 if stage == "holdout" else size
    a, b = draw((size, wide)), draw((other, other))
    return Instance({"task": task, "a": a, "b": b}, secret=repeats, name=f"convolve-{size}x{wide}-{other}x{other}")


def drive(instance: Instance, candidate: Any) -> Timed:
    """Times `solve` on the instance, in turn with the reference."""
    return timed(candidate, "solve", instance.input, repeats=instance.secret, reference=REFERENCE)


# ---------------------------------------------------------------- the score


def score(instance: Instance, output: Timed) -> Result:
    """Returns the reference's time over the candidate's, if all its answers are right and it kept to one CPU."""
    check = {"convolve": check_convolution, "factor": check_factors}[instance.input["task"]]
    errors = [check(instance.input, answer) for answer in output.outputs]
    busy = statistics.median(output.cpus)
    if busy > MOST_CPUS:
        raise Invalid(f"{instance.name}: kept {busy:.1f} CPUs busy; the work is to be done by one thread")
    alone = [seconds for seconds, cpus in zip(output.seconds, output.cpus, strict=True) if cpus <= MOST_CPUS]
    took, reference = min(alone), min(output.reference_s)  # what else the machine does only ever adds
    speedup = max(reference, 1e-9) / max(took, 1e-9)
    return Result(
        metrics={"speedup": speedup},
        feedback=(
            f"{instance.name}: {1e3 * took:.2f} ms, the reference {1e3 * reference:.2f} ms (the least of {instance.secret}): "
            f"speedup {speedup:.2f}; residual {max(errors):.1e}"
        ),
        features={f"log_{instance.input['task']}": math.log10(speedup)},
    )


def aggregate(results: list[Result]) -> dict[str, float]:
    """Returns the geometric mean of the speedups over the instances."""
    return {"speedup": math.exp(statistics.fmean(math.log(r.metrics["speedup"]) for r in results))}


def check_convolution(problem: dict[str, Any], answer: Any) -> float:
    """Returns the largest error relative to |a| |b|, which bounds every entry. Raises Invalid where it is too large."""
    a, b = problem["a"], problem["b"]
    shape = (a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1)
    found = real(answer, shape, "the convolution")
    return _small(np.abs(found - convolve2d(a, b)).max() / (np.linalg.norm(a) * np.linalg.norm(b)), "the convolution")


def check_factors(problem: dict[str, Any], answer: Any) -> float:
    """Returns |a[p] - l u| / |a| (Frobenius), where p is a permutation and l and u have their shapes exactly."""
    a = problem["a"]
    n = len(a)
    if not isinstance(answer, dict) or set(answer) != {"p", "l", "u"}:
        raise Invalid(f"factor: returned a value of type {type(answer).__name__}; return a dict of p, l and u")
    p = answer["p"]
    if type(p) is not np.ndarray or p.dtype.kind not in "iu" or p.shape != (n,):
        raise Invalid(f"p must be an integer array of shape ({n},), a permutation of the rows")
    if not np.array_equal(np.sort(p), np.arange(n)):
        raise Invalid(f"p is no permutation of 0 .. {n - 1}")
    lower, upper = real(answer["l"], (n, n), "l"), real(answer["u"], (n, n), "u")
    if np.triu(lower, 1).any() or (np.diagonal(lower) != 1.0).any():
        raise Invalid("l must be 0 above its diagonal and 1 on it, exactly")
    if np.tril(upper, -1).any():
        raise Invalid("u must be 0 below its diagonal, exactly")
    with np.errstate(over="ignore", invalid="ignore"):
        residual = np.linalg.norm(a[p] - lower @ upper) / np.linalg.norm(a)
    return _small(residual, "a[p] - l u")


def _small(error: float, what: str) -> float:
    if not error <= RESIDUAL:  # also where it is no number
        raise Invalid(f"{what}: relative residual {error:.2e}; at most {RESIDUAL:g} is allowed")
    return float(error)


def real(value: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Returns a plain float64 array of that shape and finite. Raises Invalid for all else: less precision is less work."""
    if type(value) is not np.ndarray:
        raise Invalid(f"{what} is a value of type {type(value).__name__}; it must be an array")
    if value.dtype != np.float64 or value.shape != shape:
        raise Invalid(f"{what} is {value.dtype} of shape {value.shape}; it must be float64 of shape {shape}")
    if not np.isfinite(value).all():
        raise Invalid(f"{what} holds NaN or infinity")
    return value
