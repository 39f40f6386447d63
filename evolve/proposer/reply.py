"""The reply to an answer: what became of it, and what is asked for next, as the next message of the same conversation."""

from __future__ import annotations

from collections.abc import Sequence

from evolve.problem import Problem
from evolve.proposer.deleted import listed
from evolve.proposer.prompt import FEEDBACK_CHARS, render
from evolve.proposer.shown import digits_of, gap, measured, trimmed, worst_lines
from evolve.types import Candidate, StageOutcome, Status

WHOLE = ("rewrite", "crossover", "initial", "functions")  # operators whose answers need no SEARCH


def reply(
    problem: Problem,
    *,
    parent: Candidate | None,
    status: str,
    reason: str,
    outcome: StageOutcome | None,
    reintroduced: Sequence[tuple[str, int]] = (),
    last: bool,
    operator: str,
) -> str:
    """Returns the next user message after an answer.

    The next answer is applied to the program that this one made, or to the parent (nothing for None) where it made none
    (`edit_failed`); the text says so. `outcome` is that of the first stage, None where it was not run; its metrics stand
    beside the parent's where the parent's are of the same stage. `last` says that no further reply will follow.
    """
    happened = [_became(problem, status, reason, outcome)]
    if outcome is not None:
        happened += _found(problem, parent, outcome)
    if reintroduced:
        happened.append(f"You brought back lines that were deleted earlier in this lineage:\n{listed(reintroduced)}")
    return render(
        "reply",
        {
            "happened": "\n\n".join(filter(None, happened)),
            "goal": _goal(status, operator),
            "base": _base(status, operator, parent) + (" It is the last one." if last else ""),
        },
    )


def _became(problem: Problem, status: str, reason: str, outcome: StageOutcome | None) -> str:
    said = f": {reason.strip()}" if reason.strip() else ""
    if status == Status.EDIT_FAILED:
        return f"Your answer could not be applied{said}."
    if status == Status.DUPLICATE:
        return f"Your answer was not run{said or ': the program was tried before'}."
    if outcome is None:
        return f"Your program ended as {status}{said}."
    stage = f"stage {outcome.stage} ({problem.stage(outcome.stage).timeout_s:g} s)"
    if outcome.status is Status.OK and status == Status.OK:
        return f"Your program ran and passed {stage}."
    said = "" if reason.strip() in outcome.feedback else said
    return f"Your program ended as {status} in {stage}{said}."


def _found(problem: Problem, parent: Candidate | None, outcome: StageOutcome) -> list[str]:
    """Returns what the stage measured, its feedback, and the worst instances."""
    beside = parent.metrics if parent and parent.stage == outcome.stage else {}
    shown = digits_of(problem, [outcome.metrics, beside])
    ok = outcome.status is Status.OK
    lines = [measured(problem, outcome.metrics, shown) if ok else ""]
    if ok and beside:
        lines.append(f"The parent: {measured(problem, beside, shown)}.")
    if ok and outcome.stage == problem.stages[-1].name:
        lines.append(gap(problem, outcome.metrics))
    feedback = trimmed(outcome.feedback)[-FEEDBACK_CHARS:]
    worst = worst_lines(problem, outcome.instances, feedback)
    return [
        "\n".join(filter(None, lines)),
        f"Feedback:\n{feedback}" if feedback else "",
        "\n".join(["The instances that it does worst on:", *worst]) if worst else "",
    ]


def _goal(status: str, operator: str) -> str:
    if status == Status.OK:
        return "Make it simpler still." if operator == "simplify" else "Make it better still."
    if status == Status.DUPLICATE:
        return "Change something else."
    return "Correct the answer." if status == Status.EDIT_FAILED else "Repair it and keep its idea."


def _base(status: str, operator: str, parent: Candidate | None) -> str:
    if status == Status.EDIT_FAILED:
        return (
            "It is applied to the parent as shown above, not to your last answer."
            if parent
            else "Give the whole program."
        )
    copied = "" if operator in WHOLE else "; copy SEARCH lines from that, not from the parent"
    return f"It is applied to the program that your last answer made{copied}."
