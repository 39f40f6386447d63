"""Edits: what of an answer becomes new files, and what is refused with a reason."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from evolve.proposer import Edited, EditError, apply

PARENT = """import math

# EVOLVE-BLOCK-START
def f(x):
    y = x + 1
    return y
# EVOLVE-BLOCK-END

print(f(1))
"""
ONE = ("a.py",)


def block(search: str, replacement: str) -> str:
    return f"<<<<<<< SEARCH\n{search}=======\n{replacement}>>>>>>> REPLACE\n"


def fence(text: str, path: str = "") -> str:
    return f"{path}\n```python\n{text}```\n"


def edited(completion: str, parent: str = PARENT) -> str:
    return apply(completion, {"a.py": parent}, ONE).files["a.py"]


def refused(completion: str, parent: str | dict[str, str] = PARENT, editable: tuple[str, ...] = ONE) -> str:
    files = parent if isinstance(parent, dict) else {"a.py": parent}
    with pytest.raises(EditError) as caught:
        apply(completion, files, editable)
    return str(caught.value)


# ---------------------------------------------------------------- algebra

LINE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
LINES = st.lists(LINE, min_size=1, max_size=12)
PIECES = st.sampled_from([
    "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "```python\n", "```\n", "a.py\n", "b.py\n", "TITLE: t\n",
    "HYPOTHESIS: h\n", "    y = x + 1\n", "    return y\n", "# EVOLVE-BLOCK-START\n", "# EVOLVE-BLOCK-END\n", "\r\n",
    "x", "\n", "print(f(1))\n", "<<<<<SEARCH", "=====", "\0", "\u2028",
])  # fmt: skip
PARENTS = st.sampled_from([PARENT, "x\n", "x", "", "\n\n", "    y = x + 1\n" * 2, "# EVOLVE-BLOCK-START\nx\n"])


def texts(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


@given(
    st.lists(PIECES, max_size=14).map("".join), st.dictionaries(st.sampled_from(["a.py", "b.py"]), PARENTS, min_size=1)
)
@settings(max_examples=100, deadline=None)
@example(completion=block("x\n", "y\n"), parent={"b.py": "x\n"})
def test_apply_gives_changed_files_or_says_why_not(completion, parent):
    for editable in (("a.py",), ("a.py", "b.py")):
        try:
            found = apply(completion, parent, editable)
        except EditError as error:
            assert str(error)
        else:
            assert isinstance(found, Edited) and found.files != parent
            changed = {path for path in found.files if found.files[path] != parent.get(path)}
            assert changed <= set(editable)


@given(LINES, st.data())
@settings(max_examples=100, deadline=None)
def test_replacing_a_line_between_markers_changes_that_line_alone(inside, data):
    place = data.draw(st.integers(0, len(inside) - 1))
    new = data.draw(LINE)
    head, tail = ["import math", "# EVOLVE-BLOCK-START"], ["# EVOLVE-BLOCK-END", "end"]
    old = inside[place]
    assume(old.strip() and inside.count(old) == 1 and old not in head + tail and new != old)
    assume(not (old + new).strip().startswith(("=====", "<<<<<", ">>>>>")) and not new.startswith(("=====", ">>>>>")))
    found = edited(block(f"{old}\n", f"{new}\n"), texts([*head, *inside, *tail]))
    assert found == texts([*head, *inside[:place], new, *inside[place + 1 :], *tail])


@given(LINES)
@settings(max_examples=60, deadline=None)
def test_an_answer_that_repeats_the_parent_is_refused(lines):
    text = texts(lines)
    assume("```" not in text and text.strip() and not any(line.startswith(("=====", ">>>>>")) for line in lines))
    assert refused(fence(text), text) == "the answer changes nothing"
    assert refused(block(text, text), text) == "the answer changes nothing"


@pytest.mark.parametrize("completion", [block("x = 1\n", "x = 1\n"), fence("x = 1\n")])
def test_repeating_a_parent_without_a_last_line_end_is_refused(completion):
    assert refused(completion, "x = 1") == "the answer changes nothing"


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_lines_outside_the_markers_never_change(seed):
    rng = random.Random(seed)
    lines = PARENT.splitlines()
    changed = [line for line in lines if rng.random() > 0.2]
    rng.shuffle(changed) if rng.random() < 0.3 else changed.insert(rng.randrange(len(changed) + 1), "z = 9")
    try:
        found = edited(fence(texts(changed)))
    except EditError:
        return
    assert found.splitlines()[:3] == lines[:3] and found.splitlines()[-3:] == lines[-3:]


@pytest.mark.parametrize(
    "flood",
    [
        "\n" * 100_000,
        "=====\n" * 20_000,
        "<<<<<<< SEARCH\n" * 5_000,
        "<<<<<<< SEARCH\n=======\n" * 3_000,
        "```\n" * 9_001,
    ],
    ids=["blank", "equals", "search", "halves", "fences"],
)
def test_a_model_that_repeats_itself_costs_no_time(flood):
    script = (
        "import sys\nfrom evolve.proposer import EditError, apply\n"
        "try: apply(sys.stdin.read(), {'a.py': 'x'}, ('a.py',))\nexcept EditError: pass"
    )
    subprocess.run([sys.executable, "-c", script], input=flood, text=True, timeout=10, check=True)


# ---------------------------------------------------------------- blocks


def test_several_blocks_apply_in_their_order():
    answer = block("    y = x + 1\n", "    y = x + 2\n") + block("    y = x + 2\n    return y\n", "    return x + 2\n")
    assert edited(answer) == PARENT.replace("    y = x + 1\n    return y\n", "    return x + 2\n")


def test_an_empty_replacement_removes_lines():
    assert edited(block("    y = x + 1\n", "")) == PARENT.replace("    y = x + 1\n", "")


def test_a_block_in_prose_and_in_a_fence_applies():
    answer = f"I change it.\n```\n{block('    y = x + 1', '    y = x').replace('=======', chr(10) + '=======')}```\n"
    assert "    y = x" in edited(answer.replace("    y = x>>>", "    y = x\n>>>"))


def test_white_space_at_line_ends_and_blank_lines_around_do_not_matter():
    assert edited(block("\n    y = x + 1   \n    return y\n\n", "\n    return 7\n")) == PARENT.replace(
        "    y = x + 1\n    return y\n", "    return 7\n"
    )


def test_indentation_does():
    assert "block 1 (a.py): SEARCH is not found in the parent; its first line is 'y = x + 1'" in refused(
        block("y = x + 1\n", "y = x\n")
    )


def test_a_search_must_be_whole_lines():
    assert "not found" in refused(block("y = x\n", "y = 2\n"), "my = x\n")


@pytest.mark.parametrize("search", ["x = 1\n", "x = 1  \n"])
def test_a_search_found_twice_is_refused(search):
    assert "SEARCH is found 2 times" in refused(block(search, "x = 2\n"), "x = 1\ny = 0\nx = 1\n")


def test_an_empty_search_is_refused():
    assert "SEARCH is empty; copy the lines to replace" in refused(block("\n", "x\n"))


def test_one_bad_block_spoils_the_answer():
    assert "block 2 (a.py)" in refused(block("    return y\n", "    return x\n") + block("no such line\n", "x\n"))


def test_a_block_that_never_ends_does_not_swallow_the_next():
    answer = "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n\n" + block("y = 1\n", "y = 2\n")
    assert "block 1" in refused(answer, "x = 1\ny = 1\n")


def test_a_last_block_that_was_cut_off_is_refused():
    answer = block("x = 1\n", "x = 2\n") + "<<<<<<< SEARCH\ny = 1\n=====\n"
    assert "block 2" in refused(answer, "x = 1\ny = 1\n")


@pytest.mark.parametrize("answer", [block("x = 1\n", "x = 2\n"), fence("x = 2\n")])
def test_line_ends_of_windows_are_line_ends(answer):
    assert edited(answer.replace("\n", "\r\n"), "x = 1\n").splitlines() == ["x = 2"]


def test_an_answer_of_prose_is_refused():
    assert refused("I would rather not.") == "the answer holds neither a SEARCH/REPLACE block nor a fenced file"


# ---------------------------------------------------------------- markers


@pytest.mark.parametrize(
    "answer",
    [
        block("import math\n", "import os\n"),
        block("print(f(1))\n", ""),
        block("# EVOLVE-BLOCK-END\n", ""),
        block("# EVOLVE-BLOCK-START\n", "x = 1\n# EVOLVE-BLOCK-START\n"),
        block("    return y\n", "    return y\n# EVOLVE-BLOCK-END\nimport os\n# EVOLVE-BLOCK-START\n"),
        fence(PARENT.replace("import math", "import os")),
    ],
)
def test_a_change_outside_the_markers_is_refused(answer):
    assert "a.py: only lines between EVOLVE-BLOCK-START and EVOLVE-BLOCK-END may change; this changes" in refused(
        answer
    )


def test_a_rewrite_without_markers_stands_for_what_is_between_them():
    assert edited(fence("def f(x):\n    return 7\n")) == (
        "import math\n\n# EVOLVE-BLOCK-START\ndef f(x):\n    return 7\n# EVOLVE-BLOCK-END\n\nprint(f(1))\n"
    )


def test_a_rewrite_with_markers_is_the_whole_file():
    assert edited(fence(PARENT.replace("x + 1", "x + 2"))) == PARENT.replace("x + 1", "x + 2")


def test_a_file_without_markers_may_change_anywhere():
    assert edited(fence("y = 2\n"), "x = 1\n") == "y = 2\n"


def test_each_of_several_marked_blocks_may_change():
    parent = PARENT + "# EVOLVE-BLOCK-START\nz = 1\n# EVOLVE-BLOCK-END\n"
    answer = block("z = 1\n", "z = 2\n") + block("    return y\n", "    return 0\n")
    assert edited(answer, parent) == parent.replace("z = 1", "z = 2").replace("return y", "return 0")


# ---------------------------------------------------------------- several files

TWO = {"a.py": "x = 1\n", "lib/b.py": "y = 1\n", "c.py": "z = 1\n"}
BOTH = ("a.py", "lib/b.py")


def test_a_block_means_the_file_named_last_before_it():
    answer = "As in a.py:\nlib/b.py\n" + block("y = 1\n", "y = 2\n") + "and a.py\n" + block("x = 1\n", "x = 2\n")
    assert apply(answer, TWO, BOTH).files == {**TWO, "a.py": "x = 2\n", "lib/b.py": "y = 2\n"}


def test_a_block_that_names_no_file_is_refused():
    assert refused(block("x = 1\n", "x = 2\n"), TWO, BOTH) == (
        "block 1 names no file before it; the editable files are a.py, lib/b.py"
    )


def test_a_file_that_may_not_change_is_refused():
    assert refused("c.py\n" + block("z = 1\n", "z = 2\n"), TWO, BOTH) == (
        "block 1 changes c.py, which may not change; editable: a.py, lib/b.py"
    )


def test_a_name_inside_another_is_not_meant():
    files = {"a.py": "x = 1\n", "data.py": "x = 1\n"}
    answer = "data.py\n" + block("x = 1\n", "x = 2\n")
    assert apply(answer, files, ("a.py", "data.py")).files == {"a.py": "x = 1\n", "data.py": "x = 2\n"}


def test_fenced_files_are_named_in_the_line_above_or_in_the_fence():
    answer = "**lib/b.py**\n```python\ny = 2\n```\n```python a.py\nx = 2\n```\n"
    assert apply(answer, TWO, BOTH).files == {**TWO, "a.py": "x = 2\n", "lib/b.py": "y = 2\n"}


@pytest.mark.parametrize("path", ["", "d.py", "c.py", "../a.py"])
def test_a_fenced_file_of_no_editable_path_is_refused(path):
    assert refused(fence("z = 2\n", path), TWO, BOTH) == (
        "fenced file 1 is named by no editable path; editable: a.py, lib/b.py"
    )


def test_a_file_that_this_parent_lacks_is_refused():
    assert "a.py" in refused(block("x = 1\n", "x = 2\n"), {"b.py": "x = 1\n"})


# ---------------------------------------------------------------- title and hypothesis

CHANGE = block("    y = x + 1\n", "    y = x\n")


def headings(opening: str) -> tuple[str, str]:
    found = apply(opening + CHANGE, {"a.py": PARENT}, ONE)
    return found.title, found.hypothesis


@pytest.mark.parametrize(
    "opening",
    [
        "TITLE: drop the one\nHYPOTHESIS: it costs: time\n",
        "**Title:** drop the one\n**Hypothesis**: it costs: time\n\n",
        "# TITLE: *drop the one*\n\n- HYPOTHESIS: it costs: time",
    ],
)
def test_an_answer_opens_with_title_and_hypothesis(opening):
    assert headings(opening + "\n") == ("drop the one", "it costs: time")


def test_a_title_is_cut_to_eight_words():
    assert headings("TITLE: one two three  four five six seven eight nine\n")[0] == (
        "one two three four five six seven eight"
    )


@pytest.mark.parametrize("opening", ["", "TITLE:\nHYPOTHESIS:\n", "I do this.\n"])
def test_missing_headings_are_no_error(opening):
    assert headings(opening) == ("", "")


def test_a_title_is_read_at_the_opening_not_in_the_code():
    found = apply(fence("class A:\n    title: str\n"), {"a.py": "x\n"}, ONE)
    assert found.title == ""


# ---------------------------------------------------------------- which file is meant


def test_a_path_inside_another_path_is_not_that_file():
    files = {"main.py": "x = 1\n", "sub/main.py": "x = 1\n"}
    answer = "main.py stays as it is.\nsub/main.py\n" + block("x = 1\n", "x = 2\n")
    assert apply(answer, files, tuple(files)).files == {"main.py": "x = 1\n", "sub/main.py": "x = 2\n"}


def test_prose_that_names_another_file_does_not_spoil_the_only_editable_one():
    answer = "HYPOTHESIS: what b.py needs gets cheaper\n" + block("x = 1\n", "x = 2\n")
    assert apply(answer, {"a.py": "x = 1\n", "b.py": ""}, ONE).files["a.py"] == "x = 2\n"


def test_a_line_of_other_than_seven_signs_divides_nothing():
    assert edited(block("Title\n=====\n", "Other\n=====\n"), "Title\n=====\n") == "Other\n=====\n"


def test_a_block_with_two_dividers_is_refused():
    assert "two ======= lines" in refused(block("x = 1\n=======\n", "x = 2\n"), "x = 1\n")


def test_a_malformed_block_in_a_fence_is_no_file():
    assert "SEARCH line" in refused(fence("<<<< SEARCH\nx\n====\ny\n>>>> REPLACE\n"), PARENT)


def test_a_whole_file_without_its_markers_is_not_put_into_itself():
    whole = PARENT.replace("# EVOLVE-BLOCK-START\n", "").replace("# EVOLVE-BLOCK-END\n", "").replace("x + 1", "x + 2")
    assert edited(fence(whole)) == PARENT.replace("x + 1", "x + 2")


def test_a_fence_of_four_ticks_may_hold_one_of_three():
    text = 'HELP = """\n```\nx\n```\n"""\n'
    assert edited(f"````python\n{text}````\n", "x\n") == text
