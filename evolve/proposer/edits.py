"""Edits: a completion and the parent's files in, new files or the reason why there are none out."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from textwrap import dedent

from evolve.problem import TEXT
from evolve.proposer.answer import DIVIDER, EditError, Part, headings, parts
from evolve.proposer.functions import changeable, is_fragment, merge
from evolve.source import END, FAULTS, START, Module, frozen, meaning
from evolve.types import Files

ALMOST = re.compile(r"<{3,}\s*SEARCH", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """New files of a candidate, with the title and hypothesis that the answer opened with ("" where missing)."""

    files: Files
    title: str = ""
    hypothesis: str = ""


def apply(
    completion: str, parent: Files, editable: Sequence[str], *, entry: str = "", operator: str = "diff"
) -> Edited:
    """Applies SEARCH/REPLACE blocks and fenced files to the parent ({} for none). Raises EditError with the reason.

    Every SEARCH must be found, as whole lines, exactly once; only `editable` files change, and in a file with EVOLVE-BLOCK
    markers only the lines between them. Beside blocks a fence counts only for a file that no block changes, named alone in
    the line above. A fence of Python that holds only some of a file's functions replaces them by name: always for the
    operator `functions`, else where as a whole file it would lack what is needed, such as `entry`.
    """
    found = parts(completion)
    blocks = [part for part in found if not part.fenced]
    files = _diffs(blocks, parent, editable)
    changed = [path for path in editable if files.get(path) != parent.get(path)]
    fences = (
        _beside(found, [path for path in editable if path not in changed])
        if blocks
        else _fences(found, parent, editable)
    )
    for path, texts in fences.items():
        files[path] = _fenced(path, texts, parent, entry, operator)
    for path, text in files.items():
        _check_markers(path, parent.get(path, ""), text)
    if all(text.splitlines() == parent.get(path, "").splitlines() for path, text in files.items()):
        raise EditError("the answer changes nothing")
    _check_entry(files, parent, entry)
    return Edited(files=files, **headings(found[0].before))


# ---------------------------------------------------------------- diffs


def _diffs(blocks: Sequence[Part], parent: Files, editable: Sequence[str]) -> dict[str, str]:
    files = dict(parent)
    for number, block in enumerate(blocks, 1):
        path = _path_before(block.before, files, editable, f"block {number}")
        if path not in files and block.old.strip():
            raise EditError(f"block {number} changes {path}, which this parent does not have; give the whole file")
        files[path] = (
            _replace(files[path], block.old, block.new, f"block {number} ({path})") if path in files else block.new
        )
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


def _beside(found: Sequence[Part], paths: Sequence[str]) -> dict[str, list[str]]:
    """Returns the whole files that stand beside blocks; other fences illustrate."""
    files: dict[str, list[str]] = {}
    for number, part in enumerate(found, 1):
        path = next((path for path in paths if part.fenced and _named_alone(path, part)), None)
        if path is not None:
            files.setdefault(path, []).append(_whole(part, number))
    return files


def _fences(fences: Sequence[Part], parent: Files, editable: Sequence[str]) -> dict[str, list[str]]:
    """Returns the texts that an answer of fences alone gives for each file, in their order."""
    files: dict[str, list[str]] = {}
    only = len(editable) == 1 and not any(_named(fence, editable) for fence in fences)
    for number, fence in enumerate(fences, 1):
        text = _whole(fence, number)
        path = _named(fence, editable) or _defined(text, parent, editable) or (editable[0] if only else None)
        if path is None and len(editable) > 1:
            raise EditError(f"fenced file {number} is named by no editable path; editable: {', '.join(editable)}")
        if path is not None:
            files.setdefault(path, []).append(text)
    return files


def _whole(fence: Part, number: int) -> str:
    if fence.cut:
        raise EditError(f"fenced file {number} is cut off before its closing ```")
    if ALMOST.search(fence.new):
        raise EditError("the fenced file holds a SEARCH line; a block is <<<<<<< SEARCH, =======, >>>>>>> REPLACE")
    return fence.new


def _named(fence: Part, editable: Sequence[str]) -> str | None:
    """Returns the editable path in a fence's opening line or in the line above it."""
    near = f"{fence.before.rstrip().rpartition(chr(10))[2]}\n{fence.old}"
    return next((path for path in editable if re.search(rf"(?<![\w/.-]){re.escape(path)}(?![\w/-])", near)), None)


def _named_alone(path: str, fence: Part) -> bool:
    above = fence.before.rstrip().rpartition("\n")[2]
    return _last_named(path, fence.old) >= 0 or re.fullmatch(rf"\W*(file\W+)?{re.escape(path)}\W*", above) is not None


def _defined(text: str, parent: Files, editable: Sequence[str]) -> str | None:
    """Returns the only editable file that has functions or classes of a text."""
    module = Module.read(text, indented=True)
    having = [path for path in editable if module and module.definitions & set(changeable(parent.get(path, "")))]
    return having[0] if len(having) == 1 else None


def _fenced(path: str, texts: Sequence[str], parent: Files, entry: str, operator: str) -> str:
    """Returns a file of the texts that an answer gives for it: as a whole, or merged by name into the parent's."""
    text, old = _joined(path, texts), parent.get(path, "")
    if (
        START in text
        and START in old
        and not any(line for line in frozen(text) if START not in line and END not in line)
    ):
        text = "".join(line for line in text.splitlines(keepends=True) if START not in line and END not in line)
    by_name = operator == "functions" or is_fragment(old, text, entry)
    if not path.endswith(".py") or path not in parent or START in text or not by_name:
        return _inside_markers(text, old)
    return merge(path, old, text)


def _joined(path: str, texts: Sequence[str]) -> str:
    """Returns the longest of several texts, or in Python all with definitions where no one has all of them."""
    longest = max(texts, key=len)
    modules = [(text, Module.read(text, indented=True)) for text in texts] if path.endswith(".py") else []
    defining = [(text, module.definitions) for text, module in modules if module and module.definitions]
    every = frozenset[str]().union(*(names for _, names in defining))
    whole = [text for text, names in defining if names == every]
    return (
        max(whole or [longest], key=len) if whole or not defining else "\n\n".join(dedent(text) for text, _ in defining)
    )


def _inside_markers(text: str, parent: str) -> str:
    """Returns the whole file; an answer without markers, to a file with one block, stands for what is between them.

    Such an answer may repeat the lines before and after the block; they are not taken twice.
    """
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


def _check_entry(files: Files, parent: Files, entry: str) -> None:
    """Raises EditError where the answer alone is to blame that no file binds the function which is called."""
    if not entry.isidentifier() or entry == TEXT or (parent and not _binds(parent, entry)):
        return
    if not _binds(files, entry):
        raise EditError(f"the answer leaves no function `{entry}`, which is what is called")


def _binds(files: Files, name: str) -> bool:
    """Says whether a file may bind a name: one that is no valid Python may."""
    modules = [Module.read(text) for path, text in files.items() if path.endswith(".py")]
    return any(module is None or module.names & {name, "*"} for module in modules)


# ---------------------------------------------------------------- sameness


def fingerprint(files: Files) -> str:
    """Returns a hash that is equal for texts that differ only in layout and comments (Python), or white space (others)."""
    parts = [f"{path}\0{_normalised(path, text)}" for path, text in sorted(files.items())]
    return hashlib.sha256("\1".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


@lru_cache(maxsize=512)
def _normalised(path: str, text: str) -> str:
    if path.endswith(".py"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return meaning(compile(text, "", "exec", dont_inherit=True))
        except FAULTS:
            pass  # text that is no Python is compared as text
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
