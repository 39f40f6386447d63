"""Novelty of a text by a model's judgement, of a text that is like a known one (after Lange et al. 2025, ShinkaEvolve, 3.2)."""

from __future__ import annotations

import re

from evolve.problem import Problem
from evolve.proposer.prompt import files_shown, render
from evolve.types import Files, Prompt

SYSTEM = "You compare programs and say whether one is a new idea beside another. You are brief."


def novelty_prompt(problem: Problem, files: Files, known: Files, seed: tuple[int, ...]) -> Prompt:
    """Returns what a model is asked of a text that is like a known one."""
    shown = {"known": files_shown(known, problem), "proposed": files_shown(files, problem)}
    user = render("novelty", {"description": problem.description, **shown})
    return Prompt(system=SYSTEM, user=user + "\n", operator="novelty", seed=seed, temperature=0.0)


def is_old(answer: str) -> bool:
    """Says whether the model judged it to be no new idea; an answer that says neither lets the text pass."""
    said = re.findall(r"NEW:\W*(yes|no)\b", answer, re.IGNORECASE)
    return bool(said) and said[-1].lower() == "no"
