"""An answer: its SEARCH/REPLACE blocks and fenced texts in their order, and what it opens with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

from evolve.source import Module

TITLE_WORDS = 8
SEARCH, DIVIDER, REPLACE = (re.compile(sign) for sign in (r"<{5,} ?SEARCH", r"={7}\s*$", r">{5,} ?REPLACE"))
FENCE = re.compile(r"([ \t]*)(`{3,})([^`]*)$")
HEADINGS = ("title", "hypothesis")


class EditError(Exception):
    """Says why no files came out of a completion; shown to the proposer."""


@dataclass(frozen=True, slots=True)
class Part:
    """A block (`old` is its SEARCH) or a fenced text (`old` is the fence's own words); `before` is the prose before it.

    `cut` marks a fence that nothing closes, unless it is the last, its text is Python, and its last line is whole.
    """

    before: str
    old: str
    new: str
    fenced: bool = False
    cut: bool = False


def headings(opening: str) -> dict[str, str]:
    """Returns the title (cut to 8 words) and the hypothesis that an answer opens with."""
    found = {}
    for key in HEADINGS:
        match = _heading(key).search(opening)
        found[key] = match.group(1).strip().strip("*").strip() if match else ""
    found["title"] = " ".join(found["title"].split()[:TITLE_WORDS])
    return found


def _heading(key: str) -> re.Pattern[str]:
    return re.compile(rf"^\W*{key}\W*:[ *]*(.+)$", re.MULTILINE | re.IGNORECASE)


def parts(completion: str) -> list[Part]:
    """Returns an answer's parts in their order. Raises EditError for a block that is cut off, and where there are none.

    A fence around blocks is prose. An answer without a fence counts as one where it is Python with a definition, its
    headings aside.
    """
    reader = _Reader()
    for line in completion.replace("\r\n", "\n").splitlines(keepends=True):
        reader.read(line)
    found = reader.end() or _bare(completion)
    if not found:
        raise EditError("the answer holds neither a SEARCH/REPLACE block nor a fenced file")
    return found


def _bare(completion: str) -> list[Part]:
    lines = completion.replace("\r\n", "\n").splitlines(keepends=True)
    opening = list(
        takewhile(lambda line: not line.strip() or any(_heading(key).match(line) for key in HEADINGS), lines)
    )
    code = "".join(lines[len(opening) :])
    module = Module.read(code)
    return [Part("".join(opening), "", code, fenced=True)] if module is not None and module.definitions else []


class _Reader:
    """Reads an answer line by line: prose, or in a fence, or in one of a block's halves."""

    def __init__(self) -> None:
        self.found: list[Part] = []
        self._before: list[str] = []
        self._old: list[str] = []
        self._new: list[str] = []
        self._into = self._before
        self._fence: tuple[str, str, str] | None = None  # of the open fence: its indent, ticks and words
        self._wraps = False  # whether the open fence holds blocks

    def read(self, line: str) -> None:
        fence = FENCE.match(line.rstrip())
        line = line.removeprefix(self._fence[0]) if self._fence else line
        if self._into is self._before:
            self._read_prose(line, fence)
        elif SEARCH.match(line):
            raise EditError(f"{self._block()} is cut off: another one begins before its >>>>>>> REPLACE")
        elif self._into is self._old and DIVIDER.match(line):
            self._into = self._new
        elif self._into is self._new and REPLACE.match(line):
            self._add(Part("".join(self._before), "".join(self._old), "".join(self._new)))
        else:
            self._into.append(line if line.endswith("\n") else line + "\n")

    def _read_prose(self, line: str, fence: re.Match[str] | None) -> None:
        if SEARCH.match(line):
            self._before += self._new  # of a fence that holds blocks: a path, perhaps
            self._new.clear()
            self._into, self._wraps = self._old, self._fence is not None
        elif self._fence is None:
            if fence:
                self._fence = fence[1], fence[2], fence[3]
            else:
                self._before.append(line)
        elif fence and fence[2] >= self._fence[1] and len(fence[1]) <= len(self._fence[0]) and not fence[3].strip():
            self._close()
        else:
            self._new.append(line)

    def _close(self, cut: bool = False) -> None:
        assert self._fence is not None
        words, wraps = self._fence[2], self._wraps
        self._fence, self._wraps = None, False
        if wraps:
            self._before += self._new
            self._new.clear()
        else:
            self._add(Part("".join(self._before), words, "".join(self._new), fenced=True, cut=cut))

    def _add(self, part: Part) -> None:
        self.found.append(part)
        for lines in (self._before, self._old, self._new):
            lines.clear()
        self._into = self._before

    def _block(self) -> str:
        return f"block {1 + sum(not part.fenced for part in self.found)}"

    def end(self) -> list[Part]:
        if self._into is not self._before:
            raise EditError(f"{self._block()} is cut off before its >>>>>>> REPLACE")
        if self._fence is not None:
            text = "".join(self._new)
            self._close(cut=not text.strip() or not text.endswith("\n") or Module.read(text, indented=True) is None)
        return self.found
