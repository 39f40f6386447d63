"""Capture: functions of a notebook or a script become the text of a file, with the names that they use."""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import math
import re
import symtable
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from textwrap import dedent
from types import CellType, ModuleType
from typing import Any

from evolve.errors import ProblemError
from evolve.problem import Instance

FUTURE = "from __future__ import annotations\n"
OURS = ("evolve", "evaluators", "problems")
INSTALLED = ("site-packages", "dist-packages", sysconfig.get_path("stdlib"))


class Capture:
    """The file that defines some functions by name as they are now, and the files beside it that it reads.

    What a function uses is written as what it is: an import of what is installed; the source of other functions and classes,
    with what these use in turn, closures included; plain data; an array, in hidden/. Raises ProblemError, naming it, for
    anything else.
    """

    def __init__(self, given: Mapping[str, Any], file: str):
        self.files: dict[str, bytes] = {}
        self._file = file
        self._bound: dict[str, tuple[Any, str]] = {}  # what each name stands for, and who uses it
        self._imports: set[str] = set()
        self._parts: list[str] = []  # each after what it needs
        for name, value in given.items():
            if not callable(value) or not hasattr(value, "__qualname__"):
                raise ProblemError(f"{name}: must be a function, not {type(value).__name__}")
            self._bind(name, value, name, {})
        head = FUTURE + "\n" + "\n".join(sorted(self._imports, key=lambda line: (line.startswith("from"), line)))
        self.files[file] = ("\n\n\n".join([head.strip(), *self._parts]) + "\n").encode()

    def _bind(self, name: str, value: Any, user: str, scope: Mapping[str, Any]) -> None:
        if name not in self._bound:
            self._bound[name] = value, user
            if getattr(builtins, name, None) is not value:
                self._write(name, value, user, scope)
        known, first = self._bound[name]
        if known is not value and not (_is_plain(value) and type(known) is type(value) and known == value):
            raise ProblemError(f"{user}: '{name}' is not what it is for {first}; give one of them another name")

    def _write(self, name: str, value: Any, user: str, scope: Mapping[str, Any]) -> None:
        home, own = getattr(value, "__module__", None), str(getattr(value, "__name__", ""))
        if isinstance(value, ModuleType) and not _is_local(own):
            self._imports.add(f"import {own}" + f" as {name}" * (name != own))
        elif home and own and callable(value) and (_is_local(home) or "<locals>" in value.__qualname__):
            self._define(name, inspect.unwrap(value), scope)
        elif _is_plain(value):
            if "Instance(" in repr(value):
                self._bind("Instance", Instance, user, {})
            exact = not isinstance(value, float) or math.isfinite(value)
            self._parts.append(f"{name} = {value!r}" if exact else f'{name} = float("{value}")')
        elif home in sys.modules and own and getattr(sys.modules[home], own, None) is value:
            self._imports.add(f"from {home} import {own}" + f" as {name}" * (name != own))
        elif type(value).__module__ == "numpy" and hasattr(value, "dtype") and not value.dtype.hasobject:
            self._keep(name, value)
        else:
            remedy = f"make it in a function that {user} calls"
            if isinstance(value, ModuleType):
                remedy = f"it is not installed, so write 'from {own} import ...'"
            what = f"a {type(value).__name__} that can't be written into {self._file}"
            raise ProblemError(f"{user}: uses '{name}', {what}; {remedy}")

    def _define(self, name: str, value: Any, scope: Mapping[str, Any]) -> None:
        if inspect.ismethod(value):
            raise ProblemError(f"{name}: is a method of an object; write a function that makes the object and calls it")
        if value.__name__ not in (name, "<lambda>"):
            self._bind(value.__name__, value, name, scope)
            self._parts.append(f"{name} = {value.__name__}")
            return
        text, scope = _source(value, name), _scope(value, scope)
        for word in re.findall(r"\b\w+(?:\.\w+)+", text):  # a package's modules: xml.etree.ElementTree
            for module in [*accumulate(word.split("."), "{}.{}".format)][1:]:
                if module in sys.modules and scope.get(package := word.split(".")[0]) is sys.modules.get(package):
                    self._imports.add(f"import {module}")
        for used in _names(text):
            if used in scope:
                self._bind(used, scope[used], name, scope)
            elif hasattr(builtins, used):
                self._bind(used, getattr(builtins, used), name, scope)
            else:
                raise ProblemError(f"{name}: uses '{used}', which is not defined")
        self._parts.append(text)

    def _keep(self, name: str, array: Any) -> None:
        import numpy

        body = io.BytesIO()
        numpy.save(body, array, allow_pickle=False)
        self.files[f"hidden/{name}.npy"] = body.getvalue()
        self._bind("numpy", numpy, name, {})
        self._bind("Path", Path, name, {})
        scalar = "" if array.shape else "[()]"
        self._parts.append(f'{name} = numpy.load(Path(__file__).parent / "hidden" / "{name}.npy"){scalar}')


def _is_local(module: str) -> bool:
    """Says whether a module is the notebook, the script, or a file that is not installed; candidates can't import it."""
    if module == "__main__" or module not in sys.modules:
        return True
    file = getattr(sys.modules[module], "__file__", None)
    return file is not None and module.split(".")[0] not in OURS and not any(home in file for home in INSTALLED)


def _scope(value: Any, user: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the names in a function or class stand for: its module's, and what its functions close over.

    A class without functions that was made where no module is has the names of its user.
    """
    inside = list(vars(value).values()) if isinstance(value, type) else [value]
    made = [inspect.unwrap(getattr(one, "fget", None) or getattr(one, "__func__", one)) for one in inside]
    functions = [one for one in made if inspect.isfunction(one) and one.__module__ == value.__module__]
    module = sys.modules.get(value.__module__, builtins)
    scope = {} if functions else dict(user if module is builtins else vars(module))
    for function in functions:
        scope |= function.__globals__
    for function in functions:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        scope |= {free: cell.cell_contents for free, cell in cells if cell != CellType()}  # not yet empty
    return scope


def _source(value: Any, name: str) -> str:
    """Returns the source of a function or class; that of a notebook's class is found by its methods, for it has no file."""
    for found in (value, *(vars(value).values() if isinstance(value, type) else ())):
        try:
            text = _flush(inspect.getsource(value) if found is value else _around(found, value))
            first = ast.parse(text).body[0]
        except (OSError, TypeError, SyntaxError, AttributeError):
            continue
        first = first.body[0] if isinstance(first, ast.If) else first
        if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return text.rstrip()
        raise ProblemError(f"{name}: is a lambda; write it as a def")
    raise ProblemError(f"{name}: its source is not to be had; define it in a cell of a notebook or in a file")


def _flush(text: str) -> str:
    """Returns a definition without its indentation; below an `if`, as it is, where a string in it would change by that."""
    flush, kept = dedent(text), f"if True:\n{text}"
    with suppress(SyntaxError):
        if not text[:1].isspace() or ast.dump(ast.parse(flush).body[0]) in ast.dump(ast.parse(kept)):
            return flush
    return kept


def _around(method: Any, owner: type) -> str:
    """Returns the source of the class that has a method."""
    lines, line = inspect.findsource(inspect.unwrap(method).__code__)
    for node in ast.walk(ast.parse("".join(lines))):
        if (
            isinstance(node, ast.ClassDef)
            and node.name == owner.__name__
            and node.lineno <= line < (node.end_lineno or 0)
        ):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "".join(lines[first - 1 : node.end_lineno])
    raise OSError


def _names(text: str) -> list[str]:
    """Returns the names from outside that a definition looks up, sorted; annotations look up none."""

    def tables(table: symtable.SymbolTable) -> list[symtable.SymbolTable]:
        return [table, *(inner for child in table.get_children() for inner in tables(child))]

    top = symtable.symtable(FUTURE + text, "captured", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    inside = [table for table in tables(top) if table.get_type() != "annotation"]
    found = [symbol for table in inside for symbol in table.get_symbols() if symbol.is_global()]
    return sorted({symbol.get_name() for symbol in found if symbol.is_referenced()} - own - {"__name__", "__file__"})


def _is_plain(value: Any) -> bool:
    """Says whether a value is the same when its text is read; instances of a problem may be in it."""
    if type(value) is float:  # not finite ones too
        return True
    try:
        known = {"__builtins__": {"set": set, "frozenset": frozenset}, "Instance": Instance}
        return bool(eval(repr(value), known) == value)
    except Exception:  # noqa: BLE001 whatever a stranger's repr says
        return False
