"""Fingerprints: what counts as the same program."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.proposer import fingerprint

SOURCE = "def f(x):\n    return x + 1\n"


def same(a: str, b: str, path: str = "a.py") -> bool:
    return fingerprint({path: a}) == fingerprint({path: b})


@pytest.mark.parametrize(
    "variant",
    [
        "# why\ndef f(x):  # how\n    return x + 1  # what\n",
        "\n\ndef f( x ):\n\n        return (x+1)\n\n",
        "def f(x): return x + 1",
        SOURCE.replace("\n", "\r\n"),
    ],
)
def test_comments_and_layout_do_not_count(variant):
    assert same(SOURCE, variant)


@pytest.mark.parametrize(
    "variant", ["def f(x):\n    return x + 2\n", "def f(y):\n    return y + 1\n", SOURCE + "g = f\n", ""]
)
def test_code_counts(variant):
    assert not same(SOURCE, variant)


def test_white_space_alone_does_not_count_in_other_languages():
    assert same("int  f()\n{ return 1; }\n", "  int f()\n\n{  return 1;\t}", "a.cpp")
    assert not same("// one\nint f();", "// two\nint f();", "a.cpp")


def test_what_is_no_python_is_compared_as_text():
    assert same("def f(:\n  x\n", "def f(:\n      x\n") and not same("def f(:", "def g(:")


@pytest.mark.parametrize("source", ["x=" + "-" * 50_000 + "1", "(" * 5_000, "x=" + "+".join("1" * 20_000), "x='\0'"])
def test_what_python_cannot_take_is_compared_as_text(source):
    assert same(source, source + "  \n") and not same(source, source + "0")


def test_paths_and_places_count():
    assert fingerprint({"a.py": "x", "b.py": "y"}) != fingerprint({"a.py": "y", "b.py": "x"})
    assert fingerprint({"a.py": "x"}) != fingerprint({"b.py": "x"})


def test_the_order_of_files_does_not_count():
    assert fingerprint({"a.py": "x", "b.py": "y"}) == fingerprint({"b.py": "y", "a.py": "x"})


@given(st.dictionaries(st.sampled_from(["a.py", "b.txt"]), st.text(max_size=40), min_size=1))
@settings(max_examples=60, deadline=None)
def test_every_text_has_one(files):
    assert len(fingerprint(files)) == 32


def test_a_text_that_utf8_cannot_hold_has_one():
    assert len(fingerprint({"a.txt": "broken emoji \ud83d"})) == 32


def test_odd_escapes_are_no_warning(recwarn):
    fingerprint({"a.py": "x = '\\d'\ny = 1if x else 2\n"})
    assert not recwarn.list
