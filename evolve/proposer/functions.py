"""Functions by name: an answer that holds some of a Python file's functions, put into the rest of the file."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from evolve.proposer.answer import EditError
from evolve.source import FAULTS, Define, Module, Unit, frozen, parsed, regions


def changeable(text: str) -> list[str]:
    """Returns the functions and classes that may change, in their order; none of what is no Python."""
    module = Module.read(text)
    units = [unit for unit in module.units if isinstance(unit.node, Define)] if module else []
    return [
        unit.node.name for unit in units if isinstance(unit.node, Define) and _region(unit, regions(text)) is not None
    ]


def is_fragment(parent: str, text: str, entry: str) -> bool:
    """Says whether a text, taken for all that may change, lacks something that the rest, a caller or itself needs, or
    repeats what lies outside of the markers."""
    old, new = Module.read(parent), Module.read(text, indented=True)
    if old is None or new is None or not new.definitions:
        return False
    inside = [unit for unit in old.units if _region(unit, regions(parent)) is not None]
    mine = frozenset[str]().union(*(unit.names for unit in inside))
    rest = Module.read("\n".join(frozen(parent)))
    kept = rest.needs() if rest else re.findall(r"\w+", "\n".join(frozen(parent)))
    return bool((mine - new.names) & {entry, *new.needs(), *kept} or new.definitions & (old.definitions - mine))


def merge(path: str, parent: str, fragment: str) -> str:
    """Returns the parent with a fragment's definitions, simple constants and imports in it.

    What the parent has under the same name is replaced, comments right above included where the fragment has some; what is
    new goes before the next one that is replaced, or after the last; a new import goes after the parent's. All other lines
    stay as they are. Left out: what a fragment only runs (a call, `if __name__ == ...`), a docstring, `__future__`.
    Raises EditError for a method without its class, and for what lies outside of the markers.
    """
    old, new = Module.read(parent), Module.read(fragment, indented=True)
    if old is None:
        raise EditError(
            f"{path}: the parent is not valid Python, so functions can't replace its own; give the whole file"
        )
    if new is None:
        raise EditError(
            f"{path}: the functions in the fence are not valid Python{_fault(fragment)}; give whole functions"
        )
    _check_methods(old, new)
    return _Merge(path, parent, old).of(new)


def _fault(text: str) -> str:
    try:
        parsed(text)
    except FAULTS as error:
        return f" ({error})".replace("<unknown>, ", "")
    return ""


def _check_methods(old: Module, new: Module) -> None:
    """Raises EditError for a function that is new but the name of a parent's method, with `self` or `cls`."""
    owners = {
        node.name: unit.node.name
        for unit in old.units
        if isinstance(unit.node, ast.ClassDef)
        for node in unit.node.body
        if isinstance(node, Define)
    }
    for unit in new.units:
        match unit.node:
            case ast.FunctionDef(name=name, args=ast.arguments(args=[ast.arg(arg="self" | "cls"), *_])):
                if name in owners and name not in old.names:
                    raise EditError(f"`{name}` is a method of class {owners[name]}; give the whole class")


def _region(unit: Unit, ranges: Sequence[tuple[int, int]]) -> int | None:
    """Returns which of the line ranges a unit lies in."""
    return next((i for i, (start, stop) in enumerate(ranges) if start <= unit.start and unit.stop <= stop), None)


class _Merge:
    """One merge: replacements and insertions of whole lines of the parent, collected and then made from the end."""

    def __init__(self, path: str, parent: str, module: Module):
        self.path, self.parent, self.module, self.ranges = path, parent, module, regions(parent)
        self.edits: list[tuple[int, int, str]] = []

    def of(self, new: Module) -> str:
        """Returns the merged text."""
        last = {unit.names: unit for unit in new.units if unit.names}  # of two of one name the later stands
        waiting, place = list[str](), self._open()[-1][1]
        for unit in new.units:
            text, mine = "".join(new.lines[unit.head : unit.stop]), self._namesake(unit)
            if isinstance(unit.node, ast.Import | ast.ImportFrom | ast.Try):
                self._import(unit, text)
            elif not unit.names or last[unit.names] is not unit:
                continue
            elif mine is not None:
                self._replace(mine, unit, text)
                if _region(mine, self.ranges) is not None:
                    self._insert(mine.head, "".join(f"{one}\n\n" for one in waiting))
                    waiting, place = [], mine.stop
            elif self._adds(unit, new):
                rival = next((one for one in reversed(self.module.units) if one.names & unit.names), None)
                if rival is None:
                    waiting.append(text)
                else:  # binds the name in another way, so the new text comes after it
                    self._insert(rival.stop, f"\n\n{text}")
        self._insert(place, "".join(f"\n\n{one}" for one in waiting))
        return self._made()

    def _namesake(self, unit: Unit) -> Unit | None:
        """Returns the parent's last definition or assignment of just the same names."""
        kinds = (*Define.__args__, ast.Assign, ast.AnnAssign)
        same = [
            one for one in self.module.units if one.names == unit.names and one.alone and isinstance(one.node, kinds)
        ]
        return same[-1] if same and isinstance(unit.node, kinds) else None

    def _adds(self, unit: Unit, new: Module) -> bool:
        """Says whether a unit without a namesake is taken: a definition, or an assignment that calls none."""
        if not unit.alone:
            raise EditError(f"{self.path}: give each statement a line of its own (near `{min(unit.names)}`)")
        if isinstance(unit.node, Define):
            return True
        calls = {
            node.func.id
            for node in ast.walk(unit.node)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        return isinstance(unit.node, ast.Assign | ast.AnnAssign) and not calls & (
            new.definitions | self.module.definitions
        )

    def _replace(self, mine: Unit, unit: Unit, text: str) -> None:
        if ast.dump(mine.node) == ast.dump(unit.node):
            return
        if _region(mine, self.ranges) is None:
            raise EditError(
                f"{self.path}: `{min(mine.names)}` is not wholly between EVOLVE-BLOCK markers, so it may not change"
            )
        self.edits.append((mine.head if unit.head < unit.start else mine.start, mine.stop, text))

    def _import(self, unit: Unit, text: str) -> None:
        """Adds an import, or a `try` around imports, that binds what the parent's do not."""
        if isinstance(unit.node, ast.Try):
            known = not isinstance(unit.node.body[0], ast.Import | ast.ImportFrom) or unit.names <= self.module.names
        else:
            known = _imported(unit) <= frozenset[object]().union(*map(_imported, self.module.units))
        if not known:
            place, blank = self._imports_end()
            self._insert(place, f"{text}\n" if blank else text)

    def _imports_end(self) -> tuple[int, bool]:
        """Returns where the imports end that a region begins with, and whether it has none."""
        start, stop = self._open()[0]
        inside = [unit for unit in self.module.units if start <= unit.start and unit.stop <= stop]
        place, blank = inside[0].head if inside else start, True
        for unit in inside:
            if not isinstance(unit.node, ast.Import | ast.ImportFrom) and not _is_docstring(unit):
                break
            place, blank = unit.stop, False
        return place, blank

    def _open(self) -> list[tuple[int, int]]:
        """Returns the ranges at the top level: not those inside of a function. Raises EditError where there are none."""
        units = self.module.units
        found = [r for r in self.ranges if not any(unit.start < at < unit.stop for unit in units for at in r)]
        if not found:
            raise EditError(
                f"{self.path}: only lines inside of a function may change, so none can be replaced or added by name"
            )
        return found

    def _insert(self, place: int, text: str) -> None:
        if text and not any(start <= place <= stop for start, stop in self._open()):
            raise EditError(
                f"{self.path}: `{text.split(maxsplit=1)[0]} ...` would stand outside of the EVOLVE-BLOCK markers"
            )
        if text:
            self.edits.append((place, place, text))

    def _made(self) -> str:
        if not self.edits:
            return self.parent
        made, at = list[str](), 0
        for start, stop, text in sorted(self.edits, key=lambda edit: edit[:2]):
            made += [*self.module.lines[at:start], text]
            at = stop
        return "".join([*made, *self.module.lines[at:]])


def _imported(unit: Unit) -> frozenset[object]:
    """Returns what an import brings in, name by name; nothing for `__future__` and for other statements."""
    match unit.node:
        case ast.Import(names=names):
            return frozenset((alias.name, alias.asname) for alias in names)
        case ast.ImportFrom(module=module, names=names, level=level) if module != "__future__":
            return frozenset((level, module, alias.name, alias.asname) for alias in names)
    return frozenset()


def _is_docstring(unit: Unit) -> bool:
    return isinstance(unit.node, ast.Expr) and isinstance(unit.node.value, ast.Constant)
