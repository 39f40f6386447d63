"""Novelty before evaluation: shingles, sketches, and how surely near texts are found."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.proposer.novelty import BANDS, Index, rows, shingles, similarity

SOURCE = "def pack(n):\n    # places\n    return [math.sqrt(i / n) for i in range(n)]\n"
WORDS = st.lists(st.sampled_from("abcdefgh"), max_size=60)


def text(words: list[str]) -> dict[str, str]:
    return {"a.txt": " ".join(words)}


def test_comments_and_layout_say_nothing():
    other = "def pack( n ):\n\n  return [\n     math.sqrt(i/n)\n  for i in range(n)] # so\n"
    assert similarity({"a.py": SOURCE}, {"a.py": other}) == 1.0
    assert similarity({"a.c": "int f() { /* a\nb */ return 1; }"}, {"a.c": "int f()\n{ return 1; // no\n}"}) == 1.0


def test_what_is_no_python_is_read_as_text():
    assert similarity({"a.py": "def ("}, {"a.py": "def   ("}) == 1.0


def test_empty_texts_are_the_same_and_short_ones_are_not():
    assert similarity({"a.py": ""}, {"a.py": "# only words\n"}) == 1.0
    assert similarity({"a.py": "x"}, {"a.py": "y"}) == 0.0 and len(shingles({"a.py": "x"})) == 1


@given(WORDS, WORDS)
def test_similarity_is_symmetric_and_between_0_and_1(a, b):
    assert 0.0 <= similarity(text(a), text(b)) == similarity(text(b), text(a)) <= 1.0
    assert similarity(text(a), text(a)) == 1.0


@pytest.mark.parametrize(("threshold", "count"), [(0.8, 1), (0.9, 2), (0.95, 4), (0.99, 25)])
def test_the_rows_find_95_percent_at_the_threshold(threshold, count):
    assert rows(threshold) == count and 1 - (1 - threshold**count) ** BANDS >= 0.95


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0, 1.5])
def test_a_threshold_that_no_rows_fit_is_refused(threshold):
    with pytest.raises(ValueError, match="must lie between"):
        Index(threshold)


@pytest.mark.parametrize("threshold", [0.8, 0.9, 0.95])
def test_texts_as_similar_as_the_threshold_are_found(threshold):
    index, rng, found, asked = Index(threshold), np.random.default_rng(7), 0, 0
    for candidate in range(600):
        words = [str(n) for n in rng.integers(0, 10**6, 200)]
        near = list(words)
        for place in rng.choice(200, int(rng.integers(1, 9)), replace=False):
            near[place] = "changed"
        if similarity(text(words), text(near)) >= threshold:
            index.add(candidate, index.sketch(text(words)))
            asked += 1
            found += candidate in index.near(index.sketch(text(near)))
    assert asked > 60 and found / asked >= 0.93


def indexed(texts: list[tuple[int, list[str]]]) -> Index:
    index = Index(0.9)
    for candidate, words in texts:
        index.add(candidate, index.sketch(text(words)))
    return index


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS, st.randoms())
@settings(deadline=None)
def test_what_is_near_does_not_depend_on_the_order_in_which_texts_come(texts, asked, rng):
    shuffled = list(enumerate(texts))
    rng.shuffle(shuffled)
    one, other = indexed(list(enumerate(texts))), indexed(shuffled)
    for words in (*texts, asked):
        mark = one.sketch(text(words))
        assert bool(one.near(mark)) == bool(other.near(mark)) and len(one.near(mark)) <= BANDS
    assert all(other.near(other.sketch(text(words))) for words in texts)


def test_a_bucket_keeps_its_first_candidate():
    index = Index(0.9)
    mark = index.sketch({"a.py": SOURCE})
    for candidate in (5, 3, 9):
        index.add(candidate, mark)
    assert index.near(mark) == [5] and index.near(index.sketch({"a.py": "x = 1"})) == []


def test_a_sketch_is_the_same_in_every_process():
    script = f"from evolve.proposer.novelty import Index; print(Index(0.9).sketch({{'a.py': {SOURCE!r}}}))"
    seen = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert seen == {f"{Index(0.9).sketch({'a.py': SOURCE})}\n"}
