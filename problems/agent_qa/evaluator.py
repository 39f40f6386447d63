"""Referee of agents that answer questions: makes a knowledge base and questions, lends the tools and counts their calls.

The tools run here: a candidate holds names of them, so no call goes uncounted, and it never sees an answer. Not covered: an
agent that has learnt from feedback what single pages say (the hold-out has other ones), and what the model knows by itself.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

TOOL_CALLS, MODEL_CALLS = 8, 4  # for each question
COST = 0.01  # of a tool's call
FOUND = 3  # titles that a search returns
MOST = 4_000  # characters of a prompt
COUNTS = {"small": 4, "main": 36, "holdout": 40}
HOPS = {"small": (2, 3), "main": (2, 3, 4), "holdout": (4, 5)}  # in turn
KINDS = ("person", "company", "city", "country")
ALIKE = ("river", "ship")  # kinds of pages that no question asks for, with names of those that one does
EACH = 20  # pages of a kind
SYLLABLES = (
    "bal", "cor", "den", "far", "gil", "hol", "jas", "kel", "lor", "mir",
    "nes", "pol", "rud", "sal", "tor", "vek", "wal", "yor", "zan", "tam",
)  # fmt: skip


class Relation(NamedTuple):
    """What leads from one kind of thing to another: what questions call it, and the sentence on the page of the first."""

    name: str
    of: str
    to: str
    sentence: str


RELATIONS = (
    Relation("birthplace", "person", "city", "{} was born in {}"),
    Relation("employer", "person", "company", "{} works for {}"),
    Relation("mentor", "person", "person", "The mentor of {} is {}"),
    Relation("founder", "company", "person", "The founder of {} is {}"),
    Relation("seat", "company", "city", "{} has its offices in {}"),
    Relation("mayor", "city", "person", "The mayor of {} is {}"),
    Relation("country", "city", "country", "{} lies within the borders of {}"),
    Relation("population", "city", "number", "The population of {} is {}"),
    Relation("capital", "country", "city", "The capital of {} is {}"),
    Relation("area", "country", "number", "The area of {} is {}"),
    Relation("currency", "country", "word", "People in {} pay with the {}"),
)
RENAMED = (  # in the hold-out, in the same order
    Relation("home town", "person", "city", "{} grew up in {}"),
    Relation("workplace", "person", "company", "{} earns a living at {}"),
    Relation("teacher", "person", "person", "The teacher of {} is {}"),
    Relation("creator", "company", "person", "The creator of {} is {}"),
    Relation("headquarters", "company", "city", "{} is run from {}"),
    Relation("head", "city", "person", "The head of {} is {}"),
    Relation("nation", "city", "country", "{} belongs to {}"),
    Relation("inhabitants", "city", "number", "The inhabitants of {} number {}"),
    Relation("main city", "country", "city", "The main city of {} is {}"),
    Relation("extent", "country", "number", "The extent of {} is {}"),
    Relation("money", "country", "word", "Prices in {} are given in the {}"),
)
STALE = "Until {year} it was otherwise: {sentence}"
ASIDES = ("{} is well liked", "Many songs mention {}", "Little else is known of {}", "A book on {} is being written")


# ---------------------------------------------------------------- the knowledge base


class Base:
    """Pages of a made-up world: title -> text. A name belongs to several things of different kinds."""

    def __init__(self, rng: np.random.Generator, relations: Sequence[Relation]):
        names = [a.capitalize() + b for a in SYLLABLES for b in SYLLABLES if a != b]
        pool = [names[i] for i in rng.permutation(len(names))[: EACH * 5 // 3]]
        self.named = {kind: [pool[i] for i in rng.permutation(len(pool))[:EACH]] for kind in (*KINDS, *ALIKE)}
        self.facts: dict[tuple[str, str, str], str] = {}  # (kind, name, relation) -> value
        self.pages = {
            f"{name} ({kind})": self._page(rng, kind, name, [one for one in relations if one.of == kind])
            for kind, known in self.named.items()
            for name in known
        }

    @cached_property
    def _index(self) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
        """The words of each page: of its title, and of its text."""
        return {title: (_words(title), _words(text)) for title, text in self.pages.items()}

    def _page(self, rng: np.random.Generator, kind: str, name: str, relations: Sequence[Relation]) -> str:
        sentences = [ASIDES[i].format(name) for i in rng.permutation(len(ASIDES))[:2]]
        for relation in relations:
            now, before = self._value(rng, relation, name), self._value(rng, relation, name)
            self.facts[kind, name, relation.name] = now
            sentences.append(relation.sentence.format(name, now))
            if before != now and rng.random() < 0.4:
                old = relation.sentence.format(name, before)
                sentences.append(STALE.format(year=int(rng.integers(1900, 2020)), sentence=old))
        return ". ".join(sentences[i] for i in rng.permutation(len(sentences))) + "."

    def _value(self, rng: np.random.Generator, relation: Relation, name: str) -> str:
        if relation.to == "number":
            return str(int(rng.integers(1_000, 1_000_000)))
        if relation.to == "word":
            return _pick(rng, SYLLABLES) + _pick(rng, ("mark", "pound", "crown"))
        return _pick(rng, [other for other in self.named[relation.to] if other != name])

    def search(self, query: str) -> list[str]:
        """Returns the titles of at most three pages, those first that have most words of the query, in the title above all."""
        wanted = _words(query)
        rank = {title: 10 * len(wanted & named) + len(wanted & said) for title, (named, said) in self._index.items()}
        return sorted((title for title in rank if rank[title]), key=lambda title: (-rank[title], title))[:FOUND]


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.lower()))


def _pick(rng: np.random.Generator, among: Sequence[Any]) -> Any:
    return among[int(rng.integers(len(among)))]


# ---------------------------------------------------------------- the questions


class Used:
    """What a question has cost so far: calls of tools and of the model, and a line for each tool's call."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.tools = self.model = 0
        self.log: list[str] = []


class Secret(NamedTuple):
    """What the scorer alone knows of a question; `services` has `used` begin anew."""

    answer: str
    base: Base
    used: Used


def instances(stage: Stage, rng: np.random.Generator) -> list[Instance]:
    """Returns the stage's questions, every fourth a comparison of numbers. Each has a knowledge base of its own, so that
    pages kept from one question don't help with the next."""
    relations = RENAMED if stage.name == "holdout" else RELATIONS
    hops = HOPS.get(stage.name, HOPS["main"])
    found = []
    for k in range(stage.instances or COUNTS.get(stage.name, COUNTS["main"])):
        base = Base(rng, relations)
        length = hops[k // 4 % len(hops)] if k % 4 == 3 else hops[k % len(hops)]
        question, answer = (_comparison if k % 4 == 3 else _plain)(rng, base, relations, length)
        found.append(Instance(question, Secret(answer, base, Used()), f"question {k} ({length} hops)"))
    return found


def _plain(rng: np.random.Generator, base: Base, relations: Sequence[Relation], hops: int) -> tuple[str, str]:
    chain, value = _chain(rng, base, relations, hops, "")
    return f"What is the {chain}?", value


def _comparison(rng: np.random.Generator, base: Base, relations: Sequence[Relation], hops: int) -> tuple[str, str]:
    one = two = _chain(rng, base, relations, hops // 2, "number")
    while one[1] == two[1]:
        two = _chain(rng, base, relations, hops - hops // 2, "number")
    (less, few), (more, many) = sorted((one, two), key=lambda chain: int(chain[1]))
    return f"How much larger is the {more} than the {less}?", str(int(many) - int(few))


def _chain(rng: np.random.Generator, base: Base, relations: Sequence[Relation], hops: int, end: str) -> tuple[str, str]:
    """Returns a chain of relations, `R3 of the R2 of the R1 of NAME`, that ends in a kind ("" for any), and its value."""
    while True:
        kind = _pick(rng, KINDS)
        value = start = _pick(rng, base.named[kind])
        followed: list[str] = []
        while len(followed) < hops and kind in KINDS:
            relation = _pick(rng, [one for one in relations if one.of == kind])
            value, kind = base.facts[kind, value, relation.name], relation.to
            followed.append(relation.name)
        if len(followed) == hops and kind == (end or kind) and value != start:
            return " of the ".join(followed[::-1]) + f" of {start}", value


# ---------------------------------------------------------------- what the candidate may call


def services(instance: Instance, lm: Any) -> dict[str, Callable[..., Any]]:
    """Returns the tools and the model for one question: the ninth call of tools and the fifth of the model are refused."""
    base, used = instance.secret.base, instance.secret.used
    used.begin()

    def counted(tool: Callable[[str], Any]) -> Callable[[Any], Any]:
        def call(text: Any) -> Any:
            if used.tools == TOOL_CALLS:
                raise Invalid(f"{TOOL_CALLS} calls of tools are used up")
            used.tools += 1
            result = tool(_text(text, tool.__name__))
            used.log.append(f"{tool.__name__}({str(text)[:60]!r}) -> {str(result)[:160]!r}")
            return result

        return call

    def search(query: str) -> list[str]:
        return base.search(query)

    def lookup(title: str) -> str:
        return base.pages.get(title, "")

    def ask(prompt: Any) -> str:
        if used.model == MODEL_CALLS:
            raise Invalid(f"{MODEL_CALLS} calls of the model are used up")
        used.model += 1
        return str(lm(_text(prompt, "lm"), max_tokens=300))

    return {"search": counted(search), "lookup": counted(lookup), "calc": counted(calc), "lm": ask}


def _text(given: Any, name: str) -> str:
    if not isinstance(given, str) or len(given) > MOST:
        got = f"{len(given):,}" if isinstance(given, str) else f"a value of type {type(given).__name__}"
        raise Invalid(f"{name} takes a text of at most {MOST:,} characters, not {got}")
    return given


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def calc(expression: str) -> int | float:
    """Returns the value of an expression of numbers, + - * / and parentheses. Raises Invalid for anything else."""
    try:
        if len(expression) > 200:
            raise ValueError("it is too long")
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (ValueError, SyntaxError, ArithmeticError, RecursionError, MemoryError) as error:
        raise Invalid(f"can't calculate {expression[:60]!r}: {error}") from None


def _value(node: ast.expr) -> int | float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_value(left), _value(right))
    raise ValueError("only numbers, + - * / and parentheses are allowed")


# ---------------------------------------------------------------- the score


def drive(instance: Instance, candidate: Any) -> Any:
    """Returns what the agent answers."""
    lent = dict(candidate.services)
    lm = lent.pop("lm")
    return candidate.run(instance.input, lent, lm)


def score(instance: Instance, output: Any) -> Result:
    """Returns 1 for the answer and 0 for another one, less 0.01 for each call of a tool; the answer is never shown."""
    used = instance.secret.used
    right = float(answered(output) == instance.secret.answer)
    said = "right" if right else f"wrong: answered {str(output)[:60]!r}"
    feedback = f"{instance.name}: {said}; {used.tools} calls of tools, {used.model} of the model"
    if not right:
        feedback += "".join(f"\n  {line}" for line in (f"asked: {instance.input}", *used.log))
    return Result(
        {
            "score": right - COST * used.tools,
            "exact_match": right,
            "tool_calls": float(used.tools),
            "model_calls": float(used.model),
        },
        feedback=feedback,
        features={"tool_calls": float(used.tools), "model_calls": float(used.model)},
    )


def answered(output: Any) -> str:
    """Returns an answer as text. Raises Invalid for what is neither text nor a number."""
    if isinstance(output, float) and output.is_integer():
        output = int(output)
    if isinstance(output, bool) or not isinstance(output, str | int | float):
        raise Invalid(f"run returned a value of type {type(output).__name__}; an answer is text or a number")
    if isinstance(output, int) and output.bit_length() > MOST:  # Python does not even print longer ones
        raise Invalid(f"run returned a number of {output.bit_length():,} bits; an answer has at most {MOST:,}")
    return output.strip() if isinstance(output, str) else repr(output)


def aggregate(results: Sequence[Result]) -> dict[str, float]:
    """Returns the means; a question on which the agent failed has a score alone, and is not matched."""
    told = [result.metrics for result in results if "exact_match" in result.metrics]
    means = {name: sum(m[name] for m in told) / max(len(told), 1) for name in ("tool_calls", "model_calls")}
    return {
        "score": sum(result.metrics["score"] for result in results) / len(results),
        "exact_match": sum(m["exact_match"] for m in told) / len(results),
        **means,
    }


# ---------------------------------------------------------------- the scripted model


def model(prompt: str, system: str) -> str:
    """Plans or reads as a model would that does what it is told, no more: without `KIND` in the prompt it names no kinds,
    without `Until` it takes the first sentence that fits, be it out of date. Knows the relations, but no page."""
    told, reads, rest = prompt.partition("Page: ")
    if reads:
        page, _, question = rest.rpartition("\nWhat is the ")
        name, _, subject = question.strip().removesuffix("?").rpartition(" of ")
        return _read(told, page, name, subject)
    told, plans, question = prompt.partition("Question: ")
    return _plan(told, question.strip().removesuffix("?")) if plans else "I don't know what to do."


def _read(told: str, page: str, name: str, subject: str) -> str:
    known = {relation.name: relation.sentence for relation in (*RELATIONS, *RENAMED)}
    said, about = (known[name], subject) if name in known else ("The {} is {}", f"{name} of {subject}")
    pattern = said.format(re.escape(about), r"(\w+)")  # only what is ours is a format: `about` may hold braces
    for sentence in page.split(". "):
        found = re.search(pattern, sentence)
        if found and not (says(told, "Until") and sentence.startswith("Until")):
            return found[1] if says(told, "alone") else f"It is {found[1]}."
    return "unknown"


def _plan(told: str, question: str) -> str:
    """Returns the lines `start: NAME | KIND` and `RELATION | KIND`, as the prompt asks for them."""
    compared = re.fullmatch(r"How much larger is the (.+) than the (.+)", question)
    lines = []
    for chain in compared.groups() if compared else [question.removeprefix("What is the ")]:
        *names, last = chain.split(" of the ")
        name, _, start = last.rpartition(" of ")
        known = [next((r for r in (*RELATIONS, *RENAMED) if r.name == one), None) for one in (name, *names[::-1])]
        if None in known:
            return "I don't know such a relation."
        lines += [(f"start: {start}", known[0].of), *((relation.name, relation.to) for relation in known)]
    return "\n".join(f"{what} | {kind}" if says(told, "KIND") else what for what, kind in lines)


def says(text: str, word: str) -> bool:
    """Tells whether a text has a word."""
    return re.search(rf"\b{word}\b", text) is not None
