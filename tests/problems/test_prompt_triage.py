"""Prompt triage: the drawn tickets, what the scripted model obeys, exact match, and what no feedback may tell."""

import hashlib
import importlib.util
import json
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

from evaluators.lm import Lm
from evolve.cli import dispatch
from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage

FOLDER = bundled_root() / "prompt_triage"
spec = importlib.util.spec_from_file_location("prompt_triage_evaluator", FOLDER / "evaluator.py")
referee = importlib.util.module_from_spec(spec)
spec.loader.exec_module(referee)
INITIAL = (FOLDER / "initial.md").read_text()
WHOLE = INITIAL + "\n".join(map(str, referee.RULES))


def draw(stage: str, seed: int = 0, **keys) -> list[Instance]:
    return referee.instances(Stage(name=stage, **keys), np.random.Generator(np.random.PCG64(seed)))


def answers(question) -> list[str]:
    return [referee.model(prompt, question["system"]) for prompt in question["prompts"]]


def results(prompt: str, instances: list[Instance], ask=answers) -> list:
    candidate = SimpleNamespace(text=prompt)
    return [referee.score(one, referee.drive(one, candidate, Lm(ask))) for one in instances]


def metrics(prompt: str, stage: str = "main") -> dict[str, float]:
    return referee.aggregate(results(prompt, draw(stage)))


def label_of(prompt: str, ticket: str) -> str:
    return referee.parse(referee.model(ticket, prompt))


# ---------------------------------------------------------------- the folder and its data


def test_folder_loads():
    problem = load_problem("prompt_triage")
    assert (problem.entry, problem.objectives) == ("text", {"exact_match": 1, "prompt_tokens": -1})
    assert problem.holdout == 120 and problem.initials == ({"initial.md": INITIAL},)


def test_tickets_stay_the_same():
    tickets = [(i.input, i.secret.label, i.name) for stage in ("small", "main", "holdout") for i in draw(stage)]
    assert hashlib.sha256(json.dumps(tickets).encode()).hexdigest()[:16] == "21a4092ec7d6e687"


@pytest.mark.parametrize(("stage", "training", "rest"), [("small", 12, 0), ("main", 60, 60), ("holdout", 0, 120)])
def test_numbers_of_tickets(stage, training, rest):
    found = draw(stage)
    assert [one.secret.training for one in found] == [True] * training + [False] * rest
    assert len({one.name for one in found}) == training + rest


def test_stage_key_sets_the_number_of_tickets():
    assert [one.name for one in draw("main", instances=5)][2:] == ["training 2", "validation 0", "validation 1"]


@pytest.mark.parametrize("seed", range(20))
def test_each_rule_shows_in_training_and_in_validation(seed):
    for training in (True, False):
        held = [one.secret.rule for one in draw("main", seed) if one.secret.training is training]
        assert all(held.count(rule) >= 4 for rule in referee.RULES) and held.count(None) >= 20


@pytest.mark.parametrize("stage", ["main", "holdout"])
def test_each_ticket_says_one_word_and_at_most_one_rule_holds(stage):
    for one in draw(stage):
        assert len([word for word in referee.SAID if referee.says(one.input, word)]) == 1
        held = [
            rule for rule in referee.RULES if label_of('JSON {"label": "x"}\n' + str(rule), one.input) == rule.label
        ]
        common = label_of(INITIAL, one.input)
        assert (
            (one.secret.rule in held and common != one.secret.label) if one.secret.rule else common == one.secret.label
        )


def test_holdout_is_said_otherwise():
    bodies = [" ".join(one.input.split("\n\n")[1] for one in draw(stage)) for stage in ("main", "holdout")]
    sentences = [set(re.split(r"(?<=[.]) ", body)) for body in bodies]
    assert not sentences[0] & sentences[1]


# ---------------------------------------------------------------- scores


def test_initial_prompt_goes_by_common_sense():
    found = metrics(INITIAL)
    assert found["exact_match"] == pytest.approx(20 / 60) == found["training_match"]
    assert found["prompt_tokens"] == 57


@pytest.mark.parametrize("stage", ["small", "main", "holdout"])
def test_all_rules_sort_all_tickets(stage):
    found = metrics(WHOLE, stage)
    assert found["exact_match"] == 1.0 and found["prompt_tokens"] == referee.tokens(WHOLE) == 152


def test_the_shortest_known_prompt():
    rules = [f'if {f"{r.field} is {r.value} " if r.field else ""}"{r.word}" answer {r.label}' for r in referee.RULES]
    found = metrics('JSON {"label"\n' + "\n".join(rules))
    assert (found["exact_match"], found["prompt_tokens"]) == (1.0, 71.0)


def test_each_rule_is_worth_its_share():
    values = [metrics(INITIAL + "\n".join(map(str, referee.RULES[:n])))["exact_match"] for n in range(9)]
    assert values == sorted(values) and np.diff(values).min() >= 4 / 60


def test_a_rule_without_its_condition_is_worth_less():
    loose = WHOLE.replace("the plan is enterprise and ", "")
    assert metrics(loose)["exact_match"] < 1.0


def test_remembered_tickets_do_not_help_on_others():
    notes = [f'If it says "{one.input.split(chr(10))[2]}", answer {one.secret.label}.' for one in draw("main")[:60]]
    found = metrics(INITIAL + "\n".join(notes))
    assert found["training_match"] == 1.0 and found["exact_match"] == pytest.approx(20 / 60, abs=0.05)


def test_check_gives_the_same_as_the_referee(capsys):
    dispatch(["check", "prompt_triage", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["metrics"]["prompt_tokens"]) == ("ok", 57) and 0.3 <= found["score"] <= 0.4


# ---------------------------------------------------------------- what a prompt can't do


@pytest.mark.parametrize(
    "answer",
    [
        "", "billing", '"billing"', '{"label": "billing"} ', '{"label": "legal"}', '{"label": "BILLING"}',
        '["label", "billing"]',
        '[["label", "billing"]]', '{"label": "billing", "label": "billing"}', '{"label": "billing", "sure": 1}',
        '{"team": "billing"}', '{"label": ["billing"]}', '{"label": NaN}', '{"label": true}', '{"label": {"label": "billing"}}',
        '```json\n{"label": "billing"}\n```', 'I say {"label": "billing"}', '{"label": "billing"}{"label": "bug"}',
        "[" * 100_000, '{"label": ' * 100_000, "9" * 5000, "\ud800",
    ],
)  # fmt: skip
def test_only_the_label_alone_counts(answer):
    instance = Instance("Plan: pro", referee.Secret("billing", None, True), "training 0")
    expected = float(answer.strip() == '{"label": "billing"}')
    assert referee.score(instance, [answer, 3]).metrics["exact_match"] == expected


def test_without_json_nothing_is_right():
    assert metrics(WHOLE.replace("JSON", "words"))["exact_match"] == 0.0


def test_a_prompt_that_is_too_long_is_refused_before_a_call_is_made():
    with pytest.raises(Invalid, match=r"6,001 characters; at most 6,000"):
        results("x" * 6001, draw("small")[:1], ask=None)


@pytest.mark.parametrize(
    ("text", "count"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("é" * 4, 2), ("x" * 400, 100), ("\ud800", 1)]
)
def test_tokens_are_bytes_by_four_so_that_no_word_is_cheap(text, count):
    assert referee.tokens(text) == count


def test_nothing_of_the_prompt_is_filled_in():
    assert (
        label_of(
            INITIAL + '{label} {{secret}} ${label} If it says "{label}", answer legal.', "Plan: pro\n\nMy password."
        )
        == "account"
    )


def test_the_model_is_asked_with_the_ticket_alone_and_all_at_once():
    asked = []
    instances = draw("main")
    results(INITIAL, instances, ask=lambda question: asked.append(question) or answers(question))
    assert [len(question["prompts"]) for question in asked] == [120, *[1] * 120]
    assert asked[0]["prompts"] == [one.input for one in instances]
    assert {question["system"] for question in asked} == {INITIAL} and {q["max_tokens"] for q in asked} == {500}


def test_feedback_tells_of_failed_training_tickets_alone():
    instances = draw("main") + draw("holdout")
    for one, result in zip(instances, results(INITIAL, instances), strict=True):
        failed = one.secret.training and result.metrics["exact_match"] == 0.0
        assert bool(result.feedback) is failed and (not failed or str(one.secret.rule) in result.feedback)


def test_no_rule_is_told_before_the_first_evaluation():
    problem = load_problem("prompt_triage")
    told = problem.description + problem.knowledge + INITIAL
    assert not [word for word in referee.SAID if referee.says(told, word)]


# ---------------------------------------------------------------- the scripted model


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ('If it says "slow", answer legal.', "legal"),
        ('- if the plan is PRO and it says "Slow" then answer "legal"', "legal"),
        ("If the channel is mail, answer with legal.", "legal"),
        ('If the plan is free and it says "slow", answer legal.', "bug"),
        ('If it says "slo", answer legal.', "bug"),
        ("If you can, answer legal.", "bug"),
        ("Answer legal.", "bug"),
        ('If it says "slow", answer feature.\nIf it says "slow", answer legal.', "feature"),
        ('If it says "slow", answer nonsense.', ""),
    ],
)
def test_the_scripted_model_obeys_what_is_literally_there(rule, label):
    assert label_of(f'Answer in JSON: {{"label": "x"}}\n{rule}', "Plan: pro\nChannel: mail\n\nIt is slow.") == label


def test_the_scripted_model_reads_a_long_prompt_once():
    prompt, began = "if " * 2000, time.process_time()
    results(prompt, draw("main"))
    assert time.process_time() - began < 5  # it is read in 0.2 s, and there are 120 tickets


def test_the_scripted_model_takes_the_key_of_the_example():
    assert referee.model("My password.", 'JSON like {"queue": "bug"}') == '{"queue": "account"}'
    assert referee.model("My password.", "JSON, please") == '{"team": "account"}'
    assert referee.model("My password.", "") == "I would say account."
