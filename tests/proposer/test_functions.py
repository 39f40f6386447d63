"""Functions by name: what of an answer replaces what of the parent, and where what is new goes."""

from __future__ import annotations

import ast
import random
from textwrap import indent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.proposer import EditError, apply
from evolve.proposer.functions import changeable, merge

PARENT = '''"""Packs."""

import math

LIMIT = 3  # of rounds


# places the centres
@cached
def place(n):
    return [math.sqrt(i) for i in range(n)]


class Box:
    def area(self):
        return 1


def pack(n):
    return fit(place(n))


def fit(centres):
    return centres[:LIMIT]
'''
OLD_FIT = "def fit(centres):\n    return centres[:LIMIT]\n"
NEW_FIT = "def fit(centres):\n    return sorted(centres)\n"


def fence(text: str, words: str = "python") -> str:
    return f"```{words}\n{text}```\n"


def edited(answer: str, parent: str = PARENT, operator: str = "functions", entry: str = "pack") -> str:
    return apply(answer, {"a.py": parent}, ["a.py"], entry=entry, operator=operator).files["a.py"]


def refused(answer: str, parent: str = PARENT, **changes: str) -> str:
    with pytest.raises(EditError) as caught:
        edited(answer, parent, **changes)
    return str(caught.value)


# ---------------------------------------------------------------- what is replaced


def test_a_function_replaces_its_namesake_and_all_else_stays():
    assert edited(fence(NEW_FIT)) == PARENT.replace(OLD_FIT, NEW_FIT)


@pytest.mark.parametrize("operator", ["diff", "rewrite", "fix", "refine"])
def test_an_answer_without_the_entry_is_merged_whatever_was_asked_for(operator):
    assert edited(fence(NEW_FIT), operator=operator) == PARENT.replace(OLD_FIT, NEW_FIT)


def test_an_answer_that_calls_what_it_leaves_out_is_merged():
    text = "def pack(n):\n    return fit(place(n))[::-1]\n"
    assert edited(fence(text), operator="rewrite") == PARENT.replace("fit(place(n))", "fit(place(n))[::-1]")


def test_an_answer_that_needs_nothing_else_is_the_whole_file():
    text = "def pack(n):\n    LIMIT = 2\n    return [LIMIT] * n\n"
    assert edited(fence(text), operator="rewrite") == text


def test_decorators_and_comments_above_go_with_their_function():
    text = "# new words\ndef place(n):\n    return []\n"
    start, stop = PARENT.index("# places"), PARENT.index("\n\nclass Box")
    assert edited(fence(text)) == PARENT[:start] + text + PARENT[stop:]


def test_a_function_without_comments_leaves_those_of_the_parent():
    assert "# places the centres\ndef place(n):\n    return []\n" in edited(fence("def place(n):\n    return []\n"))


def test_a_constant_replaces_its_namesake():
    found = edited(fence("LIMIT = 9\n" + NEW_FIT))
    assert found == PARENT.replace("LIMIT = 3  # of rounds", "LIMIT = 9").replace(OLD_FIT, NEW_FIT)


def test_of_two_functions_of_one_name_the_later_stands():
    answer = fence("def fit(c):\n    return 1\n\ndef other():\n    return 2\n") + "Better:\n" + fence(NEW_FIT)
    assert "def other" in edited(answer) and NEW_FIT in edited(answer + fence("def more():\n    return 1\n"))


def test_a_class_is_replaced_whole_and_a_method_alone_is_refused():
    assert "return 2" in edited(fence("class Box:\n    def area(self):\n        return 2\n"))
    assert refused(fence("def area(self):\n    return 2\n")) == "`area` is a method of class Box; give the whole class"


# ---------------------------------------------------------------- what is added


def test_a_new_function_goes_before_the_one_that_follows_it_in_the_answer():
    helper = "def helper(c):\n    return c\n"
    assert edited(fence(helper + NEW_FIT)) == PARENT.replace(OLD_FIT, f"{helper}\n\n{NEW_FIT}")


def test_what_follows_nothing_that_is_replaced_goes_to_the_end():
    assert edited(fence("def helper(c):\n    return c\n")) == PARENT + "\n\ndef helper(c):\n    return c\n"


def test_only_missing_imports_are_added_after_the_parents():
    found = edited(fence("from __future__ import annotations\nimport math\nfrom os import path, sep\n" + NEW_FIT))
    expected = PARENT.replace("import math\n", "import math\nfrom os import path, sep\n")
    assert found == expected.replace(OLD_FIT, NEW_FIT)


def test_what_an_answer_only_runs_is_left_out():
    text = NEW_FIT + "\nresult = pack(26)\nprint(result)\nif __name__ == '__main__':\n    x = pack(1)\n"
    assert edited(fence(text)) == PARENT.replace(OLD_FIT, NEW_FIT)


def test_a_new_value_of_a_name_that_the_parent_binds_otherwise_comes_after_it():
    parent = "A, B = 1, 2\ndef pack(n):\n    return A\n"
    assert edited(fence("A = 3\n"), parent) == "A, B = 1, 2\n\n\nA = 3\ndef pack(n):\n    return A\n"


# ---------------------------------------------------------------- how it may be written


@pytest.mark.parametrize(
    "answer",
    [
        "  1. so:\n   ```python\n   def fit(centres):\n       return sorted(centres)\n   ```\n",
        fence("    def fit(centres):\n        return sorted(centres)\n"),
        fence(NEW_FIT, "python title=fit.py the new one"),
        fence(NEW_FIT, ""),
        f"```python\n{NEW_FIT}",
        f"TITLE: sort\nHYPOTHESIS: better\n\n{NEW_FIT}",
        NEW_FIT,
        fence(NEW_FIT).replace("\n", "\r\n"),
        fence(NEW_FIT) + "Call it so:\n" + fence("pack(26)\n") + "and install:\n" + fence("pip install x\n", "bash"),
    ],
    ids=["indented fence", "indented text", "words", "no word", "not closed", "no fence", "bare", "windows", "others"],
)
def test_what_models_write_is_understood(answer):
    assert edited(answer) == PARENT.replace(OLD_FIT, NEW_FIT)


def test_blocks_in_an_indented_fence_apply():
    old, new = (indent(text, "  ") for text in (OLD_FIT, NEW_FIT))
    answer = f"- so:\n  ```diff\n  <<<<<<< SEARCH\n{old}  =======\n{new}  >>>>>>> REPLACE\n  ```\nDone.\n"
    assert edited(answer) == PARENT.replace(OLD_FIT, NEW_FIT)


def test_a_fence_in_a_docstring_closes_nothing():
    text = 'def fit(centres):\n    """Sorts.\n\n    ```\n    fit([])\n    ```\n    """\n    return sorted(centres)\n'
    assert edited(fence(text)) == PARENT.replace(OLD_FIT, text)
    assert edited(indent(fence(text), "  ")) == PARENT.replace(OLD_FIT, text)


def test_several_fences_each_with_a_function_are_one_answer():
    answer = f"First\n{fence('def pack(n):' + chr(10) + '    return 7' + chr(10))}then\n{fence(NEW_FIT)}"
    expected = PARENT.replace(OLD_FIT, NEW_FIT).replace("return fit(place(n))", "return 7")
    assert edited(answer) == expected


@pytest.mark.parametrize("text", ["def fit(centres):\n    return sor", "def fit(centres):\n    return (\n", "\n"])
def test_a_last_fence_that_stops_in_a_line_or_is_no_python_is_cut_off(text):
    assert refused(f"```python\n{text}") == "fenced file 1 is cut off before its closing ```"


def test_functions_that_are_no_python_are_refused_with_the_line():
    found = refused(fence("def fit(c):\n    return (\n"))
    assert found.startswith("a.py: the functions in the fence are not valid Python (") and "line 2)" in found
    assert "the parent is not valid Python" in refused(fence(NEW_FIT), "def (\n")


def test_an_edit_that_leaves_no_entry_is_refused():
    block = "<<<<<<< SEARCH\ndef pack(n):\n=======\ndef peck(n):\n>>>>>>> REPLACE\n"
    assert refused(block) == "the answer leaves no function `pack`, which is what is called"


# ---------------------------------------------------------------- markers

MARKED = """import math

# EVOLVE-BLOCK-START
def place(n):
    return n


def fit(n):
    return place(n)
# EVOLVE-BLOCK-END


def pack(n):
    return fit(n)
"""
PLACED = MARKED.replace("def place(n):\n    return n", "def place(n):\n    return 2")


def test_between_markers_functions_are_replaced_and_added():
    text = "import os\ndef extra(n):\n    return n\ndef place(n):\n    return extra(n)\n"
    old = "def place(n):\n    return n\n"
    new = "import os\n\ndef extra(n):\n    return n\n\n\ndef place(n):\n    return extra(n)\n"
    assert edited(fence(text), MARKED) == MARKED.replace(old, new)


def test_a_function_outside_the_markers_is_refused_by_name_unless_it_is_the_same():
    assert refused(fence("def pack(n):\n    return 1\n"), MARKED) == (
        "a.py: `pack` is not wholly between EVOLVE-BLOCK markers, so it may not change"
    )
    text = "def place(n):\n    return 2\n\ndef pack(n):\n    return fit(n)  # as before\n"
    assert edited(fence(text), MARKED) == PLACED


def test_a_fragment_between_markers_of_its_own_is_what_is_between_them():
    text = "# EVOLVE-BLOCK-START\ndef place(n):\n    return 2\n# EVOLVE-BLOCK-END\n"
    assert edited(fence(text), MARKED) == edited(fence(text), MARKED, operator="rewrite") == PLACED


def test_a_whole_file_that_says_the_rest_in_its_own_layout_changes_only_what_may_change():
    whole = PLACED.replace("# EVOLVE-BLOCK-START\n", "").replace("# EVOLVE-BLOCK-END\n", "").replace("\n\n\n", "\n\n")
    assert edited(fence(whole), MARKED, operator="rewrite") == PLACED


def test_a_rewrite_between_markers_may_drop_what_only_words_outside_name():
    parent = MARKED.replace("import math", '"""Uses place and fit."""').replace("def pack(n):\n    return fit(n)\n", "")
    answer = fence("def pack(n):\n    return n\n")
    assert "def place" not in edited(answer, parent, operator="rewrite")
    assert "def place" in edited(answer, parent + "place(1)\n", operator="rewrite")


def test_a_title_in_the_code_is_none():
    found = apply("class A:\n    title: str\n\ndef pack(n):\n    return 1\n", {"a.py": PARENT}, ["a.py"])
    assert found.title == ""


def test_a_fence_aside_does_not_spoil_a_named_file():
    answer = f"a.py\n{fence(NEW_FIT)}Then run:\n{fence('python a.py' + chr(10), 'bash')}"
    assert edited(answer) == PARENT.replace(OLD_FIT, NEW_FIT)


def test_only_functions_that_may_change_are_named():
    assert changeable(MARKED) == ["place", "fit"] and changeable(PARENT) == ["place", "Box", "pack", "fit"]
    assert changeable("def f(n):\n    # EVOLVE-BLOCK-START\n    return n\n    # EVOLVE-BLOCK-END\n") == []
    assert changeable("fn main() {}") == []


# ---------------------------------------------------------------- several files, and none

FILES = {"a.py": "import b\ndef pack(n):\n    return b.fit(n)\n", "b.py": "def fit(n):\n    return n\n"}


def test_a_function_is_of_the_only_file_that_has_it():
    text = "def fit(n):\n    return 2\n"
    found = apply(fence(text), FILES, ["a.py", "b.py"], entry="pack", operator="functions")
    assert found.files == {**FILES, "b.py": text}


def test_a_whole_file_beside_blocks_is_taken_and_an_illustration_is_not():
    block = "a.py\n<<<<<<< SEARCH\nimport b\n=======\nimport c\n>>>>>>> REPLACE\n"
    answer = f"b.py has this:\n{fence(OLD_FIT)}\n{fence(block, '')}\n**c.py**\n{fence(NEW_FIT)}"
    found = apply(answer, FILES, ["a.py", "b.py", "c.py"])
    assert found.files == {**FILES, "a.py": FILES["a.py"].replace("import b", "import c"), "c.py": NEW_FIT}


def test_an_empty_search_makes_a_new_file():
    answer = "c.py\n<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE\n"
    assert apply(answer, FILES, ["a.py", "c.py"]).files == {**FILES, "c.py": "x = 1\n"}


def test_from_nothing_the_answer_is_the_program():
    assert apply(fence(NEW_FIT), {}, ["a.py"], entry="fit", operator="initial").files == {"a.py": NEW_FIT}
    both = f"a.py\n{fence(FILES['a.py'])}b.py\n{fence(FILES['b.py'])}"
    assert apply(both, {}, ["a.py", "b.py"], entry="pack", operator="initial").files == FILES
    with pytest.raises(EditError, match="no function `pack`"):
        apply(fence(NEW_FIT), {}, ["a.py"], entry="pack", operator="initial")


def test_other_languages_are_whole_files():
    answer = fence("fn main() {}\n", "rust")
    assert apply(answer, {"a.rs": "fn f() {}\n"}, ["a.rs"], operator="functions").files == {"a.rs": "fn main() {}\n"}


# ---------------------------------------------------------------- algebra

UNITS = [
    "import os\n", "import os, sys\n", "from math import sqrt as root\n", '"""A text."""\n', "A = 1\n", "A, B = 1, 2\n",
    "B: int = 3\n", "C = f(1)\n", "# a comment\n", "\n", "\n\n", "@dec\ndef f(x):\n    return A\n    # left\n",
    "# above\ndef f(x):\n    return x\n", "def g(): return 1\n", "async def h():\n    '''\n# no comment\n'''\n",
    "class K:\n    def m(self):\n        return 1\n", "try:\n    import q\nexcept ImportError:\n    q = None\n",
    "if A:\n    f = None\n", "print(f(1))\n", "x = 1; y = 2\n", "# EVOLVE-BLOCK-START\n", "# EVOLVE-BLOCK-END\n",
    "def u():\n\f    return '\u2028'\n", "def f(x):\r\n    return 4\r\n", "A = [\n  1,\n]\n",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(UNITS), max_size=9).map("".join)


@given(TEXTS, TEXTS)
@settings(max_examples=200, deadline=None)
def test_a_merge_parses_is_idempotent_and_keeps_what_it_does_not_name(parent, fragment):
    try:
        found = merge("a.py", parent, fragment)
    except EditError as error:
        assert str(error).strip()
        return
    ast.parse(found)
    assert merge("a.py", found, fragment) == found
    kept = [line for line in parent.split("\n") if line.startswith(("print", "if A", '"""'))]
    assert [line for line in found.split("\n") if line in kept] == kept


@given(TEXTS, st.integers(0, 2**32), st.sampled_from(["functions", "rewrite", "diff"]))
@settings(max_examples=200, deadline=None)
def test_nothing_outside_of_the_markers_changes(fragment, seed, operator):
    rng = random.Random(seed)
    units = [unit for unit in UNITS if "EVOLVE" not in unit]
    head, inside, tail = ("".join(rng.sample(units, rng.randrange(4))) for _ in range(3))
    start, end = f"{head}# EVOLVE-BLOCK-START\n", f"# EVOLVE-BLOCK-END\n{tail}"
    try:
        found = edited(fence(fragment), start + inside + end, operator)
    except EditError:
        return
    assert found.startswith(start) and found.endswith(end)


PIECES = st.sampled_from([*UNITS, "```\n", "  ```python\n", "a.py\n", "~"])


@given(st.text(max_size=80), st.lists(PIECES, max_size=12).map("".join))
@settings(max_examples=200, deadline=None)
def test_apply_is_total(noise, pieces):
    for parent in ({}, {"a.py": PARENT}, {"a.py": MARKED, "b.py": ""}):
        for operator in ("functions", "rewrite", "initial"):
            try:
                apply(f"{noise}\n{pieces}", parent, ["a.py"], entry="pack", operator=operator)
            except EditError as error:
                assert str(error).strip()
