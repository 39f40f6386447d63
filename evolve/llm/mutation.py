"""Genetic programming on Python source: Koza, "Genetic Programming" (1992), on a concrete-syntax tree, so that layout survives.

Mutation of subtrees, operators and statements is Koza's; crossover is homologous (Langdon 2000, "Size fair and homologous
tree crossovers"); constants move on a log scale, and two parents' constants blend (BLX-alpha, Eshelman and Schaffer 1993).
A child is kept only if it compiles, means something else than its parent, keeps all parameters and markers, and reads no
name that nobody binds. Nothing here knows a problem.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import cache, lru_cache
from types import NoneType
from typing import Any, NamedTuple

import libcst as cst
from numpy.random import Generator

TRIES = 200
FLIP, RESET = 0.06, 0.06  # how often a constant changes its sign or starts anew, instead of moving
NAMED = 0.7
SIGMA = (-1.5, 0.1)
BORROW = 0.15  # how often an edit takes from an inspiration, when there is one and the operator isn't crossover
SIMPLE = (0.0, 0.1, 0.5, 1.0, 2.0)

PRECEDENCE: dict[type, int] = {
    cst.Add: 1, cst.Subtract: 1, cst.Multiply: 2, cst.Divide: 2, cst.FloorDivide: 2, cst.Modulo: 2, cst.Power: 3,
}  # fmt: skip
ARITHMETIC = (cst.Add, cst.Subtract, cst.Multiply, cst.Divide)
AUGMENTED = (cst.AddAssign, cst.SubtractAssign, cst.MultiplyAssign, cst.DivideAssign)
ORDER = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
FUNCTIONS = (
    "sqrt exp log log1p log2 log10 sin cos tan tanh hypot abs floor ceil power square minimum maximum clip where"
)
MATHS = {"abs", "min", "max", "float", "pow"} | {f"{m}.{f}" for m in ("math", "np", "numpy") for f in FUNCTIONS.split()}
COUNTS = {"range", "len"} | {f"np.{f}" for f in ("zeros", "ones", "empty", "full", "arange", "linspace", "reshape")}
STRINGS = (cst.SimpleString, cst.ConcatenatedString, cst.FormattedString)
NO_NUMBER = (*STRINGS, cst.List, cst.Tuple, cst.Dict, cst.Set, cst.ListComp)
ATOMS = (*STRINGS, cst.Name, cst.Call, cst.Attribute, cst.Subscript, cst.List, cst.Dict, cst.Integer, cst.Float)
COLLECTIONS = (cst.Tuple, cst.List, cst.Element, cst.StarredElement, cst.AssignTarget)
COMPOUND = (cst.If, cst.For, cst.While, cst.With)
TIGHT = (cst.BinaryOperation, cst.UnaryOperation, cst.Comparison, cst.ComparisonTarget, cst.BooleanOperation, cst.IfExp)
FIXED = (cst.Return, cst.Import, cst.ImportFrom, cst.Global, cst.Nonlocal, cst.Pass)
WRAPS = ("{x} * {c}", "{x} * {c}", "{x} + {d}", "{x} + {d}", "{x} + {y}", "{x} - {y}", "{x} * {y}", "{x} / {y}")
WRAPS += ("{x} + {d} * {y}", "{x} ** 2", "-{x}")
PLAIN = ("abs({x})", "min({x}, {y})", "max({x}, {y})", "({x} if {y} < {z} else {c})")
MATH = ("math.sqrt(abs({x}))", "math.tanh({x})", "math.log1p(abs({x}))", "math.exp(-abs({x}))")
NUMPY = ("np.minimum({x}, {y})", "np.maximum({x}, {y})", "np.where({y} < {z}, {x}, {c})", "np.abs({x})", "np.tanh({x})")
NUMPY += ("np.sqrt(np.abs({x}))", "np.log1p(np.abs({x}))", "np.exp(-np.abs({x}))")
ROLES = (
    "parameter",
    "number",
    "index",
    "numeric",
    "arithmetic",
    "comparison",
    "logic",
    "boolean",
    "statement",
    "value",
)
# The fields that can hold a site, in the order of the text; strings, imports, annotations and decorators are left alone.
FIELDS = (
    "header", "leading_lines", "lines_after_decorators", "targets", "target", "params", "kwonly_params", "default", "func", "test",
    "iter", "left", "comparisons", "comparator", "right", "expression", "elt", "for_in", "ifs", "inner_for_in", "value", "args",
    "slice", "index", "lower", "upper", "step", "elements", "subject", "cases", "guard", "body", "handlers", "orelse",
    "finalbody", "footer",
)  # fmt: skip

Path = tuple[tuple[str, int], ...]


class Site(NamedTuple):
    """A place that may change; at a `tight` one all but an atom needs parentheses."""

    path: Path
    node: Any
    function: str
    tight: bool


class Edit(NamedTuple):
    """A changed tree and, in a few words, the change."""

    tree: cst.Module
    title: str


class Child(NamedTuple):
    """A mutated program and what was done to it, the main change first."""

    text: str
    titles: tuple[str, ...]


# ---------------------------------------------------------------- where a program may change


class Program:
    """A tree and its sites by role: number; index (a number that counts or indexes); numeric, boolean (expressions);
    arithmetic, comparison, logic (their operators); statement."""

    def __init__(self, tree: cst.Module, text: str):
        self.tree = tree
        self.sites: dict[str, list[Site]] = {role: [] for role in ROLES}
        self.names: dict[str, list[str]] = {}  # function -> names that are used as numbers there
        self.functions: dict[str, Site] = {}
        self.wraps = (
            WRAPS + (NUMPY if "import numpy as np" in text else PLAIN) + (MATH if "import math" in text else ())
        )
        self._open = "EVOLVE-BLOCK-START" not in text
        self._visit(tree, Site((), tree, "", False), "value")
        for site in self.sites.pop("value"):
            if site.node.value in self.names.get(site.function, ()) or not self.sites["numeric"]:
                self.sites["numeric"].append(site)

    def _visit(self, node: Any, site: Site, role: str) -> None:
        kind = type(node)
        if kind is cst.EmptyLine:
            note = node.comment.value if node.comment else ""
            self._open = (self._open or "EVOLVE-BLOCK-START" in note) and "EVOLVE-BLOCK-END" not in note
            return
        for found in roles(node, role):
            self._add(found, site)
        function = site.function
        if kind is cst.FunctionDef:
            function = f"{function}.{node.name.value}" if function else node.name.value
            self.functions[function] = site
        for name, i, child in children(node):
            below = Site((*site.path, (name, i)), child, function, kind in TIGHT)
            self._visit(child, below, expected(node, name, role))

    def _add(self, role: str, site: Site) -> None:
        if role == "numeric" and type(site.node) is cst.Name:
            names = self.names.setdefault(site.function, [])
            if site.node.value not in names:
                names.append(site.node.value)
        if self._open:
            self.sites[role].append(site)


@lru_cache(maxsize=128)
def read(text: str) -> Program:
    """Parses a program; trees never change, so one is shared. Raises libcst.ParserSyntaxError."""
    return Program(cst.parse_module(text), text)


@cache
def fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    """Returns the fields of a kind of node to look into."""
    if issubclass(kind, cst.Import | cst.ImportFrom | cst.BaseString):
        return ()
    return tuple(name for name in FIELDS if name in kind.__dataclass_fields__)


@cache
def is_expression(kind: type[cst.CSTNode]) -> bool:
    """Tells whether a kind of node is an expression (kinds are abstract classes, whose isinstance is slow)."""
    return issubclass(kind, cst.BaseExpression)


def children(node: cst.CSTNode) -> Iterator[tuple[str, int, cst.CSTNode]]:
    """Yields (field, place in it or -1, child)."""
    for name in fields(type(node)):
        child = getattr(node, name)
        if type(child) in (tuple, list):
            for i, item in enumerate(child):
                yield name, i, item
        elif type(child) not in (NoneType, str, cst.MaybeSentinel):
            yield name, -1, child


def expected(node: Any, name: str, role: str) -> str:
    """Says what a child is taken for: numeric, boolean, index, value (anything), or target (no expression of its own)."""
    kind = type(node)
    if name in ("target", "targets", "func") or (name == "value" and kind in (cst.Attribute, cst.Subscript)):
        return "target"
    if name == "test" or kind is cst.BooleanOperation:
        return "boolean"
    if kind is cst.UnaryOperation:
        if type(node.operator) is cst.Not:
            return "boolean"
        return "target" if is_constant(node) else "index" if role == "index" else "numeric"
    if kind is cst.BinaryOperation:
        return "index" if role == "index" else "numeric" if is_numeric(node) else "value"
    if kind in (cst.Subscript, cst.SubscriptElement, cst.Index, cst.Slice):
        return "index"
    if kind is cst.Comparison or kind is cst.ComparisonTarget:
        operator = node.operator if kind is cst.ComparisonTarget else node.comparisons[0].operator
        return "numeric" if type(operator) in ORDER else "value"
    if kind is cst.AugAssign:
        return "numeric" if type(node.operator) in AUGMENTED and is_numeric(node.value) else "value"
    if kind is cst.Call:
        return "numeric" if dotted(node.func) in MATHS else "index" if dotted(node.func) in COUNTS else "value"
    if kind in (cst.Assign, cst.AnnAssign, cst.Param):
        return "parameter"
    if kind in (cst.Arg, cst.IfExp):
        return role
    return role if kind in COLLECTIONS and role in ("target", "index") else "value"


def roles(node: Any, role: str) -> Iterator[str]:
    """Yields the roles in which a node may change, given what is expected of it."""
    kind = type(node)
    if kind is cst.SimpleStatementLine or kind in COMPOUND:
        if movable(node):
            yield "statement"
    elif kind is cst.AugAssign:
        if type(node.operator) in AUGMENTED and type(node.value) not in NO_NUMBER:
            yield "arithmetic"
    elif role != "target" and is_expression(kind):
        if is_constant(node):
            if role == "parameter":
                yield "parameter"
            yield "index" if role == "index" else "number"
        if kind is cst.BinaryOperation and is_numeric(node) and role != "index":
            yield "arithmetic"
        if kind is cst.BooleanOperation:
            yield "logic"
        if kind is cst.Comparison and type(node.comparisons[0].operator) in ORDER:
            yield "comparison"
        if role == "boolean" or kind in (cst.Comparison, cst.BooleanOperation):
            yield "boolean"
        elif role == "numeric" or (role in ("value", "parameter") and is_numeric(node)):
            yield "numeric"
        elif role in ("value", "parameter") and kind is cst.Name and node.value not in ("True", "False", "None"):
            yield "value"


def dotted(node: Any) -> str:
    """Returns `a` or `a.b` for such a name, "" for all else."""
    if type(node) is cst.Attribute and type(node.value) is cst.Name:
        return f"{node.value.value}.{node.attr.value}"
    return str(node.value) if type(node) is cst.Name else ""


def is_constant(node: Any) -> bool:
    """Tells whether a node is a literal integer or float, perhaps negative."""
    if type(node) is cst.UnaryOperation and type(node.operator) is cst.Minus:
        node = node.expression
    return type(node) is cst.Float or (type(node) is cst.Integer and node.value.isdigit())


def is_numeric(node: Any) -> bool:
    """Tells whether an expression looks like a number (strings and lists don't)."""
    kind = type(node)
    if kind is cst.BinaryOperation:
        numbers = type(node.left) not in NO_NUMBER and type(node.right) not in NO_NUMBER
        return numbers and type(node.operator) in PRECEDENCE
    if kind is cst.UnaryOperation:
        return type(node.operator) in (cst.Minus, cst.Plus)
    return kind in (cst.Integer, cst.Float) or (kind is cst.Call and dotted(node.func) in MATHS)


def movable(node: Any) -> bool:
    """Tells whether a statement may be copied, moved or removed: no return, import, definition or docstring."""
    if type(node) is not cst.SimpleStatementLine:
        return type(node) in COMPOUND
    return not any(type(s) in FIXED or (type(s) is cst.Expr and type(s.value) in STRINGS) for s in node.body)


# ---------------------------------------------------------------- changing a tree


def put(node: Any, path: Path, new: Any) -> Any:
    """Returns the tree with another node at a path."""
    if not path:
        return new
    (name, i), child = path[0], getattr(node, path[0][0])
    if i < 0:
        return node.with_changes(**{name: put(child, path[1:], new)})
    return node.with_changes(**{name: (*child[:i], put(child[i], path[1:], new), *child[i + 1 :])})


def code(node: cst.CSTNode) -> str:
    """Returns the text of a node."""
    return EMPTY.code_for_node(node)


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
    """Returns one word for a title."""
    word = "".join((node if isinstance(node, str) else code(node)).split())
    return word if len(word) <= 24 else word[:21] + "..."


def pick(rng: Generator, things: Sequence[Any]) -> Any:
    """Draws one of several, None from nothing."""
    return things[int(rng.integers(len(things)))] if things else None


def within(site: Site) -> str:
    """Says where a site is, for a title."""
    return f" in {site.function.split('.')[-1]}" if site.function else ""


EMPTY = cst.Module(body=())


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
        new = float(old * 2.0 ** (rng.normal() * 10.0 ** rng.uniform(*SIGMA)))
    if isinstance(old, int):
        return str(round(new) if round(new) != old else old + pick(rng, (-1, 1)))
    return literal(new)


def literal(value: float) -> str:
    """Writes a float in five digits."""
    return repr(float(f"{value:.5g}"))


def value(node: cst.CSTNode) -> int | float:
    """Reads a literal, perhaps negative."""
    number = ast.literal_eval(code(node))
    assert isinstance(number, int | float)
    return number


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
    return new and Edit(place(program.tree, site, new), f"replace {short(site.node)} by {short(new)}{within(site)}")


def wrap_expression(program: Program, donor: Program, rng: Generator) -> Edit | None:
    """Grows an expression: `x` becomes `x * 1.1`, `x + y`, `min(x, y)`, `abs(x)`, ..."""
    if (site := pick(rng, program.sites["numeric"])) is None:
        return None
    names = [cst.Name(name) for name in program.names.get(site.function, ())]
    pool = names if names and rng.random() < 0.7 else numeric_donors(donor, site.function)
    y, z = (code(atom(pick(rng, pool))) for _ in "yz")
    scale, step = literal(2.0 ** (rng.normal() * 0.5)), rng.normal() * 10.0 ** rng.uniform(-2, 0)
    signed = f"{'-' if step < 0 else '+'} {literal(abs(step))}"
    new = pick(rng, program.wraps).format(x=code(atom(site.node)), y=y, z=z, c=scale, d=signed)
    return Edit(place(program.tree, site, new), f"put {short(new)} for {short(site.node)}{within(site)}")


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
    return tree and Edit(tree, f"insert {short(first_line(source.node))}{within(site)}")


def remove_statement(program: Program, donor: Program, rng: Generator) -> Edit | None:
    if (site := pick(rng, statements(program))) is None:
        return None
    tree = splice(program, site, 1, ())
    return tree and Edit(tree, f"remove {short(first_line(site.node))}{within(site)}")


def swap_statements(program: Program, donor: Program, rng: Generator) -> Edit | None:
    sites = {site.path: site for site in statements(program)}
    pairs = [(site, sites.get((*path[:-1], ("body", path[-1][1] + 1)))) for path, site in sites.items()]
    pair = pick(rng, [(a, b) for a, b in pairs if b is not None])
    if pair is None:
        return None
    tree = splice(program, pair[0], 2, (pair[1].node, pair[0].node))
    return tree and Edit(tree, f"move {short(first_line(pair[0].node))} down{within(pair[0])}")


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
        child = vary(parent, text, donors, rng, count, crossover and attempt < TRIES // 2)
        if child is not None and child.text != text and keeps(before, facts(child.text)):
            return child
    return None


def vary(
    program: Program, text: str, donors: Sequence[str], rng: Generator, count: int, crossover: bool
) -> Child | None:
    """Makes `count` edits one after the other; those for which there is no place are left out."""
    tree, titles = program.tree, list[str]()
    for _ in range(count):
        if tree is not program.tree:
            program = Program(tree, text)
        borrow = bool(donors) and ((crossover and not titles) or rng.random() < BORROW)
        operators, weights = zip(*(CROSSOVERS if borrow else MUTATIONS), strict=True)
        operator = operators[int(rng.choice(len(operators), p=[w / sum(weights) for w in weights]))]
        try:
            edit = operator(program, read(pick(rng, donors)) if borrow else program, rng)
        except (cst.ParserSyntaxError, cst.CSTValidationError):
            continue
        if edit is not None:
            tree = edit.tree
            titles.append(edit.title)
    return Child(tree.code, tuple(titles)) if titles else None


class Facts(NamedTuple):
    """What a text means and what must outlive a change of it."""

    meaning: str
    functions: frozenset[tuple[str, ...]]
    unbound: frozenset[str]
    frozen: tuple[str, ...]


@lru_cache(maxsize=256)
def facts(text: str) -> Facts | None:
    """Reads a program's facts, None where it doesn't compile."""
    try:
        tree = ast.parse(text)
        compile(tree, "<candidate>", "exec", dont_inherit=True)
        table = symtable.symtable(text, "<candidate>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = frozenset(signature(node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    lines, frozen, end = text.split("\n"), [], 0
    for start, stop in (*regions(text), (len(text.split("\n")), 0)):
        frozen.append("\n".join(lines[end:start]))
        end = stop
    return Facts(ast.dump(tree), functions, frozenset(used(table)) - bound - set(dir(builtins)), tuple(frozen))


def signature(node: ast.FunctionDef) -> tuple[str, ...]:
    """Returns a function's name, its parameters' names, and whether it returns something."""
    arguments = [argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)]
    returns = any(isinstance(inner, ast.Return) and inner.value for inner in ast.walk(node))
    return (node.name, *arguments, "->" if returns else "")


def used(table: symtable.SymbolTable) -> Iterator[str]:
    """Yields the names that are read as globals, in any scope."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from used(inner)


def keeps(before: Facts, after: Facts | None) -> bool:
    """Tells whether a changed program may stand as a child."""
    return (
        after is not None
        and after.meaning != before.meaning
        and after.functions >= before.functions
        and after.unbound <= before.unbound
        and after.frozen == before.frozen
    )


def regions(text: str) -> list[tuple[int, int]]:
    """Returns the line ranges that may change: those strictly between EVOLVE-BLOCK markers, all where there are none."""
    lines = text.removesuffix("\n").split("\n")
    found, start = [], None
    for i, line in enumerate(lines):
        if "EVOLVE-BLOCK-START" in line:
            start = i + 1
        elif "EVOLVE-BLOCK-END" in line and start is not None:
            found.append((start, i))
            start = None
    if start is not None:
        found.append((start, len(lines)))
    return found if "EVOLVE-BLOCK-START" in text else [(0, len(lines))]
