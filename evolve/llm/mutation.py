"""Genetic programming on Python source: Koza, "Genetic Programming" (1992), of which comments and layout survive.

Mutation of subtrees, operators and statements is Koza's; crossover is homologous (Langdon 2000, "Size fair and homologous
tree crossovers"); constants move on a log scale, and two parents' constants blend (BLX-alpha, Eshelman and Schaffer 1993).
A child is kept only if it compiles, means something else than its parent, keeps all parameters and markers, and reads no
name that nobody binds. Nothing here knows a problem.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from textwrap import dedent, indent
from typing import Any, NamedTuple

from numpy.random import Generator

from evolve.llm.program import ORDER, SIGNS, Program, Site, lines_of, read, value

TRIES = 200
NAMED = 0.7  # how often a constant that has a name (`scale = 0.3`) is preferred to one inside an expression
INDEX = 0.06  # how often a number that counts or indexes is changed
LOGIC = 0.4  # how often an operator of order or truth is changed, instead of one of numbers
FLIP, RESET = 0.06, 0.06  # how often a constant changes its sign or starts anew, instead of moving
OCTAVES = (-1.5, 0.1)  # log10 of the standard deviation of a move, in factors of two: from 0.03 to 1.3
BORROW = 0.15  # how often an edit takes from an inspiration, when there is one and the operator isn't crossover
ATOM = re.compile(r"[\w.]*(\([^()]*\)|\[[^\[\]]*\])?")  # a name, a number, a call, a subscript, parentheses
SIMPLE = (0.0, 0.1, 0.5, 1.0, 2.0)

WRAPS = (
    "{x} * {c}", "{x} * {c}", "{x} {d}", "{x} {d}", "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / {y}",
    "{x} {d} * {y}", "{x} ** 2", "-{x}",
)  # fmt: skip
PLAIN = ("abs({x})", "min({x}, {y})", "max({x}, {y})", "({x} if {y} < {z} else {c})")
MATH = ("math.sqrt(abs({x}))", "math.tanh({x})", "math.log1p(abs({x}))", "math.exp(-abs({x}))")
NUMPY = (
    "np.abs({x})", "np.minimum({x}, {y})", "np.maximum({x}, {y})", "np.where({y} < {z}, {x}, {c})", "np.tanh({x})",
    "np.sqrt(np.abs({x}))", "np.log1p(np.abs({x}))", "np.exp(-np.abs({x}))",
)  # fmt: skip


class Edit(NamedTuple):
    """A changed text and, in a few words, the change."""

    text: str
    title: str


class Child(NamedTuple):
    """A mutated program and what was done to it, the main change first."""

    text: str
    titles: tuple[str, ...]


def atom(code: str) -> str:
    """Returns an expression that can stand beside any operator."""
    return code if ATOM.fullmatch(code) else f"({code})"


def place(program: Program, site: Site, new: str) -> str:
    """Puts an expression at a site, in parentheses where it needs them."""
    return program.put([(site, atom(new) if site.tight or "\n" in new else new)])


def short(text: str) -> str:
    """Returns a few characters for a title, without spaces where words don't need them."""
    word = re.sub(r"\s*([^\w\s])\s*", r"\1", " ".join(text.split()))
    return word if len(word) <= 24 else word[:21] + "..."


def pick(rng: Generator, things: Sequence[Any]) -> Any:
    """Draws one of several, None from nothing."""
    return things[int(rng.integers(len(things)))] if things else None


def within(site: Site) -> str:
    """Says where a site is, for a title."""
    return f" in {site.function.split('.')[-1]}" if site.function else ""


# ---------------------------------------------------------------- operators: (program, donor, rng) -> Edit or None


def near(old: int | float, rng: Generator) -> str:
    """Moves a constant: mostly a little on a log scale, at times its sign, at times to a simple value."""
    u = rng.random()
    if u < FLIP:
        new = float(-old)
    elif u < FLIP + RESET:
        new = float(pick(rng, SIMPLE)) * (1 if old >= 0 else -1)
    elif old == 0:
        new = float(rng.normal() * 10.0 ** rng.uniform(-2, 0))
    else:
        new = float(old * 2.0 ** (rng.normal() * 10.0 ** rng.uniform(*OCTAVES)))
    if isinstance(old, int):
        return str(round(new) if round(new) != old else old + pick(rng, (-1, 1)))
    return literal(new)


def literal(value: float) -> str:
    """Writes a float in five digits."""
    return repr(float(f"{value:.5g}"))


def change_number(program: Program, donor: Program, rng: Generator) -> Edit | None:
    role = "index" if rng.random() < INDEX else "parameter" if rng.random() < NAMED else "number"
    if (site := pick(rng, program.sites[role] or program.sites["number"])) is None:
        return None
    new = near(value(site.node), rng)
    return Edit(place(program, site, new), f"change {program.code(site)} to {new}{within(site)}")


def change_operator(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Draws another arithmetic operator, comparison, `and` or `or`."""
    role = "logic" if rng.random() < LOGIC else "arithmetic"
    if (site := pick(rng, program.sites[role])) is None:
        return None
    match site.node:
        case ast.BinOp(left=left, op=op, right=right) | ast.AugAssign(target=left, op=op, value=right):
            others = ["+", "-", "*", "/"]
        case ast.Compare(left=left, ops=[op, *_], comparators=[right, *_]):
            others = [SIGNS[kind] for kind in ORDER]
        case ast.BoolOp(op=op, values=[left, right, *_]):
            others = ["and", "or"]
    old = SIGNS[type(op)]
    new = pick(rng, [sign for sign in others if sign != old])
    return Edit(program.swap(site, left, right, old, new), f"swap {old} for {new}{within(site)}")


def numeric_donors(donor: Program, function: str) -> list[str]:
    """Returns the numbers-like expressions of a program that may make sense in a function."""
    sites = donor.sites["numeric"]
    return [donor.code(s) for s in sites if s.function == function] or [donor.code(s) for s in sites]


def replace_expression(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Puts a variable, another expression, a constant or one of its own parts in place of an expression."""
    if (site := pick(rng, program.sites["numeric"])) is None:
        return None
    parts = [program.code(s) for s in program.sites["numeric"] if site.start <= s.start and s.stop <= site.stop]
    u = rng.random()
    if donor is program and u < 0.35:
        new = pick(rng, parts)
    elif donor is program and u < 0.6 and (names := program.names.get(site.function)):
        new = pick(rng, names)
    elif u < 0.9:
        new = pick(rng, numeric_donors(donor, site.function))
    else:
        new = literal(pick(rng, SIMPLE))
    if new is None or new == program.code(site):
        return None
    return Edit(place(program, site, new), f"replace {short(program.code(site))} by {short(new)}{within(site)}")


def wraps(program: Program) -> tuple[str, ...]:
    """Returns the templates for which the program has the imports."""
    lib = NUMPY if "import numpy as np" in program.text else PLAIN
    return WRAPS + lib + (MATH if "import math" in program.text else ())


def wrap_expression(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Grows an expression: `x` becomes `x * 1.1`, `x + y`, `min(x, y)`, `abs(x)`, ..."""
    if (site := pick(rng, program.sites["numeric"])) is None:
        return None
    names = program.names.get(site.function)
    pool = names if names and rng.random() < 0.7 else numeric_donors(donor, site.function)
    scale, step = literal(2.0 ** (rng.normal() * 0.5)), rng.normal() * 10.0 ** rng.uniform(-2, 0)
    signed = f"{'-' if step < 0 else '+'} {literal(abs(step))}"
    template, values = pick(rng, wraps(program)), {"c": scale, "d": signed}
    values |= {name: atom(pick(rng, pool)) for name in "yz"}
    shown = short(template.format(x="_", **values))
    text = place(program, site, template.format(x=atom(program.code(site)), **values))
    return Edit(text, f"put {shown} around {short(program.code(site))}{within(site)}")


def own_lines(program: Program, site: Site) -> list[str]:
    first, last = lines_of(site.node)
    return program.lines[first:last]


def copy_statement(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Inserts a statement from elsewhere, from the same function more often than not."""
    site, pool = pick(rng, program.sites["statement"]), donor.sites["statement"]
    near_by = [s for s in pool if site and s.function == site.function]
    source = pick(rng, near_by if near_by and rng.random() < 0.8 else pool)
    if site is None or source is None:
        return None
    here, there = own_lines(program, site), own_lines(donor, source)
    copy = indent(dedent("\n".join(there)), " " * site.node.col_offset).split("\n")
    text = program.put_lines(site, here + copy if rng.random() < 0.7 else copy + here)
    return Edit(text, f"insert {short(there[0])}{within(site)}")


def remove_statement(program: Program, donor: Program, rng: Generator) -> Edit | None:
    if (site := pick(rng, program.sites["statement"])) is None:
        return None
    return Edit(program.put_lines(site, ()), f"remove {short(own_lines(program, site)[0])}{within(site)}")


def swap_statements(program: Program, donor: Program, rng: Generator) -> Edit | None:
    at = {site.path: site for site in program.sites["statement"]}
    pairs = [(site, at.get((*path[:-1], (path[-1][0], path[-1][1] + 1)))) for path, site in at.items()]
    if (pair := pick(rng, [(a, b) for a, b in pairs if b is not None])) is None:
        return None
    (first, stop), (start, last) = (lines_of(site.node) for site in pair)
    lines = program.lines
    moved = [*lines[:first], *lines[start:last], *lines[stop:start], *lines[first:stop], *lines[last:]]
    return Edit("\n".join(moved), f"move {short(lines[first])} down{within(pair[0])}")


# ---------------------------------------------------------------- crossover


def blend(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Moves each constant that differs at the same place towards, or away from, the inspiration's."""
    theirs = {site.path: value(site.node) for site in donor.sites["number"]}
    changes = []
    for site in program.sites["number"]:
        a = value(site.node)
        b = theirs.get(site.path, a)
        if a != b:
            mixed = a + (b - a) * rng.uniform(-0.5, 1.5)
            whole = isinstance(a, int) and isinstance(b, int)
            changes.append((site, str(round(mixed)) if whole else literal(mixed)))
    return Edit(program.put(changes), f"blend {len(changes)} constants with inspiration") if changes else None


def cross_lines(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Takes each run of lines that differs from the inspiration's or leaves it, by a coin: homologous crossover."""
    mine, theirs = program.lines, donor.lines
    lines: list[str] = []
    taken = 0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        take = tag != "equal" and rng.random() < 0.5
        lines += theirs[j1:j2] if take else mine[i1:i2]
        taken += take
    return Edit("\n".join(lines), f"cross over {taken} pieces from inspiration") if taken else None


# ---------------------------------------------------------------- one child

Operator = Callable[[Program, Program, Generator], Edit | None]
MUTATIONS: tuple[tuple[Operator, int], ...] = (
    (change_number, 48), (change_operator, 11), (replace_expression, 13),
    (wrap_expression, 13), (copy_statement, 5), (remove_statement, 4), (swap_statements, 4),
)  # fmt: skip
CROSSOVERS: tuple[tuple[Operator, int], ...] = (
    (blend, 40), (cross_lines, 40), (copy_statement, 10), (replace_expression, 10),
)  # fmt: skip


def mutate(
    text: str, inspirations: Sequence[str], rng: Generator, *, mutations: float = 1.7, crossover: bool = False
) -> Child | None:
    """Returns a child of a program with about `mutations` edits, None where nothing can change.

    With `crossover` the first edit takes from an inspiration, where there is one that is a program.
    """
    parent = read(text)
    donors = [donor for other in inspirations if other != text and (donor := read(other)) is not None]
    if parent is None or not any(parent.sites.values()):
        return None
    for attempt in range(TRIES):
        count = 1 + int(rng.poisson(mutations - 1)) if attempt < TRIES // 2 else 1
        child, titles = vary(parent, donors, rng, count, crossover and attempt < TRIES // 2)
        if titles and child.keeps(parent):
            return Child(child.text, tuple(titles))
    return None


def vary(
    program: Program, donors: Sequence[Program], rng: Generator, count: int, crossover: bool
) -> tuple[Program, list[str]]:
    """Makes `count` edits one after the other, up to the first that has no place or gives no program."""
    titles: list[str] = []
    for k in range(count):
        borrow = bool(donors) and ((crossover and k == 0) or rng.random() < BORROW)
        operator = pick(rng, [one for one, weight in (CROSSOVERS if borrow else MUTATIONS) for _ in range(weight)])
        try:
            edit = operator(program, pick(rng, donors) if borrow else program, rng)
        except OverflowError:  # from constants like 10**400
            break
        if edit is None or (changed := read(edit.text)) is None:
            break
        program = changed
        titles.append(edit.title)
    return program, titles
