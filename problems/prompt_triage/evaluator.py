"""Referee of prompts that sort support tickets: draws the tickets, has the model sort each by the prompt, compares.

The desk's eight rules and the labels never leave this side, but for the feedback on training tickets that went wrong. Not
covered: a prompt that lists the words of single tickets (validation and hold-out are other draws), and what a real model
may know of this file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

LABELS = ("billing", "bug", "account", "feature", "outage", "legal")
PLANS, CHANNELS = ("free", "pro", "enterprise"), ("mail", "chat", "phone")
COUNTS = {"small": 12, "main": 120, "holdout": 120}  # of main, half is for training and half for validation
MOST = 6_000  # characters of a prompt
ANSWER_TOKENS = 500

# word -> label by common sense, how tickets say it, how those of the hold-out do
SAID = {
    "refund": ("billing", "I would like a refund for last month.", "We cancelled in time, so please send a refund."),
    "chargeback": ("billing", "My bank has begun a chargeback.", "Expect a chargeback for the second payment."),
    "invoice": ("billing", "The invoice shows the wrong amount.", "Our address on the invoice is out of date."),
    "slow": ("bug", "The dashboard is very slow since Monday.", "Reports are so slow that we gave up on them."),
    "crash": ("bug", "I see a crash whenever I open a chart.", "Each upload ends in a crash of the app."),
    "webhook": ("bug", "The webhook sends every event twice.", "Nothing arrives from the webhook that we set up."),
    "error": ("bug", "Saving gives an error with a long number.", "An error stops us from editing the table."),
    "seat": ("account", "Please add one seat for a new colleague.", "Someone has left, take the seat away again."),
    "password": ("account", "I can't set a new password.", "The link for a forgotten password has expired."),
    "export": ("feature", "It would help to export all notes at once.", "Could you let us export the history?"),
    "dark mode": ("feature", "A dark mode would be kind to my eyes.", "We all hope for dark mode some day."),
    "down": ("outage", "The whole service is down for our office.", "Everything has been down for an hour."),
    "unreachable": ("outage", "Your servers are unreachable from here.", "The site is unreachable from any network."),
    "contract": ("legal", "Our lawyer asks for a changed contract.", "Who signs the contract on your side?"),
    "privacy": (
        "legal",
        "I have a question on your privacy terms.",
        "The privacy officer needs your answer in writing.",
    ),
}
ASIDES = (
    "We like the product.", "This is for the team in Lyon.", "I have tried twice.", "Thank you for your help.",
    "My colleague saw it as well.", "We use it every day.", "It is not urgent.", "I look forward to your answer.",
)  # fmt: skip
OTHER_ASIDES = (
    "Best wishes from the harbour.", "I wrote about this in spring.", "We are eleven people.", "The phone line was busy.",
    "A partner told us to ask you.", "Our quarter ends soon.", "Feel free to call back.", "I am new here.",
)  # fmt: skip


class Rule(NamedTuple):
    """A rule of the desk: tickets that say the word, and have the field's value where there is one, get the label."""

    word: str
    label: str
    field: str = ""
    value: str = ""

    def __str__(self) -> str:
        which = f"the {self.field} is {self.value} and " if self.field else ""
        return f'If {which}it says "{self.word}", answer {self.label}.'


RULES = (
    Rule("slow", "outage", "plan", "enterprise"),
    Rule("chargeback", "legal"),
    Rule("refund", "account", "plan", "free"),
    Rule("export", "legal"),
    Rule("crash", "outage", "channel", "phone"),
    Rule("webhook", "feature"),
    Rule("seat", "billing"),
    Rule("down", "bug", "channel", "chat"),
)
RULED = {rule.word: rule for rule in RULES}
PLAIN = tuple(word for word in SAID if word not in RULED or RULED[word].field)  # may be said where no rule holds


class Secret(NamedTuple):
    """What the scorer alone knows of a ticket; the first one of a stage has all texts, to be asked at once."""

    label: str
    rule: Rule | None
    training: bool
    together: tuple[str, ...] = ()


# ---------------------------------------------------------------- tickets


def instances(stage: Stage, rng: np.random.Generator) -> list[Instance]:
    """Returns the stage's tickets, drawn one after another: in `main` first those for training, then as many to validate."""
    count = stage.instances or COUNTS.get(stage.name, COUNTS["main"])
    training = {"main": (count + 1) // 2, "holdout": 0}.get(stage.name, count)
    rest = "holdout" if stage.name == "holdout" else "validation"
    found = [*_drawn(rng, training, "training"), *_drawn(rng, count - training, rest)]
    first = found[0].secret._replace(together=tuple(one.input for one in found))
    return [replace(found[0], secret=first), *found[1:]]


def _drawn(rng: np.random.Generator, count: int, kind: str) -> list[Instance]:
    """Returns so many tickets in a random order; every rule holds for its share of them, where there are enough."""
    tickets = [_ticket(rng, k, kind == "holdout") for k in range(count)]
    mixed = [tickets[k] for k in rng.permutation(count)]
    return [
        Instance(text, Secret(rule.label if rule else _word_label(text), rule, kind == "training"), f"{kind} {k}")
        for k, (text, rule) in enumerate(mixed)
    ]


def _ticket(rng: np.random.Generator, k: int, late: bool) -> tuple[str, Rule | None]:
    """Returns a ticket's text and the rule that holds for it: of 13 in turn 8 have one; in the hold-out each 2 of 3 times."""
    turn = int(rng.integers(12)) if late else k % 13
    rule = RULES[turn] if turn < len(RULES) else None
    word = rule.word if rule else _pick(rng, PLAIN)
    fields = {"plan": _pick(rng, PLANS), "channel": _pick(rng, CHANNELS)}
    near = RULED.get(word)
    if near is not None and near.field:
        others = PLANS if near.field == "plan" else CHANNELS
        fields[near.field] = near.value if rule else _pick(rng, [value for value in others if value != near.value])
    asides = OTHER_ASIDES if late else ASIDES
    asides = [asides[i] for i in rng.permutation(len(asides))[: 4 if late else 2]]
    sentences = [SAID[word][2 if late else 1], *asides]
    body = " ".join(sentences[i] for i in rng.permutation(len(sentences)))
    subject = f"Question {int(rng.integers(100_000, 1_000_000))}"
    return f"Plan: {fields['plan']}\nChannel: {fields['channel']}\nSubject: {subject}\n\n{body}", rule


def _pick(rng: np.random.Generator, among: Sequence[str]) -> str:
    return among[int(rng.integers(len(among)))]


def _word_label(text: str) -> str:
    """Returns the label that common sense gives a ticket, "" where it says none of the words."""
    return next((label for word, (label, *_) in SAID.items() if says(text, word)), "")


def says(text: str, phrase: str) -> bool:
    """Tells whether a text has a phrase as whole words."""
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.I) is not None


# ---------------------------------------------------------------- the score


def drive(instance: Instance, candidate: Any, lm: Any) -> list[Any]:
    """Returns the model's answer to one ticket, and the prompt's tokens. Raises Invalid for a prompt that is too long."""
    prompt = candidate.text
    if len(prompt) > MOST:
        raise Invalid(f"the prompt has {len(prompt):,} characters; at most {MOST:,} are read")
    if instance.secret.together:  # all at once: each ticket is then answered from what was stored
        lm.many(instance.secret.together, system=prompt, max_tokens=ANSWER_TOKENS)
    return [lm(instance.input, system=prompt, max_tokens=ANSWER_TOKENS), tokens(prompt)]


def tokens(prompt: str) -> int:
    """Returns a prompt's length in tokens of four bytes, whatever the model's own are, so that no word is cheap."""
    return -(-len(prompt.encode("utf-8", "replace")) // 4)


def score(instance: Instance, output: Sequence[Any]) -> Result:
    """Returns whether the label is the desk's. Only a training ticket that went wrong is told of."""
    answer, length = output
    secret = instance.secret
    label = parse(answer)
    right = float(label == secret.label)
    metrics = {"exact_match": right, "prompt_tokens": float(length)}
    if not secret.training:
        return Result(metrics)
    got = label or f"what is not one JSON object with a team as label: {str(answer)[:80]!r}"
    ticket = " | ".join(line for line in instance.input.split("\n") if line)
    note = secret.rule or "No rule of the desk holds; go by what is asked."
    feedback = "" if right else f"{instance.name}: expected {secret.label}, got {got}\n{ticket}\nThe desk: {note}"
    return Result({**metrics, "training_match": right}, feedback=feedback)


def parse(answer: str) -> str:
    """Returns the label of an answer, "" for what is not {"label": TEAM} alone."""
    try:
        pairs = json.loads(answer, object_pairs_hook=tuple)
    except (ValueError, RecursionError):
        return ""
    named = isinstance(pairs, tuple) and len(pairs) == 1 and pairs[0][0] == "label"
    return pairs[0][1] if named and pairs[0][1] in LABELS else ""


def aggregate(results: Sequence[Result]) -> dict[str, float]:
    """Returns the match on the validation, which ranks (in a stage without one: on all), and that on the training."""
    validation = [result for result in results if "training_match" not in result.metrics] or results
    training = [result.metrics["training_match"] for result in results if "training_match" in result.metrics]
    return {
        "exact_match": sum(result.metrics["exact_match"] for result in validation) / len(validation),
        "prompt_tokens": results[0].metrics["prompt_tokens"],
        **({"training_match": sum(training) / len(training)} if training else {}),
    }


# ---------------------------------------------------------------- the scripted model

OBEYED = re.compile(r"\bif\b([^\n]*?)\banswer (?:with )?[\"']?(\w+)", re.I)
FIELD = re.compile(r"\b(plan|channel) is (\w+)", re.I)


def model(prompt: str, system: str) -> str:
    """Answers as a model without wit would: the first rule of the prompt that holds, word by word, else common sense.

    A rule is `If the plan is P and it says "W", answer L`, in any mixture of such conditions on one line. JSON comes only
    where the prompt asks for it, with the key of its example. Knows nothing of RULES.
    """
    label = next((label for given, label in _rules(system) if _holds(given, prompt)), _word_label(prompt))
    key = re.search(r'\{\s*"(\w+)"', system)
    return json.dumps({key[1] if key else "team": label}) if says(system, "JSON") else f"I would say {label}."


@lru_cache(8)  # of a prompt of many `if` the search is slow, and every ticket has the same one
def _rules(system: str) -> list[tuple[str, str]]:
    return [(given, label) for given, label in OBEYED.findall(system)]


def _holds(given: str, ticket: str) -> bool:
    phrases, fields = re.findall(r'"([^"]+)"', given), FIELD.findall(given)
    held = [says(ticket, phrase) for phrase in phrases]
    held += [says(ticket, f"{field}: {value}") for field, value in fields]
    return bool(held) and all(held)
