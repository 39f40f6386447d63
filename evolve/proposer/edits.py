"""Edits: a completion and the parent's files in, new files or the reason why there are none out."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import CodeType

from evolve.types import Files

TITLE_WORDS = 8
START, END = "EVOLVE-BLOCK-START", "EVOLVE-BLOCK-END"
BLOCK = re.compile(r"^<{5,} ?SEARCH[^\n]*\n(.*?)^={5,}[ ]*\n(.*?)^>{5,} ?REPLACE", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)


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
    blocks = list(BLOCK.finditer(completion))
    files = _diffs(completion, blocks, parent, editable) if blocks else _rewrites(completion, parent, editable)
    for path, text in files.items():
        _check_markers(path, parent.get(path), text)
    if dict(files) == dict(parent):
        raise EditError("the answer changes nothing")
    return Edited(files=files, **headings(completion))


def headings(completion: str) -> dict[str, str]:
    """Returns the answer's title (cut to 8 words) and hypothesis."""
    found = {}
    for key in ("title", "hypothesis"):
        match = re.search(rf"^\W*{key}\W*:[ *]*(.+)$", completion, re.MULTILINE | re.IGNORECASE)
        found[key] = match.group(1).strip().strip("*").strip() if match else ""
    found["title"] = " ".join(found["title"].split()[:TITLE_WORDS])
    return found


# ---------------------------------------------------------------- diffs


def _diffs(completion: str, blocks: list[re.Match[str]], parent: Files, editable: Sequence[str]) -> Files:
    files = dict(parent)
    end = 0
    for number, block in enumerate(blocks, 1):
        path = _path_before(completion[end : block.start()], files, editable, f"block {number}")
        files[path] = _replace(files[path], block.group(1), block.group(2), f"block {number} ({path})")
        end = block.end()
    return files


def _path_before(text: str, files: Files, editable: Sequence[str], what: str) -> str:
    """Returns the file that a block means: the last path named before it, or the only editable one."""
    named = [path for path in files if re.search(rf"(?<![\w/.-]){re.escape(path)}(?![\w/-]|\.\w)", text)]
    path = max(named, key=text.rfind) if named else editable[0] if len(editable) == 1 else None
    if path is None:
        raise EditError(f"{what} names no file before it; the editable files are {', '.join(editable)}")
    if path not in editable:
        raise EditError(f"{what} changes {path}, which may not change; editable: {', '.join(editable)}")
    return path


def _replace(text: str, search: str, replacement: str, what: str) -> str:
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


def _rewrites(completion: str, parent: Files, editable: Sequence[str]) -> Files:
    fences = list(FENCE.finditer(completion))
    if not fences:
        raise EditError("the answer holds neither a SEARCH/REPLACE block nor a fenced file")
    files = dict(parent)
    if len(editable) == 1 and len(fences) >= 1 and not any(_named(completion, f, editable) for f in fences):
        files[editable[0]] = _inside_markers(max((f.group(2) for f in fences), key=len), parent.get(editable[0], ""))
        return files
    for number, fence in enumerate(fences, 1):
        path = _named(completion, fence, editable)
        if path is None:
            raise EditError(f"fenced file {number} is named by no editable path; editable: {', '.join(editable)}")
        files[path] = _inside_markers(fence.group(2), parent.get(path, ""))
    return files


def _named(completion: str, fence: re.Match[str], editable: Sequence[str]) -> str | None:
    """Returns the editable path in a fence's opening line or in the line above it."""
    above = completion[: fence.start()].rstrip("\n").rpartition("\n")[2]
    near = f"{above}\n{fence.group(1)}"
    return next((path for path in editable if re.search(rf"(?<![\w/.-]){re.escape(path)}(?![\w/-])", near)), None)


def _inside_markers(text: str, parent: str) -> str:
    """Returns the whole file; an answer without markers, to a file with one block, stands for what is between them."""
    lines = parent.splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if START in line]
    ends = [i for i, line in enumerate(lines) if END in line]
    if START in text or len(starts) != 1 or len(ends) != 1:
        return text
    return "".join(lines[: starts[0] + 1]) + text + "".join(lines[ends[0] :])


# ---------------------------------------------------------------- markers


def _frozen(text: str) -> list[str] | None:
    """Returns the lines outside of evolve blocks, markers included; None when there are no markers."""
    if START not in text:
        return None
    kept, inside = [], False
    for line in text.splitlines():
        if END in line:
            inside = False
        if not inside:
            kept.append(line.rstrip())
        if START in line:
            inside = True
    return kept


def _check_markers(path: str, before: str | None, after: str) -> None:
    frozen = _frozen(before) if before is not None else None
    if frozen is None:
        return
    kept = _frozen(after) or after.splitlines()
    if kept == frozen:
        return
    changed = next((old for old, new in zip(frozen, kept, strict=False) if old != new), "the end of the file")
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
                return _meaning(compile(text, "", "exec", dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            pass  # text that is no Python is compared as text
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def _meaning(code: CodeType) -> str:
    """Returns what a code object does, without where in the text it does it (a tenth of the cost of dumping a tree)."""
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return f"{shape}{names}{code.co_code.hex()}{code.co_exceptiontable.hex()}{_constants(code.co_consts)}"


def _constants(values: Iterable[object]) -> str:
    return "".join(f"({_constant(value)})" for value in values)


def _constant(value: object) -> str:
    if isinstance(value, CodeType):
        return _meaning(value)
    if isinstance(value, frozenset):
        return "{" + ",".join(sorted(map(_constant, value))) + "}"  # its order is not the same in every process
    return "[" + _constants(value) + "]" if isinstance(value, tuple) else f"{type(value).__name__} {value!r}"
