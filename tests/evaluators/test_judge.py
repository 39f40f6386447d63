"""The judge: prompts against golden files (`EVOLVE_UPDATE_GOLDEN=1` writes them anew), votes, and what it won't believe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.judge import Judge, Verdict
from evaluators.lm import Lm
from evaluators.templates import fenced, render
from evolve.errors import EvaluatorError

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.md"
    if os.environ.get("EVOLVE_UPDATE_GOLDEN"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


def judgement(*scores: float, weight: float = 1.0, critique: str = "It holds.") -> str:
    principles = [{"principle": f"p{i}", "weight": weight, "score": score} for i, score in enumerate(scores)]
    return f"Principles: p0 ...\n{critique}\n```json\n{json.dumps({'principles': principles})}\n```"


class Model:
    """A model that answers from a list; `questions` holds what it was asked."""

    def __init__(self, *answers: str):
        self.questions: list[Any] = []
        self._answers = list(answers)

    @property
    def lm(self) -> Lm:
        return Lm(self._answer)

    def _answer(self, question: Any) -> list[str]:
        self.questions.append(question)
        return [self._answers.pop(0) for _ in range(len(question["prompts"]) * question["n"])]


def verdict(*answers: str, output: str = "4", **settings: Any) -> Verdict:
    judge = Judge("Is it right?", samples=settings.pop("samples", len(answers)), **settings)
    return judge(Model(*answers).lm, "What is 2 + 2?", output)


def test_the_prompts() -> None:
    free, fixed = Judge("Right, and brief."), Judge({"right": 3, "brief": 1}, scale=(1, 5))
    golden("judge_free", f"{render('judge_system', {})}\n---\n{free.prompt('What is 2 + 2?', '4', None)}")
    golden("judge_fixed", fixed.prompt("What is 2 + 2?", "```\nfour\n```", "4"))


def test_the_meta_prompt() -> None:
    model = Model(judgement(8), judgement(2), 'I trust the first.\n{"weights": [1, 0.5]}')
    found = Judge("Is it right?", samples=2, vote="meta")(model.lm, "What is 2 + 2?", "4")
    golden("judge_meta", model.questions[1]["prompts"][0])
    assert found.score == pytest.approx((0.8 + 0.5 * 0.2) / 1.5)


def test_samples_are_asked_for_at_once() -> None:
    model = Model(judgement(5), judgement(5), judgement(5))
    Judge("Is it right?", temperature=0.7, max_tokens=99)(model.lm, "task", "output")
    [question] = model.questions
    assert (question["n"], question["temperature"], question["max_tokens"]) == (3, 0.7, 99)


def test_the_mean_by_weights_is_ours() -> None:
    principles = [{"principle": "a", "weight": 3, "score": 2}, {"principle": "b", "weight": 1, "score": 10}]
    answer = f"Overall 10/10. {json.dumps({'principles': principles})}"
    assert verdict(answer).score == pytest.approx(0.4)


def test_fixed_weights_stand_above_the_models() -> None:
    judge = Judge({"p0": 1, "p1": 3}, samples=1)
    assert judge(Model(judgement(10, 2, weight=50)).lm, "task", "output").score == pytest.approx(0.4)


@pytest.mark.parametrize(("vote", "score"), [("mean", 0.45), ("median", 0.35), ("majority", 0.3)])
def test_votes(vote: str, score: float) -> None:
    found = verdict(judgement(3), judgement(3), judgement(4), judgement(8), vote=vote)
    assert found.score == pytest.approx(score) and found.spread == pytest.approx(0.20615528)


def test_of_equal_groups_the_one_nearest_the_median_wins() -> None:
    assert verdict(judgement(1), judgement(5), judgement(9), vote="majority").score == pytest.approx(0.5)


def test_what_cant_be_read_is_dropped_and_counted() -> None:
    found = verdict("no idea", judgement(6), judgement(11), '{"principles": []}', judgement(True), judgement(4))
    assert (found.score, found.unread, len(found.samples)) == (pytest.approx(0.5), 4, 2)
    assert "4 unreadable" in found.feedback


@pytest.mark.parametrize("answer", ["", "I can't say.", judgement(5, weight=0), judgement(float("nan")), judgement(-1)])
def test_nothing_that_can_be_read_is_evaluator_pys_fault(answer: str) -> None:
    with pytest.raises(EvaluatorError, match=r"the judge gave no scores .* its answer ends: "):
        verdict(answer, answer)


@pytest.mark.parametrize("answer", ["no", '{"weights": [1]}', '{"weights": [1, 2]}', '{"weights": [true, 1]}'])
def test_a_meta_judge_that_cant_be_read_is_evaluator_pys_fault(answer: str) -> None:
    with pytest.raises(EvaluatorError, match="the meta judge gave no 2 weights from 0 to 1"):
        verdict(judgement(1), judgement(2), answer, samples=2, vote="meta")


def test_a_missing_principle_is_no_judgement() -> None:
    with pytest.raises(EvaluatorError, match="gave no scores"):
        Judge({"p0": 1, "other": 1}, samples=1)(Model(judgement(5, 5)).lm, "task", "output")


def test_an_object_that_the_judge_quotes_is_not_its_answer() -> None:
    quoting = judgement(1, critique=f"The output claims {judgement(10)}, which is false.")
    assert verdict(quoting).score == pytest.approx(0.1)


def test_the_feedback_says_how_it_came_about() -> None:
    found = verdict(judgement(6, 8, critique="Step 2 is wrong."))
    assert found.feedback.splitlines()[:2] == [
        "judged 0.700 of 1 (spread 0.000 over 1 samples)",
        "- p0 (weight 1): 6 of 10",
    ]
    assert "Step 2 is wrong." in found.feedback and "```" not in found.feedback


@given(st.text(alphabet="`\nab{}$ "))
def test_no_text_closes_its_fence_or_is_read_as_a_template(text: str) -> None:
    fence, *inside = fenced(text).split("\n")
    assert inside[-1] == fence and fence not in text
    assert fenced(text) in Judge("c").prompt("task", text)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"vote": "best"}, "vote='best'"),
        ({"samples": 0}, "samples=0"),
        ({"scale": (1, 1)}, "scale"),
        ({"criteria": {}}, "criteria"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(EvaluatorError, match=says):
        Judge(**{"criteria": "c", **settings})
