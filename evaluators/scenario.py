"""Scenarios: a simulated user with a goal talks to the candidate turn by turn, and a judge goes through the criteria."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluators.judge import last_object, unreadable
from evaluators.lm import Lm
from evaluators.templates import fenced, render
from evolve.errors import EvaluatorError
from evolve.problem import Invalid, Result

END = "[END]"  # with which the simulated user ends the conversation
NAMES = {"user": "Person", "assistant": "Assistant"}
Message = Mapping[str, str]  # role (user or assistant) and content
Agent = Callable[[list[dict[str, str]]], Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who talks to the candidate, what for, and what must hold afterwards (`criteria`: a metric's name -> its text).

    A turn is one message of the user and the candidate's reply. `opening` is the first message; without one it is made up.
    """

    name: str
    persona: str
    goal: str
    criteria: Mapping[str, str]
    max_turns: int = 6
    opening: str | None = None

    def __post_init__(self) -> None:
        if self.max_turns < 1 or not self.criteria or "pass_rate" in self.criteria:
            raise EvaluatorError(
                f"Scenario {self.name!r}: needs max_turns of 1 or more, and criteria, none of which is called pass_rate"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A conversation; `ended` says whether the user ended it, rather than `max_turns`."""

    messages: tuple[Message, ...]
    ended: bool

    def __str__(self) -> str:
        return "\n\n".join(f"{NAMES[message['role']]}: {message['content']}" for message in self.messages)


def play(scenario: Scenario, agent: Agent, lm: Lm) -> Transcript:
    """Has the simulated user talk to the agent, a function of all messages so far (`candidate.reply`, in `drive`).

    Raises Invalid for a reply that is no text.
    """
    messages: list[dict[str, str]] = []
    for turn in range(1, scenario.max_turns + 1):
        said = scenario.opening if turn == 1 and scenario.opening else _user(scenario, messages, lm)
        if said.strip().strip(".").endswith(END):
            return Transcript(messages=tuple(messages), ended=True)
        messages.append({"role": "user", "content": said})
        reply = agent(messages)
        if not isinstance(reply, str):
            raise Invalid(f"{scenario.name}, turn {turn}: the reply is {type(reply).__name__}, not text")
        messages.append({"role": "assistant", "content": reply})
    return Transcript(messages=tuple(messages), ended=False)


def assess(scenario: Scenario, transcript: Transcript, lm: Lm, *, max_tokens: int | None = None) -> Result:
    """Judges each criterion: metrics `pass_rate` and 1 or 0 for each, reasons as feedback, the transcript as an artifact.

    Raises EvaluatorError where the judge's answer lacks a criterion.
    """
    answer = lm(criteria_prompt(scenario, transcript), system=render("judge_system", {}), max_tokens=max_tokens)
    found = last_object(answer, "criteria")
    decided = found[0]["criteria"] if found else None
    if not isinstance(decided, dict) or not all(_is_decided(decided.get(name)) for name in scenario.criteria):
        raise EvaluatorError(unreadable("the judge", answer, f"decision on each of {', '.join(scenario.criteria)}"))
    passed = {name: float(decided[name]["pass"]) for name in scenario.criteria}
    lines = [f"{'met' if passed[name] else 'NOT met'}: {name}: {_reason(decided[name])}" for name in passed]
    feedback = "\n".join([f"scenario {scenario.name}", *sorted(lines), "", str(transcript)])
    metrics = {"pass_rate": sum(passed.values()) / len(passed), **passed}
    return Result(metrics, feedback=feedback, artifacts={f"{scenario.name}.txt": str(transcript)})


def criteria_prompt(scenario: Scenario, transcript: Transcript) -> str:
    """Returns what the judge is asked, the system's part aside."""
    criteria = "\n".join(f"- {name}: {text}" for name, text in scenario.criteria.items())
    values = {"goal": scenario.goal, "conversation": _shown(transcript.messages), "criteria": criteria}
    return render("criteria", values)


def _user(scenario: Scenario, messages: list[dict[str, str]], lm: Lm) -> str:
    """Returns what the simulated user says next."""
    system = render("user_system", {"persona": scenario.persona, "goal": scenario.goal, "end": END})
    said = str(lm(render("user", {"conversation": _shown(messages), "end": END}), system=system)).strip()
    if not said:
        raise EvaluatorError(unreadable("the simulated user", said, "message"))
    return said


def _shown(messages: Sequence[Message]) -> str:
    """Returns a conversation with each message in a fence of its own, so that none can pass for another's."""
    return "\n\n".join(f"{NAMES[m['role']]}:\n{fenced(m['content'])}" for m in messages) or "(nothing was said yet)"


def _is_decided(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("pass"), bool)


def _reason(entry: Mapping[str, Any]) -> str:
    return " ".join(str(entry.get("reason", "")).split())
