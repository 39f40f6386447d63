"""A program's text: the lines of it that may change, and what it means apart from its layout."""

from __future__ import annotations

import ast
import symtable
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from textwrap import dedent
from threading import Lock
from types import CodeType

START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"


def regions(text: str) -> list[tuple[int, int]]:
    """Returns the line ranges that may change: those strictly between EVOLVE-BLOCK markers, all where there are none."""
    lines = text.removesuffix("\n").split("\n")
    if START not in text:
        return [(0, len(lines))]
    found, start = [], None
    for i, line in enumerate(lines):
        if END in line and start is not None:
            found.append((start, i))
            start = None
        if START in line and start is None:
            start = i + 1
    return found if start is None else [*found, (start, len(lines))]


def frozen(text: str) -> list[str]:
    """Returns the lines outside of the regions that may change, without white space at their ends."""
    lines, end, kept = text.removesuffix("\n").split("\n"), 0, list[str]()
    for start, stop in regions(text):
        kept += lines[end:start]
        end = stop
    return [line.rstrip() for line in (*kept, *lines[end:])]


FAULTS = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
"""What the parser raises for text that is no Python, or too deep."""

PARSING = Lock()  # in CPython 3.11 trees can't be built in two threads at once (gh-106905)


def parsed(text: str) -> ast.Module:
    """Returns a Python text's tree, from whichever thread; nothing is warned of. Raises one of FAULTS."""
    with PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


Define = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True)
class Unit:
    """A statement of a module's top level with its decorators; several on shared lines are one unit (`alone` is false).

    Lines `start` to `stop` (counted from 0) are its own, those from `head` on the comments right above it.
    """

    node: ast.stmt
    head: int
    start: int
    stop: int
    names: frozenset[str]
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Module:
    """A Python text and its units in order."""

    lines: tuple[str, ...]
    units: tuple[Unit, ...]

    @classmethod
    @lru_cache(maxsize=128)
    def read(cls, text: str, indented: bool = False) -> Module | None:
        """Returns the module of a text, which may be `indented` as a whole; None where it is no Python."""
        for one in dict.fromkeys((text, dedent(text) if indented else text)):
            try:
                body = parsed(one).body
            except FAULTS:
                continue
            if "\r" in one.replace("\r\n", "\n") or "\0" in one:
                return None  # the parser counts other lines than we do
            lines = [f"{line}\n" for line in one.removesuffix("\n").split("\n")]
            return cls(tuple(lines), tuple(_units(body, lines)))
        return None

    @property
    def definitions(self) -> frozenset[str]:
        """The names of its functions and classes."""
        return frozenset(unit.node.name for unit in self.units if isinstance(unit.node, Define))

    @property
    def names(self) -> frozenset[str]:
        """All names that its top level binds."""
        return frozenset().union(*(unit.names for unit in self.units))

    def needs(self) -> frozenset[str]:
        """Returns the names that it reads and does not bind itself."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                table = symtable.symtable("".join(self.lines), "", "exec")
        except FAULTS:
            return frozenset()
        return frozenset(_free(table)) - self.names


def _free(table: symtable.SymbolTable) -> Iterable[str]:
    yield from (one.get_name() for one in table.get_symbols() if one.is_referenced() and one.is_global())
    for inner in table.get_children():
        yield from _free(inner)


def _units(body: list[ast.stmt], lines: list[str]) -> list[Unit]:
    found: list[Unit] = []
    for node in body:
        decorators = node.decorator_list if isinstance(node, Define) else []
        start = min([node.lineno, *(one.lineno for one in decorators)]) - 1
        end, names = node.end_lineno or node.lineno, frozenset(_bound(node))
        if found and start < found[-1].stop:
            last = found.pop()
            found.append(Unit(last.node, last.head, last.start, end, last.names | names, alone=False))
            continue
        head, above = start, found[-1].stop if found else 0
        while (
            head > above
            and lines[head - 1].startswith("#")
            and not any(sign in lines[head - 1] for sign in (START, END))
        ):
            head -= 1
        found.append(Unit(node, head, start, end, names))
    return found


def _bound(node: ast.AST) -> Iterable[str]:
    """Yields the names that a statement binds where it stands: not those inside of functions and classes."""
    if isinstance(node, Define):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif not isinstance(node, ast.Lambda):
        for inner in ast.iter_child_nodes(node):
            yield from _bound(inner)


def meaning(code: CodeType) -> str:
    """Returns what a code object does, without where in the text it does it (a tenth of the cost of dumping a tree)."""
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return f"{shape}{names}{code.co_code.hex()}{code.co_exceptiontable.hex()}{_constants(code.co_consts)}"


def _constants(values: Iterable[object]) -> str:
    return "".join(f"({_constant(value)})" for value in values)


def _constant(value: object) -> str:
    if isinstance(value, CodeType):
        return meaning(value)
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_constant, value))) + "}"  # its order is not the same in every process
    if isinstance(value, tuple):
        return f"[{_constants(value)}]"
    return hex(value) if type(value) is int else f"{type(value).__name__} {value!r}"  # a long int has no repr
