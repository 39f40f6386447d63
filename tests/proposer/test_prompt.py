"""The prompt, whole, against golden files: `EVOLVE_UPDATE_GOLDEN=1 pytest tests/proposer` writes them anew."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.problem import Problem, Stage
from evolve.proposer import build, tokens
from evolve.proposer.prompt import number, render
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
OLD = SOURCE.replace("return", "noise = random.random()\n    return")
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
        **changes,
    }
    return build(problem, operator=operator, **parts)


OPERATORS = ["diff", "rewrite", "functions", "crossover", "fix", "simplify", "refine", "best_of", "initial"]
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
    "bare": prompt(problem=BARE, parent=replace(PARENT, feedback="", artifacts=()), inspirations=[], tried=[]),
    "failed parent": prompt(parent=replace(PARENT, status=Status.CRASH, score=None, metrics={})),
    "rewrite": prompt("rewrite"),
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
        "artifacts",
        "tried",
        "answer",
    ]


def test_what_has_nothing_to_say_has_no_block():
    names = [name for name, _ in PROMPTS["bare"].blocks]
    assert names == ["problem", "parent", "answer"]


def test_a_provider_that_reads_no_prose_gets_the_same_as_data():
    found = prompt()
    assert found.parent == PARENT.files and found.inspirations == tuple(c.files for c in INSPIRATIONS)
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
            ["Improve `./solve --fast`.", "Run: `./solve --fast`. Time limits: stage small", "what it reads and"],
        ),
        (
            READ,
            ["Improve `initial.md`.", "Read as text: `initial.md`. Time", "`initial.md` is read as text, never run."],
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
