"""A Python program as genetic programming sees it: the sites that may change, and the facts that must outlive a change.

Changes are made in the text, at the places that Python's syntax tree gives, so that comments and layout survive. What a site
is taken for follows from its surroundings (an operand of `<` is a number, an `if` has a test, ...), never from running it.
"""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from evolve.source import frozen, meaning, parsed, regions

SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.And: "and", ast.Or: "or",
}  # fmt: skip
ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
FUNCTIONS = (
    "sqrt exp log log1p log2 log10 sin cos tan tanh hypot abs floor ceil power square minimum maximum clip where"
)
MATHS = {"abs", "min", "max", "float", "pow"} | {f"{m}.{f}" for m in ("math", "np", "numpy") for f in FUNCTIONS.split()}
COUNTS = {"range", "len"} | {f"np.{f}" for f in ("zeros", "ones", "empty", "full", "arange", "linspace", "reshape")}
NO_NUMBER = (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp)
STATEMENTS = (
    ast.If, ast.For, ast.While, ast.With, ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Delete, ast.Raise,
    ast.Assert, ast.Break, ast.Continue,
)  # fmt: skip
PLACELESS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)  # nodes that no text stands for alone
ROLES = ("parameter", "number", "index", "numeric", "arithmetic", "logic", "statement", "value")
# the fields of a node in the order of evaluation, where that is not the order of the grammar
EVALUATED: dict[type, tuple[str, ...]] = {
    ast.Assign: ("value", "targets"), ast.AnnAssign: ("value", "target"), ast.AugAssign: ("value", "target"),
    ast.NamedExpr: ("value", "target"), ast.For: ("iter", "target", "body", "orelse"),
    ast.comprehension: ("iter", "target", "ifs"), ast.ListComp: ("generators", "elt"), ast.SetComp: ("generators", "elt"),
    ast.GeneratorExp: ("generators", "elt"), ast.DictComp: ("generators", "key", "value"), ast.JoinedStr: (),
    ast.ClassDef: ("body",), ast.FunctionDef: ("args", "body"), ast.AsyncFunctionDef: ("args", "body"),
    ast.arguments: ("defaults", "kw_defaults"), ast.match_case: ("guard", "body"),
}  # fmt: skip


# ---------------------------------------------------------------- where a program may change


class Site(NamedTuple):
    """A place that may change: the bytes `start` to `stop` of the text. At a `tight` one all but an atom needs parentheses."""

    path: tuple[tuple[str, int], ...]
    node: ast.AST
    function: str
    tight: bool
    start: int
    stop: int


class Program:
    """A text that compiles and its sites by role. Raises SyntaxError or ValueError for another text.

    Roles: number; parameter (a number with a name of its own); index (a number that counts or indexes); numeric (an
    expression); arithmetic, logic (an operator of numbers, or of order and truth); statement. `signatures` holds each
    function's name, parameters and "->" if it returns a value; `early` the (function, name) of local names that are read
    before they are bound; `unbound` the names that are read somewhere and bound nowhere.
    """

    def __init__(self, text: str):
        self.meaning = meaning(compile(text, "<candidate>", "exec", dont_inherit=True))
        tree = parsed(text)
        table = symtable.symtable(text, "<candidate>", "exec")
        self.text = text
        self.lines = text.split("\n")
        self.imported = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_imported()}
        self.unbound = unbound(table)
        self.frozen = frozen(text)
        self.sites: dict[str, list[Site]] = {role: [] for role in ROLES}
        self.names: dict[str, list[str]] = {}  # function -> names that are used as numbers there
        self.signatures: set[tuple[str, ...]] = set()
        self._regions = regions(text)
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._mentions: dict[str, list[tuple[str, bool]]] = {}  # function -> (name, whether bound), as evaluated
        self._visit(tree, (), "", "value", False)
        self.early = {(f, name) for f, mentions in self._mentions.items() if f for name in read_first(mentions)}
        for site in self.sites.pop("value"):
            if self.code(site) in self.names.get(site.function, ()) or not self.sites["numeric"]:
                self.sites["numeric"].append(site)

    def _visit(self, node: ast.AST, path: tuple[tuple[str, int], ...], function: str, role: str, tight: bool) -> None:
        mentions = self._mentions.setdefault(function, [])
        for found in roles(node, role):
            self._add(found, path, node, function, tight)
        if isinstance(node, ast.Name):
            mentions.append((node.id, not isinstance(node.ctx, ast.Load)))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            mentions.append((node.target.id, False))
        elif isinstance(node, ast.Return) and node.value is not None:
            self.signatures.add((function, "->"))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = f"{function}.{node.name}" if function else node.name
            names = [argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)]
            self.signatures.add((function, *names))
            self._mentions.setdefault(function, []).extend((name, True) for name in names)
        tight = isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare | ast.BoolOp | ast.IfExp | ast.Attribute)
        for name, i, child in children(node):
            self._visit(child, (*path, (name, i)), function, expected(node, name, role), tight)

    def _add(self, role: str, path: tuple[tuple[str, int], ...], node: ast.AST, function: str, tight: bool) -> None:
        if role == "numeric" and isinstance(node, ast.Name) and node.id not in self.names.setdefault(function, []):
            self.names[function].append(node.id)
        first, last = lines_of(node)
        start, stop = self._span(node)
        enclosed = self._bytes[start - 1 : start] == b"(" and self._bytes[stop : stop + 1] == b")"
        site = Site(path, node, function, tight and not enclosed, start, stop)
        if any(low <= first and last <= high for low, high in self._regions) and (
            role != "statement" or self._own_lines(site)
        ):
            self.sites[role].append(site)

    def _span(self, node: ast.AST) -> tuple[int, int]:
        starts = self._starts
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def _own_lines(self, site: Site) -> bool:
        """Tells whether a statement shares its lines with no other (an `elif` does, with its `if`)."""
        first, last = lines_of(site.node)
        before = self._bytes[self._starts[first] : site.start]
        after = self._bytes[site.stop : self._starts[last]].strip()
        elif_ = self._bytes[site.start : site.stop].startswith(b"elif")
        return not (before.strip() or elif_ or (after and not after.startswith(b"#")))

    def code(self, site: Site) -> str:
        """Returns the text of a site."""
        return self._bytes[site.start : site.stop].decode()

    def put(self, changes: Sequence[tuple[Site, str]]) -> str:
        """Returns the text with something else at each of some sites that lie apart."""
        text = self._bytes
        for site, new in sorted(changes, key=lambda change: -change[0].start):
            text = text[: site.start] + new.encode() + text[site.stop :]
        return text.decode()

    def swap(self, site: Site, left: ast.AST, right: ast.AST, old: str, new: str) -> str:
        """Returns the text with another operator between two parts of a site."""
        start, stop = self._span(left)[1], self._span(right)[0]
        gap = self._bytes[start:stop].decode().replace(old, new, 1)
        return (self._bytes[:start] + gap.encode() + self._bytes[stop:]).decode()

    def put_lines(self, site: Site, new: Sequence[str]) -> str:
        """Returns the text with other lines in place of a statement's."""
        first, last = lines_of(site.node)
        return "\n".join([*self.lines[:first], *new, *self.lines[last:]])

    def keeps(self, before: Program) -> bool:
        """Tells whether this may stand as a child of a program: it means something else, and nothing is lost."""
        return (
            self.meaning != before.meaning
            and self.imported >= before.imported
            and self.unbound <= before.unbound
            and self.frozen == before.frozen
            and self.signatures >= before.signatures
            and self.early <= before.early
        )


@lru_cache(maxsize=256)
def read(text: str) -> Program | None:
    """Reads a program, None where a text is none; programs never change, so one is shared."""
    try:
        return Program(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def lines_of(node: ast.AST) -> tuple[int, int]:
    """Returns the lines of a node, counted from 0: the first, and the one after the last."""
    return node.lineno - 1, node.end_lineno  # type: ignore[attr-defined]


def read_first(mentions: list[tuple[str, bool]]) -> Iterator[str]:
    """Yields the local names whose first mention reads them."""
    local, seen = {name for name, binds in mentions if binds}, set[str]()
    for name, binds in mentions:
        if name in local and name not in seen and not binds:
            yield name
        seen.add(name)


def children(node: ast.AST) -> Iterator[tuple[str, int, ast.AST]]:
    """Yields (field, place in it, child) for what is evaluated of a node; strings and annotations are left alone."""
    for name in EVALUATED.get(type(node), node._fields):
        child = getattr(node, name)
        for i, item in enumerate(child if isinstance(child, list) else [child]):
            if isinstance(item, ast.AST) and not isinstance(item, PLACELESS):
                yield name, i, item


def expected(node: ast.AST, name: str, role: str) -> str:
    """Says what a child is taken for: numeric, index, parameter, value (anything), or other (no number)."""
    match node:
        case ast.BoolOp() | ast.UnaryOp(op=ast.Not()) | ast.comprehension() | ast.Attribute():
            return "other"
        case _ if name in ("target", "targets", "func", "iter", "test"):
            return "other"
        case ast.Subscript() | ast.Slice():
            return "other" if name == "value" else "index"
        case ast.UnaryOp() if is_constant(node):
            return "other"
        case ast.UnaryOp() | ast.BinOp():
            return "index" if role == "index" else "numeric" if is_numeric(node) else "value"
        case ast.Compare():
            return "numeric" if isinstance(node.ops[0], ORDER) else "value"
        case ast.AugAssign():
            return "numeric" if is_numeric(node.value) else "value"
        case ast.Call():
            return "numeric" if dotted(node.func) in MATHS else "index" if dotted(node.func) in COUNTS else "value"
        case ast.Assign() | ast.AnnAssign() | ast.arguments():
            return "parameter"
        case ast.keyword() | ast.IfExp():
            return role
        case ast.Tuple() | ast.List() | ast.Starred():
            return role if role in ("other", "index") else "value"
    return "value"


def roles(node: ast.AST, role: str) -> Iterator[str]:
    """Yields the roles in which a node may change, given what is expected of it."""
    if isinstance(node, STATEMENTS) and not is_docstring(node):
        yield "statement"
    if role != "index" and has_arithmetic(node):
        yield "arithmetic"
    if isinstance(node, ast.BoolOp) or (isinstance(node, ast.Compare) and isinstance(node.ops[0], ORDER)):
        yield "logic"
    if role == "other" or not isinstance(node, ast.expr):
        return
    if is_constant(node):
        if role == "parameter":
            yield "parameter"
        yield "index" if role == "index" else "number"
    if role == "numeric" or (role in ("value", "parameter") and is_numeric(node)):
        yield "numeric"
    elif role in ("value", "parameter") and isinstance(node, ast.Name):
        yield "value"


def has_arithmetic(node: ast.AST) -> bool:
    """Tells whether a node has an operator of numbers."""
    if isinstance(node, ast.AugAssign):
        return type(node.op) in SIGNS and not is_text_or_list(node.value)
    return isinstance(node, ast.BinOp) and is_numeric(node)


def dotted(node: ast.AST) -> str:
    """Returns `a` or `a.b` for such a name, "" for all else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_constant(node: ast.AST) -> bool:
    """Tells whether a node is a literal integer or float, perhaps negative."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def value(node: ast.AST) -> int | float:
    """Reads a literal, perhaps negative."""
    return -value(node.operand) if isinstance(node, ast.UnaryOp) else node.value  # type: ignore[attr-defined]


def is_numeric(node: ast.AST) -> bool:
    """Tells whether an expression looks like a number (strings and lists don't)."""
    if isinstance(node, ast.BinOp):
        return type(node.op) in SIGNS and not any(is_text_or_list(side) for side in (node.left, node.right))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.UAdd)
    return is_constant(node) or (isinstance(node, ast.Call) and dotted(node.func) in MATHS)


def is_text_or_list(node: ast.AST) -> bool:
    return isinstance(node, NO_NUMBER) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


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
