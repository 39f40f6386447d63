"""Genetic programming on Python source: what a child may and may not change."""

from __future__ import annotations

import ast
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import PCG64, Generator

from evolve.llm.mutation import CROSSOVERS, MUTATIONS, Child, mutate, near
from evolve.llm.program import read
from evolve.source import regions

RINGS = Path(__file__).parents[2].joinpath("problems/circle_packing/initials/1_rings.py").read_text()
BEST_FIT = '''"""Best fit."""

import numpy as np


def priority(item, bins):
    """Returns a priority per bin."""
    waste = bins - item  # the room that is left
    return -waste
'''
BRANCHES = '''import math  # kept

LIMIT = 10


class Walk:
    """Walks; 3 steps at most."""

    def step(self, x: float = 0.5, *, names=("a", "b")) -> float:
        # towards zero
        if x > 1.5 and not names or x <= -2.25:
            return math.sqrt(abs(x)) * 0.75
        total = 0
        for i in range(LIMIT):
            total += i * x  # grows
            while total > 100:
                total -= 7
        return total / 3 + (x if x < 0 else -1.5) ** 2


def label(k):
    text = f"{k} of 5" + "%d" % k
    return text[0:3]
'''
TINY = "def f(x):\n    return x"
PROGRAMS = (RINGS, BEST_FIT, BRANCHES, TINY)


def child_of(text: str, seed: int, inspirations: tuple[str, ...] = (), **options: bool) -> Child:
    child = mutate(text, inspirations, Generator(PCG64([seed])), **options)
    assert child is not None
    return child


def comments(text: str) -> set[str]:
    return {line[line.index("#") :] for line in text.split("\n") if "#" in line}


def imported(text: str) -> set[str]:
    nodes = [node for node in ast.parse(text).body if isinstance(node, ast.Import)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def parameters(text: str) -> dict[str, list[str]]:
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return {node.name: [a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)] for node in functions}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PROGRAMS), st.integers(0, 2**32), st.booleans())
def test_a_child_is_another_program_with_the_same_functions(text: str, seed: int, crossover: bool) -> None:
    child = child_of(text, seed, (PROGRAMS[seed % 4], child_of(text, seed + 1).text), crossover=crossover)
    assert ast.dump(ast.parse(child.text)) != ast.dump(ast.parse(text))
    assert parameters(child.text).items() >= parameters(text).items()
    assert imported(child.text) >= imported(text)
    assert child.titles


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_docstrings_strings_and_comments_elsewhere_survive(seed: int) -> None:
    child = child_of(BRANCHES, seed)
    assert '"""Walks; 3 steps at most."""' in child.text and "# kept" in child.text
    text = 'text = f"{k} of 5" + "%d" % k'
    assert text in child.text or any("remove" in t or "move" in t for t in child.titles)
    assert len(comments(BRANCHES) - comments(child.text)) <= 2 * len(child.titles)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_lines_outside_the_markers_stay(seed: int) -> None:
    block = "    # EVOLVE-BLOCK-START\n    y = x * 2.0\n    z = y + 1.0\n    # EVOLVE-BLOCK-END\n"
    text = f"A = 0.5\n\n\ndef f(x):\n{block}    return z * 3.0\n"
    lines = child_of(text, seed).text.split("\n")
    start, end = lines.index("    # EVOLVE-BLOCK-START"), lines.index("    # EVOLVE-BLOCK-END")
    assert lines[:start] == text.split("\n")[:4] and lines[end:] == text.split("\n")[7:]


def test_the_same_seed_gives_the_same_child() -> None:
    first = child_of(RINGS, 5)
    read.cache_clear()
    assert child_of(RINGS, 5) == first and child_of(RINGS, 6) != first


def test_a_name_is_not_read_before_it_is_bound() -> None:
    text = "def f(x):\n    a = x + 1.0\n    b = a * 2.0\n    c = b - a\n    return c\n"
    for seed in range(60):
        scope: dict[str, object] = {}
        exec(child_of(text, seed).text, scope)
        with suppress(ZeroDivisionError, TypeError, OverflowError):  # for the evaluation to find; a NameError is not
            scope["f"](1.5)  # type: ignore[operator]


def test_every_operator_makes_children_of_its_kind() -> None:
    donor = BRANCHES.replace("0.75", "0.25").replace("total / 3", "total / LIMIT")
    for operator, _ in MUTATIONS + CROSSOVERS:
        program, other = read(BRANCHES), read(donor if (operator, _) in CROSSOVERS else BRANCHES)
        edits = [operator(program, other, Generator(PCG64([seed]))) for seed in range(20)]
        assert any(edit and read(edit.text) is not None for edit in edits), operator


def test_crossover_takes_from_the_inspiration() -> None:
    parent = "def f(x):\n    a = 1.5\n    b = 2.5\n    return a * x + b\n"
    other = "def f(x):\n    a = 1.5\n    b = x - 77.0\n    return a * x + b\n"
    texts = [child_of(parent, seed, (other,), crossover=True).text for seed in range(40)]
    assert sum("77.0" in text for text in texts) > 15
    assert not any("77.0" in child_of(parent, seed).text for seed in range(40))


@pytest.mark.parametrize("seed", range(30))
def test_an_integer_stays_one_and_a_float_too(seed: int) -> None:
    rng = Generator(PCG64([seed]))
    assert int(near(8, rng)) != 8
    assert isinstance(ast.literal_eval(near(0.28, rng)), float)


def test_a_constant_too_large_for_a_float_is_left_alone() -> None:
    text = f"A = 1{'0' * 400}\nB = 1e308\n"
    for seed in range(20):
        assert child_of(text, seed).text != text


@pytest.mark.parametrize("text", ["pass\n", "# nothing\n", "def f():\n    return 'a'\n", "import math\n"])
def test_nothing_to_change_gives_no_child(text: str) -> None:
    assert mutate(text, (), Generator(PCG64([1]))) is None


def test_regions_lie_strictly_between_the_markers() -> None:
    assert regions("a\nb\n") == [(0, 2)]
    assert regions("a\n# EVOLVE-BLOCK-START\nb\n# EVOLVE-BLOCK-END\nc\n# EVOLVE-BLOCK-START\nd\ne\n") == [
        (2, 3),
        (6, 8),
    ]


def test_facts_name_what_is_unbound_and_what_is_read_too_early() -> None:
    text = "def f(x):\n    y += x\n    z = q\n    return [k for k in z]\n"
    found = read(text)
    assert found is not None and found.unbound == {"q"}
    assert found.early == {("f", "y")} and found.signatures == {("f", "x"), ("f", "->")}
    assert read("def f(:\n") is None and read("return 1\n") is None
