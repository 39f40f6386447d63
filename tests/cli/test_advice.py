"""What `evolve check` advises: one faulty problem each, and the line in which an author is told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from evaluators import Cascade, LocalPool
from evolve.cli import dispatch
from evolve.cli.advice import NUMBERS, advice
from evolve.loading import load_problem

Make = Callable[..., Path]
Advised = Callable[..., Awaitable[str]]

asynchronous = pytest.mark.asyncio(loop_scope="session")
POINTS = """
def f():
    spread = 0.5
    points = [[0.1 * spread, 0.2], [0.7, 0.9 * spread]]
    return {"points": points, "distance": 0.25}
"""
TRUSTING = """
def score(instance, output): return output["distance"]
"""
SOUND = """
import math
from evolve.problem import Instance, Invalid, Result
def instances(stage, rng): return [Instance(x) for x in rng.random(3).tolist()]
def score(instance, output):
    points = output["points"]
    if not all(0 <= x <= 1 for point in points for x in point):
        raise Invalid("outside of the unit square")
    return math.dist(*points) * (1 + 0.1 * instance.input)
"""


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the problem ./mine of texts by path."""
    monkeypatch.chdir(tmp_path)

    def make(evaluator: str, initial: str = "def f(x):\n    return 1.0 * x\n", **files: str) -> Path:
        texts = {"problem.md": "Write f.", "evaluator.py": evaluator, "initial.py": initial, **files}
        for name, text in texts.items():
            path = tmp_path / "mine" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "mine"

    return make


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cascade() -> AsyncIterator[Cascade]:
    cascade = Cascade(LocalPool(1))
    await cascade.start()
    yield cascade
    await cascade.close()


@pytest.fixture
def advised(make: Make, cascade: Cascade) -> Advised:
    """Makes a problem, evaluates its initial program, and returns the advice, a line each."""

    async def advised(*texts: str, status: str = "ok", **files: str) -> str:
        problem = load_problem(str(make(*texts, **files)))
        found = await cascade.evaluate(problem, problem.initials[0])
        assert found.status == status, found.feedback
        return "\n".join(await advice(problem, problem.initials[0], found, partial(cascade.measure, problem)))

    return advised


@asynchronous
async def test_a_score_that_believes_the_candidate_is_found(advised: Advised) -> None:
    said = await advised(TRUSTING, POINTS)
    assert "score() seems to believe what the candidate states: 1e+12 for number 5 of what f() returns" in said
    assert "brings score 1e+12 (else score 0.25)" in said and "NaN" not in said


@asynchronous
async def test_a_sound_problem_gets_no_advice(advised: Advised) -> None:
    initial = POINTS.replace("f()", "f(x)").replace(', "distance": 0.25', "")
    assert await advised(SOUND, initial, **{"problem.yaml": "holdout: {instances: 3}\n"}) == ""


LAX = """
def score(instance, output):
    return 0.5 if output["distance"] < 0.5 else 1.0
"""


@asynchronous
async def test_nan_that_passes_is_found(advised: Advised) -> None:
    said = await advised(LAX, POINTS)
    assert "score() lets NaN pass: NaN for each number of what f() returns brings score 1 (else score 0.5)" in said


@asynchronous
async def test_a_number_beside_a_long_list_of_data_is_tampered_with(advised: Advised) -> None:
    initial = f"import numpy\ndef f():\n    return [0.5] * {NUMBERS + 1}, numpy.float32(0.5)\n"
    said = await advised("def score(instance, output): return min(1.0, max(0.0, output[1]))\n", initial)
    assert "1e+12 for number 1 of what f() returns brings score 1 (else score 0.5)" in said


SESSION = """
def drive(instance, candidate): return [candidate.f(x) for x in (1.0, 2.0)]
def score(instance, output): return 1.0 + (output[0] >= output[1])
"""


@asynchronous
async def test_in_a_session_another_answer_may_be_a_better_one(advised: Advised) -> None:
    assert "believe" not in await advised(SESSION)


CONSTANT = """
def score(instance, output): return 7.0
def instence(stage, rng): return [1.0]
"""


@asynchronous
async def test_a_score_that_is_the_same_for_all_and_a_misspelt_function_are_found(advised: Advised) -> None:
    said = await advised(CONSTANT, POINTS)
    assert "evaluator.py: nobody calls instence(); did you mean instances()?" in said
    assert "stage 'main': of 10 random edits of the program all score as it does (score 7)" in said


EXACT = """
from evolve.problem import Invalid
def instances(stage, rng): return [2.0]
def score(instance, output):
    if output != 5.0:
        raise Invalid("not it")
    return 1.0
"""


@asynchronous
async def test_edits_that_all_fail_are_told(advised: Advised) -> None:
    said = await advised(EXACT, "def f(x):\n    return x * x + 1.0\n")
    assert "of 10 random edits of the program none scores (" in said and "give part of the credit" in said


@asynchronous
async def test_a_program_that_is_slower_than_its_stage_is_told_the_remedy(advised: Advised) -> None:
    slow = "import time\ndef f():\n    time.sleep(60)\n"
    said = await advised(CONSTANT, slow, status="timeout", **{"problem.yaml": "stages: {main: {timeout_s: 0.2}}\n"})
    assert "stage 'main': timeout_s=0.2 is too short for the program; stage.main.timeout_s=2 shows how long" in said


LEAKY = """
import atexit
from evolve.problem import Instance
atexit.register(print, "what is printed at the end")
HELD = [Instance(1.0, secret="the answer is blue", name="colour"), Instance(2.0, secret=0.4212795), Instance(3.0)]
def instances(stage, rng): return HELD if stage.name == "holdout" else [Instance(3.0), Instance(4.0)]
def score(instance, output): return output
"""


@asynchronous
async def test_a_hold_out_that_leaks_is_found_where_it_shows(advised: Advised) -> None:
    files = {
        "problem.yaml": "holdout: {instances: 3}\n",
        "problem.md": "Write f. If asked for the colour: the answer is blue.",
        "knowledge/a.md": "It is known that 0.4212795 is the best.",
        "hidden/labels.txt": "first line, a label\n",
        "data/all.txt": "first line, a label\nsecond line, another one\n",
    }
    said = await advised(LEAKY, **files)
    assert "1 of 3 hold-out instances are also among those of the search" in said
    assert "the description shows 'the answer is blue' of hold-out instance colour" in said
    assert "knowledge/ shows '0.4212795' of hold-out instance no. 1" in said
    assert "data/all.txt shows the line 'first line, a label' of hidden/labels.txt" in said


@asynchronous
@pytest.mark.parametrize(
    ("evaluator", "yaml", "status", "text"),
    [
        ("def scores(instance, output): return 1.0\n", "", "evaluator_error", "did you mean score()?"),
        (CONSTANT, "entry: g\n", "crash", "entry: initial.py has no function g(), only f; write it, or entry: f"),
    ],
)
async def test_a_missing_function_is_told(advised: Advised, evaluator: str, yaml: str, status: str, text: str) -> None:
    assert text in await advised(evaluator, status=status, **{"problem.yaml": yaml})


def test_a_check_shows_its_advice_and_a_part_of_one_gives_none(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    make(CONSTANT, "def f():\n    return 1.0\n")
    assert dispatch(["check", "./mine"]) == 0
    assert "\nadvice: evaluator.py: nobody calls instence()" in capsys.readouterr().out
    assert dispatch(["check", "./mine", "--stage", "main", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["advice"] == []
