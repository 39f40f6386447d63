"""Variation of prose by whole lines, for prompts as candidates: lines are taken over, heard from the feedback, removed, moved.

What a text is told about itself is where new lines come from: a rule that the feedback states may become a line of the text.
"""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from evolve.llm.mutation import Child, pick, short
from evolve.source import regions

TRIES = 20
BORROW = 0.2  # how often a new line is an inspiration's, not the feedback's
SHARES = (0.6, 0.25, 0.15)  # of adding, removing and moving a line


def vary_text(
    text: str, others: Sequence[str], heard: Sequence[str], rng: Generator, *, mutations: float, crossover: bool
) -> Child | None:
    """Returns a child of a text with about `mutations` edits of its lines, None where nothing can change.

    `heard` are lines of feedback. With `crossover` the first edit takes each line that an inspiration alone has by a coin.
    """
    for attempt in range(TRIES):
        count = 1 + int(rng.poisson(mutations - 1)) if attempt < TRIES // 2 else 1
        lines, titles = text.removesuffix("\n").split("\n"), list[str]()
        for k in range(count):
            start, stop = pick(rng, regions("\n".join(lines)))
            new = fresh([line for other in others for line in other.split("\n")], lines)
            if crossover and k == 0:
                part, title = joined(lines[start:stop], [line for line in new if rng.random() < 0.5])
            else:
                new = new if rng.random() < BORROW else fresh(heard, lines)
                part, title = edited(lines[start:stop], new, rng)
            lines[start:stop] = part
            titles += [title] if title else []
        child = "\n".join(lines) + "\n" * text.endswith("\n")
        if titles and child.split() != text.split():
            return Child(child, tuple(titles))
    return None


def joined(lines: list[str], new: Sequence[str]) -> tuple[list[str], str]:
    return [*lines, *new], f"take {len(new)} lines from inspiration" if new else ""


def edited(lines: list[str], new: Sequence[str], rng: Generator) -> tuple[list[str], str]:
    """Returns lines with one of them removed or moved, or with a new one, and what was done, "" for nothing."""
    kind, at = rng.choice(len(SHARES), p=SHARES), int(rng.integers(len(lines) + 1))
    if kind == 0 and new:
        line = pick(rng, new)
        return [*lines[:at], line, *lines[at:]], f"say {short(line)}"
    if kind == 0 or at == len(lines):
        return lines, ""
    rest = [*lines[:at], *lines[at + 1 :]]
    if kind == 1:
        return rest, f"no longer say {short(lines[at])}"
    to = int(rng.integers(len(lines)))
    return [*rest[:to], lines[at], *rest[to:]], f"move {short(lines[at])}"


def fresh(lines: Sequence[str], known: Sequence[str]) -> list[str]:
    """Returns the lines with text that are not known, each once, without the white space around them."""
    found = dict.fromkeys(line.strip() for line in lines)
    return [line for line in found if line and line not in known and "EVOLVE-BLOCK" not in line]
