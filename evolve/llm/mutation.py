"""Genetic programming on Python source: Koza, "Genetic Programming" (1992), on a concrete-syntax tree, so that layout survives.

Mutation of subtrees, operators and statements is Koza's; crossover is homologous (Langdon 2000, "Size fair and homologous
tree crossovers"); constants move on a log scale, and two parents' constants blend (BLX-alpha, Eshelman and Schaffer 1993).
A child is kept only if it compiles, means something else than its parent, keeps all parameters and markers, and reads no
name that nobody binds. Nothing here knows a problem.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import libcst as cst
from numpy.random import Generator

from evolve.llm.program import (
    AUGMENTED,
    ORDER,
    PRECEDENCE,
    STRINGS,
    Path,
    Program,
    Site,
    code,
    facts,
    keeps,
    read,
    value,
)

TRIES = 200
NAMED = 0.7  # how often a constant that has a name (`scale = 0.3`) is preferred to one inside an expression
FLIP, RESET = 0.06, 0.06  # how often a constant changes its sign or starts anew, instead of moving
OCTAVES = (-1.5, 0.1)  # log10 of the standard deviation of a move, in factors of two: from 0.03 to 1.3
BORROW = 0.15  # how often an edit takes from an inspiration, when there is one and the operator isn't crossover
SIMPLE = (0.0, 0.1, 0.5, 1.0, 2.0)

ARITHMETIC = (cst.Add, cst.Subtract, cst.Multiply, cst.Divide)
ATOMS = (*STRINGS, cst.Name, cst.Call, cst.Attribute, cst.Subscript, cst.List, cst.Dict, cst.Integer, cst.Float)
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
    """A changed tree and, in a few words, the change."""

    tree: cst.Module
    title: str


class Child(NamedTuple):
    """A mutated program and what was done to it, the main change first."""

    text: str
    titles: tuple[str, ...]


# ---------------------------------------------------------------- changing a tree


def put(node: Any, path: Path, new: Any) -> Any:
    """Returns the tree with another node at a path."""
    if not path:
        return new
    (name, i), child = path[0], getattr(node, path[0][0])
    if i < 0:
        return node.with_changes(**{name: put(child, path[1:], new)})
    return node.with_changes(**{name: (*child[:i], put(child[i], path[1:], new), *child[i + 1 :])})


def atom(node: Any) -> Any:
    """Returns an expression that can stand beside any operator."""
    if node.lpar or type(node) in ATOMS:
        return node
    return node.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])


def place(tree: cst.Module, site: Site, new: str | cst.BaseExpression) -> cst.Module:
    """Puts an expression at a site, in parentheses where it needs them."""
    node = cst.parse_expression(new) if isinstance(new, str) else new
    return put(tree, site.path, atom(node) if site.tight else node)  # type: ignore[no-any-return]


def short(node: cst.CSTNode | str) -> str:
    """Returns a few characters for a title, without spaces where words don't need them."""
    word = re.sub(r"\s*([^\w\s])\s*", r"\1", " ".join((node if isinstance(node, str) else code(node)).split()))
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


def change_number(program: Program, donor: Program, rng: Generator, role: str = "number") -> Edit | None:
    if role == "number" and program.sites["parameter"] and rng.random() < NAMED:
        role = "parameter"
    if (site := pick(rng, program.sites[role])) is None:
        return None
    new = near(value(site.node), rng)
    return Edit(place(program.tree, site, new), f"change {short(site.node)} to {new}{within(site)}")


def change_index(program: Program, donor: Program, rng: Generator) -> Edit | None:
    return change_number(program, donor, rng, "index")


def change_arithmetic(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Draws another operator, or turns the operands round."""
    if (site := pick(rng, program.sites["arithmetic"])) is None:
        return None
    node = site.node
    if isinstance(node, cst.AugAssign):
        new = pick(rng, [kind for kind in AUGMENTED if not isinstance(node.operator, kind)])()
        tree = put(program.tree, site.path, node.with_changes(operator=new))
        return Edit(tree, f"swap {short(node.operator)} for {short(new)}{within(site)}")
    if rng.random() < 0.25 and not isinstance(node.operator, cst.Add | cst.Multiply):
        turned = node.with_changes(left=atom(node.right), right=atom(node.left))
        return Edit(put(program.tree, site.path, turned), f"turn round {short(node)}{within(site)}")
    new = pick(rng, [kind for kind in ARITHMETIC if not isinstance(node.operator, kind)])()
    rank = PRECEDENCE[type(new)]
    left, right = (
        atom(side)
        if isinstance(side, cst.BinaryOperation) and PRECEDENCE.get(type(side.operator), 0) < rank + i
        else side
        for i, side in enumerate((node.left, node.right))
    )
    changed = node.with_changes(left=left, right=right, operator=new)
    tree = put(program.tree, site.path, atom(changed) if site.tight else changed)
    return Edit(tree, f"swap {short(node.operator)} for {short(new)}{within(site)}")


def change_truth(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Changes a comparison or a boolean operator, negates a test, or borrows another test."""
    role = pick(rng, [role for role in ("comparison", "comparison", "logic", "boolean") if program.sites[role]])
    if role is None:
        return None
    site = pick(rng, program.sites[role])
    if role == "comparison":
        first = site.node.comparisons[0]
        operator = pick(rng, [kind for kind in ORDER if not isinstance(first.operator, kind)])()
        new = site.node.with_changes(comparisons=(first.with_changes(operator=operator), *site.node.comparisons[1:]))
    elif role == "logic":
        new = site.node.with_changes(operator=cst.Or() if isinstance(site.node.operator, cst.And) else cst.And())
    elif rng.random() < 0.3:
        new = cst.UnaryOperation(cst.Not(), atom(site.node))
    else:
        new = pick(rng, [s.node for s in donor.sites["boolean"] if s.function == site.function or donor is not program])
        if new is not None and rng.random() < 0.5:
            new = cst.BooleanOperation(atom(site.node), pick(rng, (cst.And, cst.Or))(), atom(new))
    return new and Edit(place(program.tree, site, new), f"test {short(new)}{within(site)}")


def numeric_donors(donor: Program, function: str) -> list[cst.BaseExpression]:
    """Returns the numbers-like expressions of a program that may make sense in a function."""
    sites = donor.sites["numeric"]
    return [s.node for s in sites if s.function == function] or [s.node for s in sites]


def replace_expression(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Puts a variable, another expression, a constant or one of its own parts in place of an expression."""
    if (site := pick(rng, program.sites["numeric"])) is None:
        return None
    u = rng.random()
    parts = [
        s.node
        for s in program.sites["numeric"]
        if len(s.path) > len(site.path) and s.path[: len(site.path)] == site.path
    ]
    if parts and u < 0.35:
        new = pick(rng, parts)
    elif u < 0.6 and (names := program.names.get(site.function)):
        new = cst.Name(pick(rng, names))
    elif u < 0.9:
        new = pick(rng, numeric_donors(donor, site.function))
    else:
        new = cst.parse_expression(literal(pick(rng, SIMPLE)))
    if new is None or code(new) == code(site.node):
        return None
    return Edit(place(program.tree, site, new), f"replace {short(site.node)} by {short(new)}{within(site)}")


def wraps(program: Program) -> tuple[str, ...]:
    """Returns the templates for which the program has the imports."""
    lib = NUMPY if "import numpy as np" in program.text else PLAIN
    return WRAPS + lib + (MATH if "import math" in program.text else ())


def wrap_expression(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Grows an expression: `x` becomes `x * 1.1`, `x + y`, `min(x, y)`, `abs(x)`, ..."""
    if (site := pick(rng, program.sites["numeric"])) is None:
        return None
    names = [cst.Name(name) for name in program.names.get(site.function, ())]
    pool = names if names and rng.random() < 0.7 else numeric_donors(donor, site.function)
    y, z = (code(atom(pick(rng, pool))) for _ in "yz")
    scale, step = literal(2.0 ** (rng.normal() * 0.5)), rng.normal() * 10.0 ** rng.uniform(-2, 0)
    signed = f"{'-' if step < 0 else '+'} {literal(abs(step))}"
    template, values = pick(rng, wraps(program)), {"y": y, "z": z, "c": scale, "d": signed}
    tree = place(program.tree, site, template.format(x=code(atom(site.node)), **values))
    return Edit(tree, f"put {short(template.format(x='_', **values))} around {short(site.node)}{within(site)}")


def statements(program: Program) -> list[Site]:
    """Returns the movable statements that stand in a block of their own lines."""
    return [site for site in program.sites["statement"] if site.path[-1][0] == "body" and site.path[-1][1] >= 0]


def splice(program: Program, site: Site, count: int, new: Sequence[cst.CSTNode]) -> cst.Module | None:
    """Puts statements in place of `count` statements from a site on; None where a block would be empty."""
    block, start = program.tree, site.path[-1][1]
    for name, i in site.path[:-1]:
        block = getattr(block, name) if i < 0 else getattr(block, name)[i]
    body = (*block.body[:start], *new, *block.body[start + count :])
    return put(program.tree, site.path[:-1], block.with_changes(body=body)) if body else None


def copy_statement(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Inserts a statement from elsewhere, from the same function more often than not."""
    if (site := pick(rng, statements(program))) is None:
        return None
    pool = statements(donor)
    near_by = [s for s in pool if s.function == site.function]
    if (source := pick(rng, near_by if near_by and rng.random() < 0.8 else pool)) is None:
        return None
    copy = source.node.with_changes(leading_lines=())
    both = (site.node, copy) if rng.random() < 0.7 else (copy, site.node)
    tree = splice(program, site, 1, both)
    return None if tree is None else Edit(tree, f"insert {short(first_line(source.node))}{within(site)}")


def remove_statement(program: Program, donor: Program, rng: Generator) -> Edit | None:
    if (site := pick(rng, statements(program))) is None:
        return None
    tree = splice(program, site, 1, ())
    return None if tree is None else Edit(tree, f"remove {short(first_line(site.node))}{within(site)}")


def swap_statements(program: Program, donor: Program, rng: Generator) -> Edit | None:
    sites = {site.path: site for site in statements(program)}
    pairs = [(site, sites.get((*path[:-1], ("body", path[-1][1] + 1)))) for path, site in sites.items()]
    pair = pick(rng, [(a, b) for a, b in pairs if b is not None])
    if pair is None:
        return None
    tree = splice(program, pair[0], 2, (pair[1].node, pair[0].node))
    return None if tree is None else Edit(tree, f"move {short(first_line(pair[0].node))} down{within(pair[0])}")


def first_line(node: cst.CSTNode) -> str:
    """Returns the first line of a statement without its comments."""
    lines = [line.split("#")[0].strip() for line in code(node).split("\n")]
    return next((line for line in lines if line), "")


# ---------------------------------------------------------------- crossover


def blend(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Moves each constant that differs at the same place towards, or away from, the inspiration's."""
    others = {site.path: site for site in donor.sites["number"]}
    tree, count = program.tree, 0
    for site in program.sites["number"]:
        other = others.get(site.path)
        if other is None or code(other.node) == code(site.node):
            continue
        a, b = (value(node) for node in (site.node, other.node))
        mixed = a + (b - a) * rng.uniform(-0.5, 1.5)
        whole = isinstance(a, int) and isinstance(b, int)
        tree = place(tree, site, str(round(mixed)) if whole else literal(mixed))
        count += 1
    return Edit(tree, f"blend {count} constants with inspiration") if count else None


def cross_lines(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Takes each run of lines that differs from the inspiration's or leaves it, by a coin: homologous crossover."""
    mine, theirs = program.tree.code.split("\n"), donor.tree.code.split("\n")
    lines: list[str] = []
    taken = 0
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        take = tag != "equal" and rng.random() < 0.5
        lines += theirs[j1:j2] if take else mine[i1:i2]
        taken += take
    return Edit(cst.parse_module("\n".join(lines)), f"cross over {taken} pieces from inspiration") if taken else None


def cross_body(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Takes a whole function's body from the inspiration's function of the same name."""
    name = pick(rng, [name for name in program.functions if name in donor.functions])
    if name is None:
        return None
    site, body = program.functions[name], donor.functions[name].node.body
    return Edit(put(program.tree, site.path, site.node.with_changes(body=body)), f"cross over {name} from inspiration")


def cross_expression(program: Program, donor: Program, rng: Generator) -> Edit | None:
    site, new = pick(rng, program.sites["numeric"]), pick(rng, donor.sites["numeric"])
    if site is None or new is None:
        return None
    if new.function != site.function and (near_by := numeric_donors(donor, site.function)):
        return Edit(place(program.tree, site, node := pick(rng, near_by)), f"cross over {short(node)} from inspiration")
    return Edit(place(program.tree, site, new.node), f"cross over {short(new.node)} from inspiration")


# ---------------------------------------------------------------- one child

Operator = Callable[[Program, Program, Generator], Edit | None]
MUTATIONS: tuple[tuple[Operator, float], ...] = (
    (change_number, 45), (change_index, 3), (change_arithmetic, 8), (change_truth, 5), (replace_expression, 13),
    (wrap_expression, 13), (copy_statement, 5), (remove_statement, 4), (swap_statements, 4),
)  # fmt: skip
CROSSOVERS: tuple[tuple[Operator, float], ...] = (
    (blend, 40), (cross_lines, 30), (cross_body, 10), (cross_expression, 10), (copy_statement, 5), (replace_expression, 5),
)  # fmt: skip


def mutate(
    text: str, inspirations: Sequence[str], rng: Generator, *, mutations: float = 1.7, crossover: bool = False
) -> Child | None:
    """Returns a child of a program with about `mutations` edits, None where nothing can change.

    With `crossover` the first edit takes from an inspiration, where there is one that parses. Raises
    libcst.ParserSyntaxError for a program that doesn't.
    """
    parent, before = read(text), facts(text)
    donors = [other for other in inspirations if other != text and facts(other) is not None]
    if before is None or not any(parent.sites.values()):
        return None
    for attempt in range(TRIES):
        count = 1 + int(rng.poisson(mutations - 1)) if attempt < TRIES // 2 else 1
        child, titles = vary(parent, donors, rng, count, crossover and attempt < TRIES // 2)
        if titles and keeps(parent, child, before, facts(changed := child.tree.code)):
            return Child(changed, tuple(titles))
    return None


def vary(
    program: Program, donors: Sequence[str], rng: Generator, count: int, crossover: bool
) -> tuple[Program, list[str]]:
    """Makes `count` edits one after the other; those for which there is no place are left out."""
    titles: list[str] = []
    for k in range(count):
        borrow = bool(donors) and ((crossover and k == 0) or rng.random() < BORROW)
        operator = weighted(CROSSOVERS if borrow else MUTATIONS, rng)
        try:
            edit = operator(program, read(pick(rng, donors)) if borrow else program, rng)
        except (cst.ParserSyntaxError, cst.CSTValidationError, OverflowError):  # the last from constants like 10**400
            continue
        if edit is not None:
            program = Program(edit.tree, program.text)
            titles.append(edit.title)
    return program, titles


def weighted(operators: Sequence[tuple[Operator, float]], rng: Generator) -> Operator:
    """Draws an operator by its weight."""
    weights = [weight for _, weight in operators]
    return operators[int(rng.choice(len(operators), p=[weight / sum(weights) for weight in weights]))][0]
