"""Deleted lines: what a lineage took out, and what comes back (about 30 % of added lines do: arXiv:2605.20086)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from evolve.types import Candidate, Files

LEAST_CHARS = 10  # a shorter line says too little to be the same idea
SHOWN = 12


def substantive(files: Files) -> list[str]:
    """Returns the lines that say something, without white space around them: no blank, short ones or mere signs."""
    return list(dict.fromkeys(line for path in sorted(files) for line in _lines(files[path])))


@lru_cache(maxsize=512)
def _lines(text: str) -> tuple[str, ...]:
    stripped = (line.strip() for line in text.splitlines())
    return tuple(line for line in stripped if len(line) >= LEAST_CHARS and re.search(r"\w{3}", line))


def _latest(line_of_descent: Sequence[Candidate]) -> dict[str, int]:
    """Returns for each line that a candidate's parent, the next in the sequence, had and it lacks, who was the last such."""
    found: dict[str, int] = {}
    for child, parent in pairwise(line_of_descent):
        has = set(substantive(child.files))
        found |= {line: child.id for line in substantive(parent.files) if line not in has and line not in found}
    return found


def reintroduced(files: Files, parent: Candidate, ancestors: Sequence[Candidate]) -> list[tuple[str, int]]:
    """Returns the lines that files add to the parent's and that were deleted before, with the candidate that did it.

    `ancestors` are the parent's parent, its parent and so on.
    """
    has, deleted = set(substantive(parent.files)), _latest([parent, *ancestors])
    return [(line, deleted[line]) for line in substantive(files) if line in deleted and line not in has]


def restored(parent: Candidate, ancestors: Sequence[Candidate]) -> list[tuple[str, int]]:
    """Returns the lines of the parent that an ancestor had deleted, with the candidate that did it; the latest first."""
    has = set(substantive(parent.files))
    return [(line, candidate) for line, candidate in _latest([parent, *ancestors]).items() if line in has]


def absent(parent: Candidate, ancestors: Sequence[Candidate]) -> list[tuple[str, int]]:
    """Returns the lines that were deleted last in the parent's line and that it still lacks, at most 12.

    A line that stands there with other numbers is not lacking.
    """
    has = set(map(_numberless, substantive(parent.files)))
    deleted = _latest([parent, *ancestors]).items()
    return [(line, candidate) for line, candidate in deleted if _numberless(line) not in has][:SHOWN]


def _numberless(line: str) -> str:
    return re.sub(r"(?<![\w.])\d[\w.]*", "0", line)


def listed(lines: Sequence[tuple[str, int]]) -> str:
    """Returns a list of lines with the candidates that deleted them."""
    return "\n".join(f"- `{line[:160]}` (by candidate {candidate})" for line, candidate in lines)
