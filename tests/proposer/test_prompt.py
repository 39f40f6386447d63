"""The prompt, whole, against golden files: `EVOLVE_UPDATE_GOLDEN=1 pytest tests/proposer` writes them anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evolve.problem import Problem, Stage
from evolve.proposer import build, reintroduced, tokens
from evolve.proposer.prompt import Block, fitted, render
from evolve.proposer.shown import digits, number, trimmed
from evolve.types import Artifact, Candidate, Prompt, Status

GOLDEN = Path(__file__).parents[1] / "golden"
SOURCE = """import math

# EVOLVE-BLOCK-START
def pack(n):
    return [math.sqrt(i / n) for i in range(n)]
# EVOLVE-BLOCK-END
"""
PROBLEM = Problem(
    name="gaps",
    path=Path("/problems/gaps"),
    description="Place 9 points in [0, 1] so that the least gap between neighbours is as large as possible.",
    entry="pack",
    edit=("initial.py",),
    initials=({"initial.py": SOURCE},),
    objectives={"least_gap": 1, "spread": -1},
    stages=(Stage(name="small", timeout_s=0.5, pass_if=">= 0.01"), Stage(name="main", timeout_s=20.0)),
    known={"least_gap": {"best": 0.125, "source": "pigeonhole"}},
    knowledge="Equal gaps are optimal.",
)


def ok(candidate: int, score: float, source: str = SOURCE, **changes: object) -> Candidate:
    metrics = {"spread": 1.0, "least_gap": score}
    return Candidate(
        id=candidate, status=Status.OK, score=score, metrics=metrics, files={"initial.py": source}, **changes
    )


LEFT = (Artifact.of("gaps.txt", b"0.333 0.138 0.106\n"), Artifact.of("plot.png", b"\x89PNG" + bytes(2000)))
CASES = tuple(
    {"name": f"n={n}", "status": status, "metrics": {"least_gap": gap} if gap else {}, "feedback": feedback}
    for n, status, gap, feedback in [
        (9, "ok", 0.05719, "points 8 and 9 are the closest: 0.05719"),
        (10, "ok", 0.0513, "points 9 and 10 are the closest: 0.0513"),
        (11, "timeout", 0, "0.5 s are over"),
        (12, "ok", 0.04256, ""),
    ]
)
BETTER = tuple({**case, "status": "ok", "metrics": {"least_gap": 0.05}} for case in CASES)
PARENT = ok(
    12,
    0.05719,
    feedback="points 8 and 9 are the closest: 0.05719",
    title="square roots",
    artifacts=LEFT,
    instances=CASES,
    turn_s={"small": 0.0123, "main": 4.267},
    stage="main",
)
OLD = SOURCE.replace("return", "noise = random.gauss(0, 1)\n    return")
ANCESTORS = [
    ok(9, 0.05, SOURCE.replace("math.sqrt(i / n)", "noise(i) / len(n)")),
    ok(5, 0.04, OLD),
    ok(2, 0.03, OLD.replace("    noise", "    rounded = round(n / 2)\n    noise")),
]
INSPIRATIONS = [
    ok(31, 0.1, SOURCE.replace("sqrt", "sin"), instances=BETTER),
    ok(40, 0.02, SOURCE.replace("i / n", "i % n")),
]
TRIED = [
    ok(20, 0.06, title="divide by n - 1"),
    ok(21, 0.05719, title="rename the index"),
    ok(22, 0.05, title="add noise"),
    Candidate(id=23, status=Status.TIMEOUT, title="simulated annealing", feedback="stage 'small': 0.5 s are over"),
    Candidate(
        id=24, status=Status.CRASH, title="", feedback="Traceback\n  line 3\nZeroDivisionError: division by zero\n"
    ),
    Candidate(id=25, status=Status.DUPLICATE, title="the same again", duplicate_of=7),
    ok(26, 0.05719, title="a loop", behaves_as=12),
    ok(27, 0.05, title="more noise", behaves_as=22),
    Candidate(id=28, status=Status.DUPLICATE, title="nothing", duplicate_of=12),
]


def prompt(operator: str = "diff", problem: Problem = PROBLEM, **changes: object) -> Prompt:
    parts = {
        "parent": PARENT,
        "inspirations": INSPIRATIONS,
        "tried": TRIED,
        "ancestors": ANCESTORS,
        "seed": (1, 2, 3),
        "tunes": True,
        **changes,
    }
    return build(problem, operator=operator, **parts)


OPERATORS = ["diff", "rewrite", "functions", "crossover", "fix", "simplify", "refine", "best_of", "initial", "explore"]
FAILED = replace(
    PARENT,
    status=Status.CRASH,
    score=None,
    metrics={},
    instances=(),
    hypothesis="Roots spread the points",
    feedback='  File "initial.py", line 4, in pack\n    return [math.sqrt(i / n)]\nZeroDivisionError: float division by zero\n',
)


def golden(name: str, text: str) -> None:
    file = GOLDEN / f"{name}.md"
    if os.environ.get("EVOLVE_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_whole_prompt_is_as_agreed(operator):
    parents = {"fix": FAILED, "initial": None}
    found = prompt(operator, parent=parents.get(operator, PARENT))
    golden(f"prompt_{operator}", f"{found.system}\n---\n{found.user}")
    assert found.operator == operator


BARE = replace(PROBLEM, known={}, knowledge="", description="")
PROMPTS = {
    "full": prompt(),
    "bare": prompt(
        problem=BARE,
        parent=replace(PARENT, feedback="", artifacts=(), instances=()),
        inspirations=[],
        tried=[],
        ancestors=[],
    ),
    "failed parent": prompt(parent=replace(PARENT, status=Status.CRASH, score=None, metrics={})),
    "rewrite": prompt("rewrite"),
    "fix": prompt("fix", parent=FAILED, tried=[]),
    "initial": prompt("initial", parent=None),
    "no numbers": prompt(
        parent=Candidate(id=1, status=Status.OK, files={"initial.py": SOURCE}), inspirations=[], tried=[]
    ),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_nothing_in_a_prompt_is_empty_or_unknown(name):
    found = PROMPTS[name]
    assert all(text.strip() for _, text in found.blocks)
    for sign in ("unknown", "None", "{{", "}}", "nan", "\n\n\n", ": \n", "()", ":.", "``."):
        assert sign not in found.user, sign


def test_blocks_are_the_text_in_order_the_stable_ones_first():
    found = prompt()
    assert "\n\n".join(text for _, text in found.blocks) + "\n" == found.user
    names = [name for name, _ in found.blocks]
    assert names == [
        "problem",
        "knowledge",
        "inspiration 31",
        "inspiration 40",
        "parent",
        "instances",
        "artifacts",
        "tried",
        "deleted",
        "answer",
    ]


def test_what_has_nothing_to_say_has_no_block():
    names = [name for name, _ in PROMPTS["bare"].blocks]
    assert names == ["problem", "parent", "answer"]


def test_a_provider_that_reads_no_prose_gets_the_same_as_data():
    found = prompt()
    assert found.parent == PARENT.files and found.inspirations == tuple(c.files for c in INSPIRATIONS)
    assert found.feedback == PARENT.feedback and prompt("initial", parent=None).feedback == ""
    assert (found.operator, found.editable, found.seed) == ("diff", ("initial.py",), (1, 2, 3))
    assert prompt("crossover").inspirations == (INSPIRATIONS[0].files,)
    assert prompt("initial", parent=None).parent == {}


def test_several_files_are_named_and_only_the_editable_ones_may_change():
    problem = replace(PROBLEM, edit=("initial.py", "lib.py"))
    parent = replace(PARENT, files={"initial.py": SOURCE, "lib.py": "x = 1\n", "data.txt": "7"})
    found = prompt(problem=problem, parent=parent, inspirations=[], tried=[]).user
    assert "Only initial.py, lib.py may change." in found and "path/of/the/file\n<<<<<<< SEARCH" in found
    assert "\nlib.py\n```python\nx = 1\n```" in found and "\ndata.txt\n```\n7\n```" in found


COMMAND = replace(PROBLEM, entry="", command=("./solve", "--fast"), description="")
READ = replace(PROBLEM, entry="text", edit=("initial.md",), description="")


@pytest.mark.parametrize(
    ("problem", "says"),
    [
        (
            COMMAND,
            ["Write `./solve --fast`.", "Run: `./solve --fast`. Time limits: stage small", "what it reads and"],
        ),
        (
            READ,
            ["Write `initial.md`.", "Read as text: `initial.md`. Time", "`initial.md` is read as text, never run."],
        ),
    ],
)
def test_what_is_no_function_is_named_as_what_it_is(problem, says):
    found = prompt(problem=problem, parent=replace(PARENT, files={problem.edit[0]: "x\n"}), inspirations=[]).user
    assert [text for text in says if text not in found] == []
    assert "``" not in found.replace("```", "") and "keeps its name" not in found


def test_a_minimised_objective_is_shown_in_its_own_unit():
    problem = replace(PROBLEM, objectives={"least_gap": -1})
    found = prompt(problem=problem, parent=replace(PARENT, score=-0.05719), tried=[]).user
    assert "Objective: minimize least_gap." in found and "least_gap = 0.05719" in found


def test_a_gain_is_positive_where_the_child_is_better():
    problem = replace(PROBLEM, objectives={"least_gap": -1})
    child = replace(ok(20, -0.05), metrics={"least_gap": 0.05}, title="smaller")
    found = prompt(
        problem=problem, parent=replace(PARENT, score=-0.06, metrics={"least_gap": 0.06}), tried=[child]
    ).user
    [line] = [line for line in found.splitlines() if line.startswith("- smaller")]
    assert line == "- smaller: +0.01"


def test_feedback_is_cut_to_3000_characters():
    assert len(prompt(parent=replace(PARENT, feedback="x" * 10_000)).user) < len(prompt().user) + 3000


def test_texts_that_an_evaluation_left_are_cut_and_all_else_is_named():
    left = [Artifact.of(f"log {place}", b"x" * 5000) for place in range(9)]
    [text] = [text for name, text in prompt(parent=replace(PARENT, artifacts=left)).blocks if name == "artifacts"]
    assert text.count("log ") == 9 and text.count("x" * Artifact.HEAD) == 5 and tokens(text) < 1700
    [many] = [t for name, t in prompt(parent=replace(PARENT, artifacts=LEFT * 20)).blocks if name == "artifacts"]
    assert many.endswith("\n... and 20 more") and "more" not in text
    assert "log 8 (text, 5,000 bytes)" in text and "log 0 (text, 5,000 bytes), its beginning:\n```" in text


def test_numbers_have_the_digits_in_which_good_candidates_differ():
    assert [number(2.6359830849), number(1.0), number(1e-12)] == ["2.635983085", "1", "1e-12"]


def test_a_template_without_a_value_is_an_error():
    with pytest.raises(KeyError, match="description"):
        render("problem", {"objectives": "", "known": "", "entry": ""})


def test_a_value_is_never_taken_for_a_template():
    assert render("tried", {"lines": "{{lines}} and \\1"}).endswith("{{lines}} and \\1")


def test_tokens_are_about_four_characters_each():
    assert [tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]


# ---------------------------------------------------------------- the budget


def test_of_blocks_that_do_not_fit_the_lowest_rank_is_shortened_first_and_one_form_stays():
    blocks = [
        Block(name="task", forms=("t" * 10,)),
        Block(name="late", forms=("l" * 10, "l" * 4, ""), rank=2),
        Block(name="early", forms=("e" * 10, ""), rank=1),
    ]
    assert [[text for _, text in fitted(blocks, chars)] for chars in (36, 35, 20, 17, 0)] == [
        ["t" * 10, "l" * 10, "e" * 10],
        ["t" * 10, "l" * 10],
        ["t" * 10, "l" * 4],
        ["t" * 10],
        ["t" * 10],
    ]


SIZE = st.integers(0, 40_000)


@example((0, 1232, 1332, 0, 0, 0), 999, "explore", False)
@given(st.tuples(*[SIZE] * 6), st.integers(700, 12_000), st.sampled_from(OPERATORS), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_prompt_keeps_to_its_budget_beyond_the_parent(sizes, budget, operator, timed):
    parent_size, feedback, knowledge, other, title, line = sizes
    parent = replace(PARENT, files={"initial.py": SOURCE + "#" * parent_size}, feedback="x" * feedback)
    found = prompt(
        operator,
        replace(PROBLEM, knowledge="k" * knowledge),
        parent=parent,
        inspirations=[ok(31, 0.1, f"x = {other}\n" * other), *INSPIRATIONS],
        tried=[ok(20, 0.06, title="t" * title)],
        ancestors=[ok(9, 0.05, SOURCE + "".join(f"line_{n} = {n}\n" for n in range(line)))],
        timed=timed,
        budget_tokens=budget,
    )
    assert tokens(found.text) - tokens(parent.files["initial.py"]) <= budget
    names = [name for name, _ in found.blocks]
    assert names[0] == "problem" and "parent" in names and names[-1] == "answer"
    assert parent.files["initial.py"].rstrip() in found.user


def test_what_is_dropped_first_is_what_docs_say():
    shown = {budget: dict(prompt(budget_tokens=budget).blocks) for budget in range(300, 1500, 4)}
    droppable = ["knowledge", "inspiration 31", "instances", "inspiration 40", "tried", "artifacts", "deleted"]
    assert sorted(droppable, key=lambda name: min(budget for budget in shown if name in shown[budget])) == droppable


def test_the_stable_text_comes_first_and_is_the_same_for_every_prompt_of_a_run():
    first = {prompt(op, parent={"fix": FAILED}.get(op, PARENT)).text.partition("Equal gaps")[0] for op in OPERATORS}
    assert len(first) == 1


def test_a_crossover_whose_second_parent_does_not_fit_or_is_missing_is_a_rewrite():
    for changes in ({"inspirations": []}, {"inspirations": [replace(PARENT, id=3)]}, {"budget_tokens": 380}):
        found = prompt("crossover", **changes)
        assert (found.operator, found.inspirations) == ("rewrite", ()) and "two parents" not in found.user


def test_without_a_function_that_may_change_functions_is_a_diff():
    assert prompt("functions", parent=replace(PARENT, files={"initial.py": "x = ("})).operator == "diff"


# ---------------------------------------------------------------- what is said, and what is not


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_parent_is_shown_once(operator):
    same = replace(PARENT, id=77, files={"initial.py": SOURCE + "\n# the same program\n"})
    found = prompt(operator, inspirations=[same, *INSPIRATIONS, replace(INSPIRATIONS[0], id=78)])
    assert found.user.count(SOURCE.rstrip()) == 1
    assert "candidate 77" not in found.user and "candidate 78" not in found.user


@pytest.mark.parametrize(
    ("said", "where"),
    [("different idea", {"rewrite"}), ("simpler", {"simplify"}), ("bold", {"best_of"}), ("Repair", {"fix"})],
)
def test_advice_is_given_only_where_it_is_asked_for(said, where):
    texts = {operator: dict(prompt(operator).blocks)["answer"] for operator in OPERATORS}
    assert {operator for operator, text in texts.items() if said in text} == where


def test_only_where_constants_are_tuned_is_a_mark_asked_for_in_the_languages_own_comments():
    assert "`# tune: [lo, hi]`" in prompt().user and "tune:" not in prompt(tunes=False).user
    assert "`// tune: [lo, hi]`" in prompt(problem=replace(PROBLEM, edit=("a.cpp",))).user


def test_without_timed_no_measured_time_is_shown():
    with_time, without = prompt().user, prompt(timed=False).user
    assert "Time used: small: 0.012 s of 0.5 s, main: 4.3 s of 20 s.\n" in with_time
    assert without == with_time.replace("Time used: small: 0.012 s of 0.5 s, main: 4.3 s of 20 s.\n", "")
    assert prompt(timed=False, parent=replace(PARENT, turn_s={"main": 9.0})).user == without


def test_one_instance_is_no_worst_one():
    assert "instances" not in dict(prompt(parent=replace(PARENT, instances=CASES[:1])).blocks)


def test_the_worst_instances_are_the_failed_ones_then_by_the_objectives_direction():
    problem = replace(PROBLEM, objectives={"least_gap": -1})
    lines = dict(prompt(problem=problem, tried=[]).blocks)["instances"].splitlines()[2:]
    assert [line.split(":")[0] for line in lines] == ["- n=11", "- n=9", "- n=10"]


def test_an_instance_without_a_name_is_told_by_its_place():
    cases = tuple({**case, "name": ""} for case in CASES)
    better = replace(INSPIRATIONS[0], instances=tuple({**case, "name": ""} for case in BETTER))
    found = prompt(parent=replace(PARENT, instances=cases), inspirations=[better]).user
    assert "- instance 3: timeout" in found and "instances: instance 3 (where the parent fails), instance 4 by" in found


def test_feedback_that_the_parent_shows_is_not_shown_again_with_the_instance():
    parent = replace(PARENT, feedback="n=10: points 9 and 10 are the closest: 0.0513")
    assert prompt(parent=parent).user.count("points 9 and 10 are the closest") == 1


def test_a_parent_beyond_the_best_known_is_said_to_be():
    assert "Better than the best known by 0.075." in prompt(parent=ok(12, 0.2)).user


def test_numbers_have_the_digits_that_tell_the_shown_candidates_apart():
    near = ok(31, 0.05719000001, SOURCE.replace("sqrt", "sin"))
    found = prompt(inspirations=[near], tried=[ok(20, 0.05719000003, title="a little")]).user
    assert "least_gap = 0.05719000001, spread = 1 (better" in found and "- a little: +3e-11" in found


@given(st.sets(st.floats(allow_nan=False, allow_infinity=False), max_size=6))
def test_different_values_print_differently(values):
    distinct = {value + 0.0 for value in values}
    assert len({number(value, digits(distinct)) for value in distinct}) == len(distinct)


def test_whole_numbers_are_not_cut():
    assert [number(value, 4) for value in (123456.0, 123456.7, -15000.0, 0.000123456)] == [
        "123456", "123457", "-15000", "0.0001235",
    ]  # fmt: skip


def test_of_a_long_traceback_the_last_frames_and_the_error_are_kept():
    frames = "".join(f'  File "initial.py", line {n}, in f\n    f({n})\n' for n in range(40))
    found = trimmed(f"{frames}ValueError: too deep\n" + "noise\n" * 40)
    assert len(found.splitlines()) == 30 and "line 39, in f" in found and "ValueError: too deep" in found
    assert found.startswith("...\n") and found.endswith("noise\n...") and trimmed("a\n" * 3) == "a\na\na"


# ---------------------------------------------------------------- deleted lines


def chain(*texts: str) -> list[Candidate]:
    return [ok(len(texts) - place, 0.05, text) for place, text in enumerate(texts)]


LINE, OTHER = "total = total + weight\n", "other = compute(weight)\n"


def test_a_line_that_was_deleted_and_comes_back_is_told_with_who_deleted_it():
    parent, *ancestors = chain("x = 1\n", "x = 2\n", LINE)
    assert reintroduced({"initial.py": f"    {LINE}}}\nx = 1\n"}, parent, ancestors) == [(LINE.strip(), 2)]
    assert reintroduced({"initial.py": OTHER}, parent, ancestors) == []


def test_a_line_that_the_parent_has_again_is_pointed_out_in_its_block():
    parent, *ancestors = chain(LINE, OTHER, LINE)
    blocks = dict(prompt(parent=parent, ancestors=ancestors).blocks)
    assert blocks["parent"].endswith(f"deleted earlier in this lineage:\n- `{LINE.strip()}` (by candidate 2)")
    assert OTHER.strip() in blocks["deleted"] and LINE.strip() not in blocks["deleted"]


def test_a_constant_with_another_value_was_not_deleted():
    parent, *ancestors = chain("spacing = 0.28\n", "spacing = 0.3\n", "}\n\nshort = 1\n")
    assert "deleted" not in dict(prompt(parent=parent, ancestors=ancestors).blocks)


def test_hints_are_dropped_last_and_bans_never():
    said = {"hints": ["try rows"], "bans": ["import os", "/eval/"]}
    whole, small = (
        build(PROBLEM, operator="diff", parent=PARENT, inspirations=[], tried=[], budget_tokens=n, **said)
        for n in (12_000, 10)
    )
    assert [name for name, _ in whole.blocks][:3] == ["problem", "knowledge", "hints"]
    assert not {"hints", "knowledge"} & {name for name, _ in small.blocks}
    assert "may be `import os`." in small.user and "may match `/eval/`." in small.user
