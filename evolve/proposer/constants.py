"""Constants: the numbers of a program that tuning may change, and the program with other numbers in their places.

A line with `# tune: [lo, hi]` (or `// tune: ...`) at its end says which; where none does, all float literals of Python count.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from evolve.source import FAULTS, parsed, regions
from evolve.types import Files

MOST = 32  # constants of a candidate; the first ones
DIGITS = 6  # of a number that is put in
FACTOR = 10.0  # up to which a constant without a mark may grow or shrink
AROUND_ZERO = 0.1
LARGEST = 2**53
MARK = re.compile(r"(?:#|//)\s*tune:\s*\[\s*([^\s,\]]+)\s*,\s*([^\s,\]]+)\s*\]\s*$")
NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\d.xX])")
ARITHMETIC = "+-*/%^"  # beside one of these a negative number needs its parentheses
PLAIN = (
    ast.Assign,
    ast.AnnAssign,
    ast.Return,
    ast.keyword,
    ast.Call,
    ast.List,
    ast.Tuple,
    ast.arguments,
)  # hold it as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant:
    """A number at [start, end) of a file's text, which may become any between `lo` and `hi`, rounded where `integer`.

    `plain`: a negative number may stand there without parentheses, and one without a sign where there was one.
    """

    path: str
    start: int
    end: int
    value: float
    lo: float
    hi: float
    integer: bool = False
    plain: bool = False

    @property
    def log(self) -> bool:
        """Whether its range is passed through by factors: both ends have the same sign."""
        return self.lo > 0 or self.hi < 0

    def at(self, share: float) -> float:
        """Returns the number at a share of the range: 0 is `lo`, 1 is `hi`."""
        if self.log:
            found = math.copysign(abs(self.lo) ** (1 - share) * abs(self.hi) ** share, self.hi)
        else:
            found = self.lo + share * (self.hi - self.lo)
        found = round(found) if self.integer else float(f"{found:.{DIGITS}g}")
        return min(max(found, self.lo), self.hi)

    @property
    def share(self) -> float:
        """Where in the range its own value is; at the nearer end where it is outside."""
        value = min(max(self.value, self.lo), self.hi)
        if self.log:
            return math.log(value / self.lo) / math.log(self.hi / self.lo)
        return (value - self.lo) / (self.hi - self.lo)


def constants(files: Files, editable: Sequence[str]) -> tuple[Constant, ...]:
    """Returns the constants of the lines that may change, file by file: those that are marked, else the unmarked ones."""
    texts = {path: files[path] for path in editable if path in files}
    marked = [one for path, text in texts.items() for one in _marked(path, text)]
    found = marked or [one for path, text in texts.items() for one in _unmarked(path, text)]
    return tuple(found[:MOST])


def replaced(files: Files, found: Sequence[Constant], values: Sequence[float]) -> Files:
    """Returns the files with those values in the constants' places; one that keeps its value keeps its text."""
    changed: dict[str, str] = dict(files)
    for one, value in sorted(zip(found, values, strict=True), key=lambda pair: -pair[0].start):
        if value != one.value:
            text = changed[one.path]
            changed[one.path] = text[: one.start] + _written(one, value, text) + text[one.end :]
    return changed


def _written(one: Constant, value: float, text: str) -> str:
    number = repr(int(value) if one.integer else float(value))
    signed = text[one.start] in "+-"
    if number.startswith("-"):
        return number if signed or one.plain else f"({number})"
    return f"+{number}" if signed and not one.plain else number


def _marked(path: str, text: str) -> Iterator[Constant]:
    marks = dict(_marks(text))
    if not marks:
        return
    literals = _literals(path, text) if path.endswith(".py") else _numbers(path, text, marks)
    by_line: dict[int, list[Constant]] = {}
    for one in literals:
        by_line.setdefault(text.count("\n", 0, one.start), []).append(one)
    for line, (lo, hi, whole) in marks.items():
        of_line = by_line.get(line, [])
        kind = [one for one in of_line if not one.integer] or of_line
        for one in [one for one in kind if lo <= one.value <= hi] or kind[:1]:
            yield replace(one, lo=lo, hi=hi, integer=one.integer and whole)


def _marks(text: str) -> Iterator[tuple[int, tuple[float, float, bool]]]:
    """Yields the lines with a mark, and what that says: the range, and whether both its ends are whole numbers."""
    lines = text.split("\n")
    for line in (line for start, end in regions(text) for line in range(start, min(end, len(lines)))):
        ends = match.groups() if (match := MARK.search(lines[line].rstrip("\r"))) else ()
        try:
            lo, hi = (float(end) for end in ends)
        except ValueError:
            continue
        if -math.inf < lo < hi < math.inf:
            yield line, (lo, hi, all(re.fullmatch(r"[+-]?\d+", end) for end in ends))


def _unmarked(path: str, text: str) -> Iterator[Constant]:
    if not path.endswith(".py"):
        return
    lines = {line for start, end in regions(text) for line in range(start, end)}
    for one in _literals(path, text):
        if not one.integer and text.count("\n", 0, one.start) in lines:
            lo, hi = sorted((one.value / FACTOR, one.value * FACTOR))
            ends = (lo, hi) if one.value else (-AROUND_ZERO, AROUND_ZERO)
            if 0 < ends[1] - ends[0] < math.inf and (not one.value or lo * hi > 0):
                yield replace(one, lo=ends[0], hi=ends[1])


# ---------------------------------------------------------------- numbers of a text


def _numbers(path: str, text: str, lines: Iterable[int]) -> Iterator[Constant]:
    """Yields the numbers on some lines of any language, before the mark."""
    starts = _line_starts(text)
    for line in lines:
        code = MARK.sub("", text[starts[line] :].partition("\n")[0].rstrip("\r"))
        for match in NUMBER.finditer(code):
            around = code[: match.start()].rstrip()[-1:] + code[match.end() :].lstrip()[:1]
            number = match.group()
            value = int(number) if re.fullmatch(r"-?\d+", number) else float(number)
            yield _constant(path, starts[line] + match.start(), number, value, not set(around) & set(ARITHMETIC))


def _literals(path: str, text: str) -> Iterator[Constant]:
    """Yields the numbers of a Python text in order: none of annotations, indices, patterns and f-strings."""
    try:
        tree = parsed(text)
    except FAULTS:
        return
    if "\r" in text.replace("\r\n", "\n") or "\f" in text:
        return  # the parser counts other lines than we do
    starts, lines = _line_starts(text), text.split("\n")
    for node, holder in sorted(_number_nodes(tree), key=lambda found: (found[0].lineno, found[0].col_offset)):
        line = lines[node.lineno - 1].encode()
        start, end = (len(line[:column].decode()) for column in (node.col_offset, node.end_col_offset or 0))
        number = lines[node.lineno - 1][start:end]
        plain = isinstance(holder, PLAIN) and not lines[node.lineno - 1][:start][-1:].isalnum()
        yield _constant(path, starts[node.lineno - 1] + start, number, ast.literal_eval(number), plain)


def _constant(path: str, start: int, number: str, value: float, plain: bool) -> Constant:
    integer, end = isinstance(value, int), start + len(number)
    return Constant(path=path, start=start, end=end, value=value, lo=value, hi=value, integer=integer, plain=plain)


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


ASIDE: Mapping[type[ast.AST], str] = {
    ast.AnnAssign: "annotation", ast.arg: "annotation", ast.FunctionDef: "returns", ast.AsyncFunctionDef: "returns",
    ast.Subscript: "slice",
}  # fmt: skip


def _number_nodes(tree: ast.AST) -> Iterator[tuple[ast.expr, ast.AST]]:
    """Yields a tree's numbers, each with its sign where it has one, and with what holds it."""
    waiting = [(tree, tree)]
    while waiting:
        node, holder = waiting.pop()
        if isinstance(node, ast.expr) and (_is_number(node) or _is_signed(node)):
            yield node, holder
        elif not isinstance(node, ast.JoinedStr | ast.pattern):
            fields = (field for name, field in ast.iter_fields(node) if name != ASIDE.get(type(node)))
            inner = (one for field in fields for one in (field if isinstance(field, list) else [field]))
            waiting += [(one, node) for one in inner if isinstance(one, ast.AST)]


def _is_signed(node: ast.AST) -> bool:
    signed = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd) and _is_number(node.operand)
    return signed and node.lineno == node.end_lineno  # type: ignore[attr-defined]


def _is_number(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
