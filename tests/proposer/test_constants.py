"""The constants of a program: which numbers they are, and the program with others in their places."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.proposer.constants import MOST, Constant, constants, replaced
from evolve.source import END, START

NUMBERS = st.one_of(
    st.floats(-1e6, 1e6).map(repr), st.integers(-99, 99).map(str), st.sampled_from([".5", "1e-9", "2_0.0"])
)
FORMS = st.sampled_from([
    "x = {}", "x = 2.0**{}", "x = {}**2.0", "x = a-{}", "x = f(a, b={})", "x = [a[{}], {}]", "x = a if({})else {}",
    "x: float = {}", "x = {}  # tune: [-3.5, 1e3]", "x = a*{}  # tune: [1, 9]", "return-{}", "x = not-{}", "x = 'é' , {}",
])  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> str:
    forms = draw(st.lists(FORMS, max_size=6))
    lines = [form.format(*(draw(NUMBERS) for _ in range(form.count("{}")))) for form in forms]
    return "def f(a, b=0.5):\n    '''about 1.0'''\n" + "".join(f"    {line}\n" for line in [*lines, "return a"])


def found(text: str, path: str = "initial.py") -> tuple[Constant, ...]:
    return constants({path: text}, [path])


def values(text: str, path: str = "initial.py") -> list[float]:
    return [one.value for one in found(text, path)]


def put(text: str, *new: float, path: str = "initial.py") -> str:
    return replaced({path: text}, found(text, path), new)[path]


@given(programs())
@settings(max_examples=60, deadline=None)
def test_its_own_values_leave_a_program_as_it_is(text):
    assert put(text, *values(text)) == text


@given(programs(), st.data())
@settings(max_examples=60, deadline=None)
def test_other_values_change_the_numbers_and_nothing_else(text, data):
    marked = found(text)
    shares = [data.draw(st.floats(0, 1)) for _ in marked]
    new = [one.at(share) for one, share in zip(marked, shares, strict=True)]
    changed = put(text, *new)
    assert without_numbers(changed, found(changed)) == without_numbers(text, marked)
    assert values(changed) == new
    assert shape(changed) == shape(text)


def without_numbers(text: str, marked: tuple[Constant, ...]) -> str:
    for one in reversed(marked):
        text = text[: one.start] + text[one.end :]
    return text.replace("(", "").replace(")", "")  # a negative number may bring its own


def shape(text: str) -> str:
    """Returns a program's tree without its numbers and their signs."""

    class Blank(ast.NodeTransformer):
        def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
            self.generic_visit(node)
            signed = isinstance(node.operand, ast.Constant) and isinstance(node.op, ast.USub | ast.UAdd)
            return node.operand if signed else node

        def visit_Constant(self, node: ast.Constant) -> ast.AST:
            return ast.Constant(0) if type(node.value) in (int, float) else node

    return ast.dump(Blank().visit(ast.parse(text)))


@given(st.floats(1e-6, 1e6), st.floats(1.01, 100), st.floats(0, 1))
def test_a_share_of_the_range_is_the_number_there(lo, factor, share):
    one = Constant(path="a", start=0, end=1, value=lo, lo=lo, hi=lo * factor)
    assert one.log and lo <= one.at(share) <= lo * factor
    middle = Constant(path="a", start=0, end=1, value=one.at(share), lo=lo, hi=lo * factor)
    assert middle.share == pytest.approx(share, abs=1e-3)


def test_without_marks_all_floats_that_may_change_count():
    text = (
        f"SCALE = 9.0\n# {START}\ndef f(x: 'float' = 0.5, n=3):\n    '''adds 1.0'''\n    y = x[2] * -4.0 + 1e-3j\n"
        f"    z: L[7.0] = f'{{8.0}}' + 0.0\n# {END}\ny = 1.0\n"
    )
    assert [(one.value, one.lo, one.hi) for one in found(text)] == [
        (0.5, 0.05, 5.0), (-4.0, -40.0, -0.4), (0.0, -0.1, 0.1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x = 3  # tune: [1, 10]", [(3, 1, 10, True)]),
        ("x = 3  # tune: [0.5, 10]", [(3, 0.5, 10, False)]),
        ("x = 2 * 0.5  # tune: [0.1, 1]", [(0.5, 0.1, 1, False)]),
        ("x = 0.5 * 7.0  # tune: [0.1, 1]", [(0.5, 0.1, 1, False)]),
        ("x = 7.0  # tune: [0.1, 1]", [(7.0, 0.1, 1, False)]),
        ("x = 7.0  # tune: [1, 0.1]", None),
        ("x = 7.0  # tune: [low, 1]", None),
        ("x = 7.0  # tune it", None),
    ],
)
def test_a_mark_says_the_range(line, expected):
    marked = [(one.value, one.lo, one.hi, one.integer) for one in found(f"y = 0.1\n{line}\n") if one.start > 8]
    assert marked == (expected or [(7.0, 0.7, 70.0, False)])


def test_where_one_line_is_marked_only_marks_count():
    assert values("x = 1.0\ny = 2.0  # tune: [1, 4]\n") == [2.0]


def test_marks_are_read_in_any_language():
    text = "double w = a[0] * 1.5f; // tune: [0.1, 5]\nint k = 3; // tune: [1, 8]\ndouble z = 4.0;\n"
    assert put(text, 0.25, 5, path="a.cpp") == text.replace("1.5f", "0.25f").replace("k = 3", "k = 5")
    assert put("a: 0.5 # tune: [-1, 1]\n", -0.25, path="a.yaml") == "a: -0.25 # tune: [-1, 1]\n"
    assert put("x = a-0.5; // tune: [-1, 1]\n", -0.25, path="a.js") == "x = a-(-0.25); // tune: [-1, 1]\n"
    assert values("x = 4.0;\n", "a.cpp") == []


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        ("x = 2.0**-1.0", (-3.0, 0.5), "x = (-3.0)**+0.5"),
        ("x = -1.0", (2.0,), "x = 2.0"),
        ("x = a - 0.0", (-0.1,), "x = a - (-0.1)"),
        ("x = f(0.0)", (-0.1,), "x = f(-0.1)"),
    ],
)
def test_signs_keep_their_precedence(text, new, expected):
    assert put(text, *new) == expected


@pytest.mark.parametrize("text", ["x = (1.0", "x = 1.0\r y", "", "x = '\0'"])
def test_what_is_no_python_has_no_constants(text):
    assert values(text) == []


def test_there_are_at_most_so_many():
    assert len(found(f"x = [{'1.0, ' * 50}]\n")) == MOST
