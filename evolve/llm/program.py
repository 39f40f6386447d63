"""A Python program as genetic programming sees it: the sites that may change, and the facts that must outlive a change.

The tree is libcst's concrete-syntax tree, so that comments and layout survive. What a site is taken for follows from its
surroundings (an operand of `<` is a number, an `if` has a test, ...), never from running the program.
"""

from __future__ import annotations

import builtins
import symtable
from collections.abc import Iterator
from functools import cache, lru_cache
from types import CodeType, NoneType
from typing import Any, NamedTuple

import libcst as cst

# Kinds are compared by identity: libcst's are abstract classes, for which isinstance is slow.
PRECEDENCE: dict[type, int] = {
    cst.Add: 1, cst.Subtract: 1, cst.Multiply: 2, cst.Divide: 2, cst.FloorDivide: 2, cst.Modulo: 2, cst.Power: 3,
}  # fmt: skip
AUGMENTED = (cst.AddAssign, cst.SubtractAssign, cst.MultiplyAssign, cst.DivideAssign)
ORDER = (cst.LessThan, cst.LessThanEqual, cst.GreaterThan, cst.GreaterThanEqual)
FUNCTIONS = (
    "sqrt exp log log1p log2 log10 sin cos tan tanh hypot abs floor ceil power square minimum maximum clip where"
)
MATHS = {"abs", "min", "max", "float", "pow"} | {f"{m}.{f}" for m in ("math", "np", "numpy") for f in FUNCTIONS.split()}
COUNTS = {"range", "len"} | {f"np.{f}" for f in ("zeros", "ones", "empty", "full", "arange", "linspace", "reshape")}
STRINGS = (cst.SimpleString, cst.ConcatenatedString, cst.FormattedString)
NO_NUMBER = (*STRINGS, cst.List, cst.Tuple, cst.Dict, cst.Set, cst.ListComp)
COLLECTIONS = (cst.Tuple, cst.List, cst.Element, cst.StarredElement, cst.AssignTarget)
COMPOUND = (cst.If, cst.For, cst.While, cst.With)
FIXED = (cst.Return, cst.Import, cst.ImportFrom, cst.Global, cst.Nonlocal, cst.Pass)
TIGHT = (cst.BinaryOperation, cst.UnaryOperation, cst.Comparison, cst.ComparisonTarget, cst.BooleanOperation, cst.IfExp)
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
# The fields that can hold a site, in about the order of evaluation (lines with markers in that of the text). Strings, imports,
# annotations and decorators are left alone.
FIELDS = (
    "header", "leading_lines", "lines_after_decorators", "params", "kwonly_params", "default", "func", "test", "iter", "for_in",
    "left", "comparisons", "comparator", "right", "expression", "value", "targets", "target", "ifs", "inner_for_in", "elt",
    "args", "slice", "index", "lower", "upper", "step", "elements", "subject", "cases", "guard", "body", "handlers", "orelse",
    "finalbody", "footer",
)  # fmt: skip
EMPTY = cst.Module(body=())

Path = tuple[tuple[str, int], ...]


# ---------------------------------------------------------------- where a program may change


class Site(NamedTuple):
    """A place that may change; at a `tight` one all but an atom needs parentheses."""

    path: Path
    node: Any
    function: str
    tight: bool


class Program:
    """A tree and its sites by role.

    Roles: number; parameter (a number with a name of its own); index (a number that counts or indexes); numeric, boolean
    (expressions); arithmetic, comparison, logic (their operators); statement. `text` is what the tree was first read from:
    it says where the markers and imports are, which no edit changes. `signatures` holds each function's name, parameters
    and "->" if it returns a value; `early` the (function, name) of local names that are read before they are bound.
    """

    def __init__(self, tree: cst.Module, text: str):
        self.tree = tree
        self.text = text
        self.sites: dict[str, list[Site]] = {role: [] for role in ROLES}
        self.names: dict[str, list[str]] = {}  # function -> names that are used as numbers there
        self.functions: dict[str, Site] = {}
        self.signatures: set[tuple[str, ...]] = set()
        self._mentions: dict[str, list[tuple[str, bool]]] = {}  # function -> (name, whether bound), as evaluated
        self._open = "EVOLVE-BLOCK-START" not in text
        self._visit(tree, Site((), tree, "", False), "value")
        self.early = {(f, name) for f, mentions in self._mentions.items() if f for name in read_first(mentions)}
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
        if kind is cst.Name:
            self._mentions.setdefault(function, []).append((node.value, role == "bound"))
        elif kind is cst.AugAssign and type(node.target) is cst.Name:
            self._mentions.setdefault(function, []).extend([(node.target.value, False), (node.target.value, True)])
        elif kind is cst.Return and node.value is not None:
            self.signatures.add((function, "->"))
        elif kind is cst.FunctionDef:
            function = f"{function}.{node.name.value}" if function else node.name.value
            self.functions[function] = site
            names = parameters(node)
            self.signatures.add((function, *names))
            self._mentions.setdefault(function, []).extend((name, True) for name in names)
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


def parameters(function: cst.FunctionDef) -> list[str]:
    """Returns the names of a function's parameters."""
    params = function.params
    several = (*params.posonly_params, *params.params, params.star_arg, *params.kwonly_params, params.star_kwarg)
    return [param.name.value for param in several if isinstance(param, cst.Param)]


def read_first(mentions: list[tuple[str, bool]]) -> Iterator[str]:
    """Yields the local names whose first mention reads them."""
    local, seen = {name for name, binds in mentions if binds}, set[str]()
    for name, binds in mentions:
        if name in local and name not in seen and not binds:
            yield name
        seen.add(name)


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
    """Says what a child is taken for: numeric, boolean, index, value (anything), target (no
    expression of its own), or bound (a name that is assigned)."""
    kind = type(node)
    if name in ("target", "targets") and kind is not cst.AugAssign:
        return "bound"
    if name in ("target", "func", "iter") or (name == "value" and kind in (cst.Attribute, cst.Subscript)):
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
    return role if kind in COLLECTIONS and role in ("bound", "target", "index") else "value"


def roles(node: Any, role: str) -> Iterator[str]:
    """Yields the roles in which a node may change, given what is expected of it."""
    kind: type[cst.CSTNode] = type(node)
    if kind is cst.SimpleStatementLine or kind in COMPOUND:
        if movable(node):
            yield "statement"
    elif kind is cst.AugAssign:
        if type(node.operator) in AUGMENTED and type(node.value) not in NO_NUMBER:
            yield "arithmetic"
    elif role not in ("target", "bound") and is_expression(kind):
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


def code(node: cst.CSTNode) -> str:
    """Returns the text of a node."""
    return EMPTY.code_for_node(node)


def value(node: cst.CSTNode) -> int | float:
    """Reads a literal, perhaps negative."""
    text = "".join(char for char in code(node) if char not in "_ ()")
    return int(text) if text.lstrip("-").isdigit() else float(text)


# ---------------------------------------------------------------- what must outlive a change


class Facts(NamedTuple):
    """What a text means, what it imports, the names that it reads and nobody binds, and what stands outside the markers."""

    meaning: tuple[object, ...]
    imported: frozenset[str]
    unbound: frozenset[str]
    frozen: tuple[str, ...]


@lru_cache(maxsize=256)
def facts(text: str) -> Facts | None:
    """Reads a text's facts, None where it doesn't compile.

    No `ast` here: in CPython 3.11 its trees can't be built in two threads at once (gh-106905), and this runs in threads.
    """
    try:
        compiled = compile(text, "<candidate>", "exec", dont_inherit=True)
        table = symtable.symtable(text, "<candidate>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    imported = frozenset(symbol.get_name() for symbol in table.get_symbols() if symbol.is_imported())
    return Facts(meaning(compiled), imported, frozenset(unbound(table)), frozen(text))


def parses(text: str) -> bool:
    """Tells whether a text is a program that both Python and libcst can read."""
    try:
        read(text)
    except cst.ParserSyntaxError:
        return False
    return facts(text) is not None


def keeps(before: Program, after: Program, old: Facts, new: Facts | None) -> bool:
    """Tells whether a changed program may stand as a child: it means something else, and nothing is lost."""
    return (
        new is not None
        and new.meaning != old.meaning
        and new.imported >= old.imported
        and new.unbound <= old.unbound
        and new.frozen == old.frozen
        and after.signatures >= before.signatures
        and after.early <= before.early
    )


def meaning(compiled: CodeType) -> tuple[object, ...]:
    """Returns what a code object does, without lines and layout."""
    constants = tuple(
        meaning(c) if isinstance(c, CodeType) else hex(c) if type(c) is int else repr(c) for c in compiled.co_consts
    )
    names = (compiled.co_names, compiled.co_varnames, compiled.co_freevars, compiled.co_cellvars)
    return (compiled.co_name, compiled.co_code, constants, names)


def unbound(table: symtable.SymbolTable) -> set[str]:
    """Returns the names that are read somewhere and bound nowhere."""
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return set(globals_read(table)) - bound - set(dir(builtins))


def globals_read(table: symtable.SymbolTable) -> Iterator[str]:
    """Yields the names that are read as globals, in any scope."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from globals_read(inner)


def regions(text: str) -> list[tuple[int, int]]:
    """Returns the line ranges that may change: those strictly between EVOLVE-BLOCK markers, all where there are none."""
    lines = text.removesuffix("\n").split("\n")
    if "EVOLVE-BLOCK-START" not in text:
        return [(0, len(lines))]
    found, start = [], None
    for i, line in enumerate(lines):
        if "EVOLVE-BLOCK-START" in line:
            start = i + 1
        elif "EVOLVE-BLOCK-END" in line and start is not None:
            found.append((start, i))
            start = None
    return found if start is None else [*found, (start, len(lines))]


def frozen(text: str) -> tuple[str, ...]:
    """Returns the pieces of the text between the regions that may change."""
    lines, end, pieces = text.split("\n"), 0, []
    for start, stop in regions(text):
        pieces.append("\n".join(lines[end:start]))
        end = stop
    return (*pieces, "\n".join(lines[end:]))
