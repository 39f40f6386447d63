"""Comparisons: groups and their names, limits, medians, bands, differences."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.errors import RunError
from evolve.lineage.bootstrap import bands, bootstrap_difference
from evolve.lineage.compare import compare
from evolve.loading import load_problem
from tests.lineage.rows import a_run

INF = float("inf")
values = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(-INF)), min_size=1, max_size=50)


def greedy(exponent):
    return {"selection": {"_target_": "x.Strategy", "parent": {"exponent": exponent}}}


def names(comparison):
    return {group.name: group.seeds for group in comparison.groups}


# ---------------------------------------------------------------- statistics


@settings(deadline=None, max_examples=50)
@given(values)
def test_the_band_holds_the_median_and_nearly_all_seeds(column):
    median, low, high = (line[0] for line in bands(np.array(column)[:, None]))
    assert low <= median <= high
    assert sum(low <= value <= high for value in column) >= 0.95 * len(column)


def test_the_band_of_many_seeds_leaves_the_outermost_out():
    assert [line[0] for line in bands(np.arange(1, 81.0)[:, None])] == [40.5, 3, 78]


@settings(deadline=None, max_examples=50)
@given(values)
def test_equal_groups_do_not_differ_in_pairs(column):
    found = bootstrap_difference(column, column, paired=True)
    assert found.difference == 0 and found.low in (0, None) and found.high in (0, None)


def test_pairs_that_differ_by_one_amount_have_no_doubt():
    a = np.array([1.0, 7, 3, 20])
    assert bootstrap_difference(a + 2, a, paired=True) == bootstrap_difference(a + 2, a, paired=True)
    found = bootstrap_difference(a + 2, a, paired=True)
    assert (found.difference, found.low, found.high) == (2, 2, 2)
    apart = bootstrap_difference(a + 2, a, paired=False)
    assert apart.difference == 2 and apart.low < 0 < apart.high


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_hold_the_truth_nearly_always(paired):
    rng = np.random.default_rng(7)
    found = [bootstrap_difference(rng.normal(3, 1, 20), rng.normal(0, 1, 20), paired) for _ in range(40)]
    assert sum(one.low < 3 < one.high for one in found) >= 35
    assert max(one.high - one.low for one in found) < 3


def test_one_seed_has_no_interval():
    found = bootstrap_difference([3.0], [1.0], paired=True)
    assert (found.difference, found.low, found.high) == (2, None, None)


def test_runs_that_failed_are_worst():
    found = bootstrap_difference([1.0, 2, 3], [-INF, -INF, 3], paired=False)
    assert found.difference == INF and found.low <= 0
    assert bootstrap_difference([-INF, 5, 7], [-INF, 1, 3], paired=True).difference == 4  # both failed: no difference


@pytest.mark.parametrize(
    ("a", "b", "paired"), [([], [1.0], False), ([1.0], [1.0, 2], True), ([float("nan")], [1.0], False)]
)
def test_what_can_not_be_compared(a, b, paired):
    with pytest.raises(ValueError, match="values"):
        bootstrap_difference(a, b, paired)


# ---------------------------------------------------------------- groups


def test_runs_that_differ_by_seed_place_and_budget_are_one_group(store):
    runs = [
        a_run(
            store,
            "b",
            [1.0, 3.0],
            seed=2,
            config={"run_dir": "b", "budget": {"candidates": 5}, "database": {"url": "x"}},
        ),
        a_run(store, "a", [1.0, 2.0], seed=1, config={"evaluator": {"gpu": None}}),  # a key of a newer version
    ]
    assert names(compare(runs)) == {"all runs": [1, 2]}


def test_groups_are_named_by_the_words_that_differ(store):
    words = ["problem=p", "llm=offline"]
    runs = [
        a_run(store, "a", [1.0, 2.0], config=greedy(1), words=[*words, "seed=1"]),
        a_run(store, "b", [1.0, 5.0], config=greedy(2), words=[*words, "selection=greedy", "seed=1", "run_dir=x"]),
        a_run(store, "c", [1.0, 4.0], config=greedy(3), words=["selection.parent.exponent=3", *words]),
    ]
    assert list(names(compare(runs))) == [
        "selection=greedy",
        "selection.parent.exponent=3",
        "default",
    ]  # the best first


def test_groups_that_no_word_tells_apart_are_named_by_keys(store):
    runs = [a_run(store, str(exponent), [1.0, exponent], config=greedy(exponent)) for exponent in (1, 2)]
    assert list(names(compare(runs))) == ["selection.parent.exponent=2", "selection.parent.exponent=1"]


def test_seeds_are_paired_where_both_groups_have_the_same(store):
    def made(name, exponent, seeds):
        return [
            a_run(store, f"{name}{n}", [0.0, n + exponent], seed=s, config=greedy(exponent))
            for n, s in enumerate(seeds)
        ]

    a, b, c, d = made("a", 1, [1, 2]), made("b", 2, [2, 1]), made("c", 3, [1, 3]), made("d", 4, [1, 1])
    paired = {(x.name[-1] + y.name[-1]): d.paired for x, y, d in compare([*a, *b, *c, *d]).differences("candidates")}
    assert paired == {"43": False, "42": False, "41": False, "32": False, "31": False, "21": True}


# ---------------------------------------------------------------- limits


def test_runs_are_compared_up_to_where_the_shortest_ends(store):
    long = a_run(store, "long", [1.0, 2.0, 3.0, 9.0], usd=1.0)
    short = a_run(store, "short", [1.0, 4.0], seed=2, usd=2.5, state="interrupted")
    found = compare([long, short])
    assert found.limits == {
        "candidates": (1, "short"),
        "evaluations": (2, "short"),
        "usd": (4, "long"),
        "seconds": (2, "short"),
    }
    [group] = found.groups
    assert list(found.ends(group, "candidates")) == [2, 4] and list(found.ends(group, "usd")) == [9, 1]
    assert "short is interrupted: 1 candidates told" in found.notes and "all runs: few seeds (2)" in found.notes


def test_a_run_without_an_ok_candidate_is_the_worst_and_shortens_nothing(store):
    found = compare(
        [a_run(store, "a", [1.0, 2.0, 3.0]), a_run(store, "b", [None], seed=2), a_run(store, "c", [], seed=3)]
    )
    assert found.limits["candidates"] == (2, None)
    assert list(found.ends(found.groups[0], "candidates")) == [3, -INF, -INF]
    assert [note for note in found.notes if "worst" in note] == [
        "b (seed 2) has no ok candidate: it counts as worst",
        "c (seed 3) has no ok candidate: it counts as worst",
    ]
    curve = found.found()["axes"]["candidates"]["curves"]["all runs"]
    assert curve == {"median": [None, None, None], "low": [None, None, None], "high": [1, 2, 3]}
    json.dumps(found.found(), allow_nan=False)


@pytest.mark.parametrize(
    ("usd", "why"),
    [((0, 0), "no run used any"), ((0, 1), "a used none"), ((1, None), "the price of calls of b is unknown")],
)
def test_an_axis_that_can_not_be_compared_is_left_out_and_said(store, usd, why):
    found = compare([a_run(store, "a", [1.0, 2.0], usd=usd[0]), a_run(store, "b", [1.0, 2.0], seed=2, usd=usd[1])])
    assert "usd" not in found.limits and f"usd: not compared, {why}" in found.notes


def test_runs_without_any_score_still_say_so(store):
    found = compare([a_run(store, "a", [None]), a_run(store, "b", [], config=greedy(1))])
    assert not found.limits and "candidates: not compared, no run has an ok candidate" in found.notes


def test_one_seed_has_no_band(store):
    assert "all runs: one seed, so no band and no interval" in compare([a_run(store, "a", [1.0, 2.0])]).notes


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("columns", "config", "says"),
    [
        ({"problem": "q"}, {}, "problem q (as it is, content 0f)"),
        ({"problem_hash": "1"}, {"param": {"n": 3}}, "problem p (param.n=3, content 1)"),
        ({"problem_hash": "1"}, {}, "problem p (as it is, content 1)"),
    ],
)
def test_runs_of_different_problems_are_refused(store, columns, config, says):
    runs = [a_run(store, "a", [1.0]), a_run(store, "b", [1.0], config=config, **columns)]
    with pytest.raises(RunError, match="only runs of one problem") as caught:
        compare(runs)
    assert str(caught.value).startswith(f"run a is of problem p (as it is, content 0f), run b is of {says};")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "initial.py").write_text("def f(x):\n    return 1.0\n")
    (folder / "evaluator.py").write_text("def score(instance, output):\n    return {'error': output}\n")
    (folder / "problem.yaml").write_text("objectives: {error: minimize}\nknown: {error: {best: 0.5, source: x}}\n")
    return folder


def test_values_are_in_the_objectives_own_unit_and_direction(store, folder):
    same = {"problem_path": str(folder), "problem_hash": load_problem(str(folder)).hash}
    runs = [a_run(store, str(n), [-4.0, -n], seed=n, config=greedy(n), **same) for n in (3.0, 2.0)]
    found = compare(runs)
    assert (found.objective.name, found.objective.sign, found.objective.best) == ("error", -1, 0.5)
    assert list(names(found).values()) == [[2], [3]]  # the best first
    assert [d.difference for *_, d in found.differences("candidates")] == [-1]
    assert [run["best"] for run in found.found()["runs"]] == [2, 3]


@pytest.mark.parametrize(
    "harm", [shutil.rmtree, lambda folder: (folder / "initial.py").write_text("def g(x): return 2")]
)
def test_without_the_problem_as_it_was_values_are_scores(store, folder, harm):
    same = {"problem_path": str(folder), "problem_hash": load_problem(str(folder)).hash}
    harm(folder)
    found = compare([a_run(store, "a", [-4.0, -3.0], config={"problem": str(folder)}, **same)])
    assert found.objective.name == "score" and list(found.ends(found.groups[0], "candidates")) == [-3]
    assert "values are scores, larger is better" in found.notes[0]


def test_nothing_to_compare():
    with pytest.raises(RunError, match="no run"):
        compare([])
