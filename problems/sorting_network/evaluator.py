"""Referee of sorting networks: parses the comparators, runs them on all 2^n inputs of 0s and 1s, counts them and their layers.

A network that sorts these sorts everything (the 0-1 principle: Knuth, The Art of Computer Programming 3, 5.3.4). All inputs run
at once: a wire is one whole number of 2^n bits. Not covered: a program that holds known networks as tables (the hold-out,
other n, shows that).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

SIZES = {"small": 6, "middle": 9}  # n of the quick stages
LARGEST_N = 16
MOST = 1000  # comparators
BEST_SIZES = (0, 1, 3, 5, 9, 12, 16, 19, 25, 29, 35, 39, 45, 51, 56, 60)  # for n = 1, 2, ...; optimal up to 12
BEST_DEPTHS = (0, 1, 3, 3, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 9, 9)  # optimal

Pair = tuple[int, int]


def instances(stage: Stage, rng: np.random.Generator, n: int) -> list[Instance]:
    """Returns the numbers of wires: at most 6 in `small` and 9 in `middle`, the neighbours of n in `holdout`, else n."""
    if not 2 <= n < LARGEST_N:
        raise ValueError(f"param.n={n}: must be from 2 to {LARGEST_N - 1}")
    wires = [n + 1, n - 1] if stage.name == "holdout" else [min(n, SIZES.get(stage.name, n))]
    return [Instance(count, name=f"n={count}") for count in wires]


def score(instance: Instance, output: Any) -> Result:
    """Returns size and depth of a network that sorts. Raises Invalid for another one, with an input that it leaves unsorted."""
    n = instance.input
    pairs = parse(output, n)
    idle = run(pairs, n)
    layers = layered(pairs, n)
    mirrored = {(n - 1 - j, n - 1 - i) for i, j in pairs}
    return Result(
        metrics={"size": float(len(pairs)), "depth": float(len(layers))},
        feedback=_feedback(pairs, layers, idle, n),
        features={
            "layers": float(len(layers)),
            "mean_reach": sum(j - i for i, j in pairs) / max(len(pairs), 1) / n,
            "symmetry": sum(pair in mirrored for pair in pairs) / max(len(pairs), 1),
        },
    )


# ---------------------------------------------------------------- parsing


def parse(output: Any, n: int) -> list[Pair]:
    """Returns the comparators of a list of pairs, or of an integer array of shape (size, 2)."""
    if type(output) is np.ndarray:
        if output.dtype.kind not in "iu":
            raise Invalid(f"network returned an array of {output.dtype}; it must hold whole numbers")
        if output.ndim != 2 or output.shape[1] != 2:
            raise Invalid(f"network returned an array of shape {output.shape}; it must be (comparators, 2)")
        _check_count(len(output))
        output = output.tolist()
    if not isinstance(output, list | tuple):
        raise Invalid(f"network returned a value of type {type(output).__name__}; return a list of pairs [i, j]")
    _check_count(len(output))
    return [_pair(item, k, n) for k, item in enumerate(output)]


def _check_count(count: int) -> None:
    if count > MOST:
        raise Invalid(f"network returned {count} comparators; at most {MOST} are read")


def _pair(item: Any, k: int, n: int) -> Pair:
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise Invalid(f"comparator {k} is a value of type {type(item).__name__}; it must be a pair [i, j]")
    for wire in item:
        if isinstance(wire, bool) or not isinstance(wire, int | np.integer):
            raise Invalid(f"comparator {k} has a wire of type {type(wire).__name__}; it must be a whole number")
    i, j = map(int, item)
    if not 0 <= i < j < n:
        shown = f"[{i}, {j}]" if max(abs(i), abs(j)) < 10**6 else "a pair of huge numbers"
        raise Invalid(f"comparator {k} is {shown}; it must hold 0 <= i < j < {n}")
    return i, j


# ---------------------------------------------------------------- the network, on all inputs


def inputs(n: int) -> list[int]:
    """Returns the wires before the network: bit x of wire i is bit i of x, for all x below 2^n."""
    every = (1 << 2**n) - 1
    return [every // ((1 << 2**i) + 1) << 2**i for i in range(n)]


def run(pairs: list[Pair], n: int) -> list[Pair]:
    """Returns the comparators that exchange nothing on any input. Raises Invalid unless the outputs are sorted."""
    wires, idle = inputs(n), []
    for i, j in pairs:
        low, high = wires[i] & wires[j], wires[i] | wires[j]
        if low == wires[i]:
            idle.append((i, j))
        wires[i], wires[j] = low, high
    wrong = 0
    for upper, lower in pairwise(wires):
        wrong |= upper & ~lower
    if wrong:
        x = (wrong & -wrong).bit_length() - 1
        before = "".join(str(x >> i & 1) for i in range(n))
        after = "".join(str(wire >> x & 1) for wire in wires)
        raise Invalid(
            f"n = {n}: {wrong.bit_count()} of {2**n} inputs of 0s and 1s are not sorted; {before} comes out as {after}"
        )
    return idle


def layered(pairs: list[Pair], n: int) -> list[list[Pair]]:
    """Returns the comparators by layers, each in the first where both of its wires are free."""
    busy = [0] * n  # layers that a wire has passed
    layers: list[list[Pair]] = []
    for i, j in pairs:
        at = max(busy[i], busy[j])
        if at == len(layers):
            layers.append([])
        layers[at].append((i, j))
        busy[i] = busy[j] = at + 1
    return layers


def _feedback(pairs: list[Pair], layers: list[list[Pair]], idle: list[Pair], n: int) -> str:
    shown = "\n".join(" ".join(f"{i}-{j}" for i, j in layer) for layer in layers)
    return (
        f"n = {n}: {len(pairs)} comparators in {len(layers)} layers; best known {BEST_SIZES[n - 1]}, and "
        f"{BEST_DEPTHS[n - 1]} layers (of another network, perhaps). {len(idle)} comparators never exchange anything"
        f"{': ' + ' '.join(f'{i}-{j}' for i, j in idle[:10]) if idle else ''}.\nBy layers:\n{shown}"
    )
