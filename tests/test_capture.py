"""Functions of a notebook, a script or a test, written as a file that defines the same."""

from __future__ import annotations

import importlib.util
import linecache
import math
import os.path
import sys
import xml.etree.ElementTree
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.capture import Capture
from evolve.errors import ProblemError
from evolve.problem import Instance

LIMIT, WORST, TABLE = 3, float("inf"), {"a": [1, None, (2.5, b"x")]}
GRID = np.arange(6.0).reshape(2, 3)
ROOT2 = np.sqrt(2)
CASES = [Instance(input=1, secret=2, name="one")]
OPEN = open(os.devnull)  # noqa: SIM115 a thing that no text holds


def doubled(function: Callable[..., float]) -> Callable[..., float]:
    @wraps(function)
    def inner(*args: float) -> float:
        return 2 * function(*args)

    return inner


class Point:
    scale = LIMIT

    def __init__(self, x: float):
        self.x = x

    def size(self) -> float:
        return math.hypot(self.x, self.scale)


@doubled
def with_decorator(x: float) -> float:
    return x + helper(2)


@lru_cache
def helper(n: int) -> int:
    return 1 if n < 1 else n * helper(n - 1)


def uses_all(x: float) -> list[Any]:
    total = sum(value for value in GRID[0] if value < LIMIT)  # a comment
    root = xml.etree.ElementTree.fromstring("<a/>").tag
    return [Point(x).size(), with_decorator(x), WORST, TABLE, total, root, os.path.sep, ROOT2, CASES[0].secret, np.pi]


def even(n: int) -> bool:
    return n == 0 or odd(n - 1)


def odd(n: int) -> bool:
    return n != 0 and even(n - 1)


def uses_file() -> object:
    return OPEN


def uses_nothing_known() -> object:
    return nowhere  # noqa: F821


def loaded(files: dict[str, bytes], folder: Path) -> dict[str, Any]:
    """Returns the names of a written file, run where nothing else is known."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    spec = importlib.util.spec_from_file_location("evaluator", folder / "evaluator.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "evaluator", module)
        spec.loader.exec_module(module)
    return vars(module)


def cell(text: str, names: dict[str, Any], name: str) -> None:
    """Runs a cell as IPython does: its text is in linecache, and in no file."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec"), names)


def test_what_is_written_does_the_same(tmp_path):
    written = loaded(Capture({"score": uses_all, "drive": even}, "evaluator.py").files, tmp_path)
    assert written["score"](4.0) == uses_all(4.0)
    assert [written["drive"](n) for n in range(4)] == [True, False, True, False]
    assert "# a comment" in (tmp_path / "evaluator.py").read_text()


def test_cells_of_a_notebook(tmp_path):
    names: dict[str, Any] = {"__name__": "__main__"}
    cell("import math as m\nfrom dataclasses import dataclass\nHALF = 0.5\n", names, "<ipython-input-1-a>")
    cell(
        "@dataclass\nclass Box:\n    w: float\n\n    def area(self):\n        return m.pi * self.w\n",
        names,
        "<ipython-input-2-b>",
    )
    cell("def score(instance, output):\n    return Box(output).area() * HALF\n", names, "<ipython-input-3-c>")
    files = Capture({"score": names["score"]}, "evaluator.py").files
    names["HALF"] = 2.0  # later: what was written stays
    assert loaded(files, tmp_path)["score"](None, 4.0) == 2 * math.pi


def test_a_closure_is_written_with_what_it_closes_over(tmp_path):
    def made(limit: int, inner: Callable[[int], int]) -> Callable[[int], int]:
        def score(x: int) -> int:
            return inner(x) + limit

        return score

    assert loaded(Capture({"score": made(5, helper)}, "evaluator.py").files, tmp_path)["score"](3) == 11


def test_a_class_looks_its_names_up_where_it_was_made(tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text(
        "import enum\nLIMIT = 7\nclass Kept:\n    limit = LIMIT\nclass Kind(enum.Enum):\n    A = 9\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    elsewhere = importlib.import_module("elsewhere")
    kept, kind = elsewhere.Kept, elsewhere.Kind

    def closing(LIMIT: int) -> Callable[[], object]:
        class Inner:
            def limit(self) -> int:
                return LIMIT

        def score() -> object:
            return Inner().limit()

        return score

    def drive() -> object:
        return [kept.limit, kind.A.value]

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert loaded(Capture({"score": closing(5)}, "evaluator.py").files, tmp_path / "a")["score"]() == 5
    assert loaded(Capture({"drive": drive}, "evaluator.py").files, tmp_path / "b")["drive"]() == [7, 9]


def test_a_text_of_several_lines_stays_as_it_is(tmp_path):
    def score() -> tuple[str, str]:
        return (
            """a
                b""",
            """c
d""",
        )

    assert loaded(Capture({"score": score}, "evaluator.py").files, tmp_path)["score"]() == score()


def test_a_builtin_is_not_taken_for_what_has_its_name():
    def sum(values: list[float]) -> float:
        return -1.0

    def score(values: list[float]) -> float:
        return sum(values)

    with pytest.raises(
        ProblemError, match="uses_all: 'sum' is not what it is for score; give one of them another name"
    ):
        Capture({"score": score, "drive": uses_all}, "evaluator.py")


def test_a_closure_that_is_not_yet_full_is_named():
    def score() -> object:
        return later

    with pytest.raises(ProblemError, match="uses 'later', which is not defined"):
        Capture({"score": score}, "evaluator.py")
    later = 1


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (Point(1.0).size, "score: is a method of an object; write a function that makes the object"),
        (uses_file, "uses_file: uses 'OPEN', a TextIOWrapper that can't be written into evaluator.py"),
        (uses_nothing_known, "uses 'nowhere', which is not defined"),
        (lambda x: x, "score: is a lambda; write it as a def"),
        ("text", "score: must be a function, not str"),
        (eval("lambda x: x"), "score: its source is not to be had"),
    ],
)
def test_what_cannot_be_written_is_named(function, said):
    with pytest.raises(ProblemError, match=said) as raised:
        Capture({"score": function}, "evaluator.py")
    assert "\n" not in str(raised.value)


def test_a_closure_over_what_no_text_holds_is_named():
    lock = OPEN

    def score(x: float) -> object:
        return lock

    with pytest.raises(ProblemError, match=r"score: uses 'lock', a TextIOWrapper that can't be written"):
        Capture({"score": score}, "evaluator.py")


def test_one_name_for_two_things_is_refused():
    def made(limit: int) -> Callable[[float], float]:
        def inner(x: float) -> float:
            return x + limit

        return inner

    with pytest.raises(ProblemError, match="drive: 'inner' is not what it is for score; give one of them another name"):
        Capture({"score": made(1), "drive": made(2)}, "evaluator.py")
