"""A program's text: the lines of it that may change, and what it means apart from its layout."""

from __future__ import annotations

from collections.abc import Iterable
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
