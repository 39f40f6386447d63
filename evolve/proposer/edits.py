"""Edits: a completion and the parent's files in, new files or the reason why there are none out."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from evolve.source import END, START, frozen, meaning
from evolve.types import Files

TITLE_WORDS = 8
SEARCH, DIVIDER, REPLACE = (re.compile(sign) for sign in (r"<{5,} ?SEARCH", r"={7}\s*$", r">{5,} ?REPLACE"))
ALMOST = re.compile(r"<{3,}\s*SEARCH", re.MULTILINE)
FENCE = re.compile(r"(`{3,})([^`]*)$")


class EditError(Exception):
    """Says why no files came out of a completion; shown to the proposer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """New files of a candidate, with the title and hypothesis that the answer opened with ("" where missing)."""

    files: Files
    title: str = ""
    hypothesis: str = ""


def apply(completion: str, parent: Files, editable: Sequence[str]) -> Edited:
    """Applies SEARCH/REPLACE blocks, or else fenced whole files, to the parent. Raises EditError with the reason.

    Every SEARCH must be found, as whole lines, exactly once; only `editable` files change, and in a file with EVOLVE-BLOCK
    markers only the lines between them.
    """
    lines = completion.replace("\r\n", "\n").splitlines(keepends=True)
    blocks = _blocks(lines)
    fences = [] if blocks else _fences(lines)
    if not blocks and not fences:
        raise EditError("the answer holds neither a SEARCH/REPLACE block nor a fenced file")
    files = _diffs(blocks, parent, editable) if blocks else _rewrites(fences, parent, editable)
    for path, text in files.items():
        _check_markers(path, parent.get(path, ""), text)
    if all(text.splitlines() == parent.get(path, "").splitlines() for path, text in files.items()):
        raise EditError("the answer changes nothing")
    return Edited(files=files, **headings((blocks or fences)[0].before))


def headings(opening: str) -> dict[str, str]:
    """Returns the title (cut to 8 words) and the hypothesis that an answer opens with."""
    found = {}
    for key in ("title", "hypothesis"):
        match = re.search(rf"^\W*{key}\W*:[ *]*(.+)$", opening, re.MULTILINE | re.IGNORECASE)
        found[key] = match.group(1).strip().strip("*").strip() if match else ""
    found["title"] = " ".join(found["title"].split()[:TITLE_WORDS])
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """A block (`old` is its SEARCH) or a fenced file (`old` is the fence's own words); `before` is the prose before it."""

    before: str
    old: str
    new: str


# ---------------------------------------------------------------- diffs


def _blocks(lines: Sequence[str]) -> list[Part]:
    found: list[Part] = []
    before, old, new = [], [], []  # type: tuple[list[str], list[str], list[str]]
    into = before
    for line in lines:
        if SEARCH.match(line):
            if into is not before:
                raise EditError(f"block {len(found) + 1} is cut off: another one begins before its >>>>>>> REPLACE")
            into = old
        elif into is old and DIVIDER.match(line):
            into = new
        elif into is new and REPLACE.match(line):
            found.append(Part("".join(before), "".join(old), "".join(new)))
            before, old, new = [], [], []
            into = before
        else:
            into.append(line if line.endswith("\n") else line + "\n")
    if into is not before:
        raise EditError(f"block {len(found) + 1} is cut off before its >>>>>>> REPLACE")
    return found


def _diffs(blocks: Sequence[Part], parent: Files, editable: Sequence[str]) -> Files:
    files = dict(parent)
    for number, block in enumerate(blocks, 1):
        path = _path_before(block.before, files, editable, f"block {number}")
        files[path] = _replace(files[path], block.old, block.new, f"block {number} ({path})")
    return files


def _path_before(text: str, files: Files, editable: Sequence[str], what: str) -> str:
    """Returns the file that a block means: the last path named before it, or the only editable one."""
    if len(editable) == 1:
        path: str | None = editable[0]
    else:
        named = {path: _last_named(path, text) for path in dict.fromkeys([*editable, *files])}
        path = max(named, key=lambda name: named[name]) if max(named.values()) >= 0 else None
    if path is None:
        raise EditError(f"{what} names no file before it; the editable files are {', '.join(editable)}")
    if path not in editable:
        raise EditError(f"{what} changes {path}, which may not change; editable: {', '.join(editable)}")
    if path not in files:
        raise EditError(f"{what} changes {path}, which this parent does not have")
    return path


def _last_named(path: str, text: str) -> int:
    """Returns where a text names a path last, -1 where it never does."""
    return max((m.end() for m in re.finditer(rf"(?<![\w/.-]){re.escape(path)}(?![\w/-]|\.\w)", text)), default=-1)


def _replace(text: str, search: str, replacement: str, what: str) -> str:
    if any(DIVIDER.match(line) for line in replacement.splitlines()):
        raise EditError(f"{what} has two ======= lines; choose SEARCH lines without one")
    if not search.strip():
        raise EditError(f"{what}: SEARCH is empty; copy the lines to replace from the parent")
    text = text if text.endswith("\n") else text + "\n"
    places = _places(text, search)
    if not places:
        return _replace_loosely(text, search, replacement, what)
    if len(places) > 1:
        raise EditError(f"{what}: SEARCH is found {len(places)} times; give more lines so that it is found once")
    return text[: places[0]] + replacement + text[places[0] + len(search) :]


def _places(text: str, search: str) -> list[int]:
    """Returns where `search` stands in `text` as whole lines."""
    found = []
    at = text.find(search)
    while at != -1:
        if at == 0 or text[at - 1] == "\n":
            found.append(at)
        at = text.find(search, at + 1)
    return found


def _replace_loosely(text: str, search: str, replacement: str, what: str) -> str:
    """Matches but for white space at line ends and blank lines around: what models get wrong without meaning it."""
    lines = text.splitlines(keepends=True)
    wanted = [line.rstrip() for line in search.strip("\n").splitlines()]
    starts = [i for i in range(len(lines)) if [line.rstrip() for line in lines[i : i + len(wanted)]] == wanted]
    if len(starts) != 1:
        times = (
            f"found {len(starts)} times"
            if starts
            else f"not found in the parent; its first line is {wanted[0].strip()!r}"
        )
        raise EditError(f"{what}: SEARCH is {times}")
    new = replacement.strip("\n") + "\n" if replacement.strip("\n") else ""
    return "".join(lines[: starts[0]]) + new + "".join(lines[starts[0] + len(wanted) :])


# ---------------------------------------------------------------- whole files


def _fences(lines: Sequence[str]) -> list[Part]:
    found: list[Part] = []
    before: list[str] = []
    inside: list[str] | None = None
    ticks, words = "", ""
    for line in lines:
        fence = FENCE.match(line.rstrip())
        if inside is None and fence:
            inside, (ticks, words) = [], fence.groups()
        elif inside is None:
            before.append(line)
        elif fence and len(fence[1]) >= len(ticks) and not fence[2].strip():
            found.append(Part("".join(before), words, "".join(inside)))
            before, inside = [], None
        else:
            inside.append(line)
    if inside is not None:
        raise EditError(f"fenced file {len(found) + 1} is cut off before its closing ```")
    return found


def _rewrites(fences: Sequence[Part], parent: Files, editable: Sequence[str]) -> Files:
    files = dict(parent)
    if len(editable) == 1 and not any(_named(fence, editable) for fence in fences):
        longest = max((fence.new for fence in fences), key=len)
        files[editable[0]] = _inside_markers(longest, parent.get(editable[0], ""))
        return files
    for number, fence in enumerate(fences, 1):
        path = _named(fence, editable)
        if path is None:
            raise EditError(f"fenced file {number} is named by no editable path; editable: {', '.join(editable)}")
        files[path] = _inside_markers(fence.new, parent.get(path, ""))
    return files


def _named(fence: Part, editable: Sequence[str]) -> str | None:
    """Returns the editable path in a fence's opening line or in the line above it."""
    near = f"{fence.before.rstrip().rpartition(chr(10))[2]}\n{fence.old}"
    return next((path for path in editable if re.search(rf"(?<![\w/.-]){re.escape(path)}(?![\w/-])", near)), None)


def _inside_markers(text: str, parent: str) -> str:
    """Returns the whole file; an answer without markers, to a file with one block, stands for what is between them.

    Such an answer may repeat the lines before and after the block; they are not taken twice.
    """
    if ALMOST.search(text):
        raise EditError("the fenced file holds a SEARCH line; a block is <<<<<<< SEARCH, =======, >>>>>>> REPLACE")
    lines = parent.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if START in line]
    ends = [i for i, line in enumerate(lines) if END in line]
    if START in text or len(starts) != 1 or len(ends) != 1:
        return text
    head, tail = "".join(lines[: starts[0] + 1]), "".join(lines[ends[0] :])
    before, after = "".join(lines[: starts[0]]), "".join(lines[ends[0] + 1 :])
    return head + text.removeprefix(before).removesuffix(after) + tail


# ---------------------------------------------------------------- markers


def _check_markers(path: str, before: str, after: str) -> None:
    old_lines = frozen(before)
    new_lines = frozen(after) if START in after else after.splitlines()
    if START not in before or new_lines == old_lines:
        return
    changed = next((old for old, new in zip(old_lines, new_lines, strict=False) if old != new), "the end of the file")
    raise EditError(f"{path}: only lines between {START} and {END} may change; this changes {changed.strip()!r}")


# ---------------------------------------------------------------- sameness


def fingerprint(files: Files) -> str:
    """Returns a hash that is equal for texts that differ only in layout and comments (Python), or white space (others)."""
    parts = [f"{path}\0{_normalised(path, text)}" for path, text in sorted(files.items())]
    return hashlib.sha256("\1".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _normalised(path: str, text: str) -> str:
    if path.endswith(".py"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return meaning(compile(text, "", "exec", dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            pass  # text that is no Python is compared as text
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
