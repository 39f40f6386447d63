"""The provider without a model: genetic programming answers the prompt (evolve.llm.mutation). An LLM has to beat it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from importlib import import_module

from numpy.random import PCG64, Generator

from evolve import checks
from evolve.errors import FatalError, ProviderError
from evolve.types import Completion, Prompt

FENCE = re.compile(r"<{5,} ?SEARCH|={5,}\s*$|>{5,} ?REPLACE")  # a line that the blocks' format would read as its own
TRIES = 10  # for a change that the blocks can express
Hunk = tuple[int, int, int, int]  # old lines i1 .. i2 become new lines j1 .. j2


class Offline:
    """Mutates the parent, or crosses it with an inspiration, by random edits that follow from `prompt.seed` alone.

    `mutations` is the mean number of edits per child, at least 1. Needs no network and no key, and costs nothing.
    """

    model = "offline"
    attempts = 1
    evaluation_concurrency = 0

    def __init__(self, mutations: float = 1.7, concurrency: int = 2):
        checks.number("llm.mutations", mutations, 1)
        checks.whole("llm.concurrency", concurrency, 1)
        self.mutations = mutations
        self.concurrency = concurrency

    async def start(self) -> None:
        await asyncio.to_thread(import_module, "evolve.llm.mutation")

    async def complete(self, prompt: Prompt, *, call: str) -> Completion:
        text = await asyncio.to_thread(answer, prompt, self.mutations)
        return Completion(text=text, model=self.model, cost_usd=0.0)

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        return 0.0

    async def close(self) -> None:
        pass


def answer(prompt: Prompt, mutations: float) -> str:
    """Returns a title, a hypothesis and SEARCH/REPLACE blocks for one file of the parent."""
    from evolve.llm.mutation import mutate  # libcst takes 0.3 s

    rng = Generator(PCG64(list(prompt.seed)))
    paths = editable(prompt)
    for i in rng.permutation(len(paths)):
        path = paths[i]
        others = [files[path] for files in prompt.inspirations if path in files]
        for _ in range(TRIES):
            crossover = prompt.operator == "crossover"
            child = mutate(prompt.parent[path], others, rng, mutations=mutations, crossover=crossover)
            if child is None:
                break
            blocks = diff(prompt.parent[path], child.text, path if len(prompt.parent) > 1 else "")
            if blocks is not None:
                return f"TITLE: {title(child.titles)}\nHYPOTHESIS: {hypothesis(child.titles)}\n\n{blocks}"
    raise ProviderError(
        f"llm=offline found nothing to change in {', '.join(paths)}; use another llm or widen what may change."
    )


def editable(prompt: Prompt) -> list[str]:
    """Returns the paths of the Python files that may change. Raises FatalError where there are none that parse."""
    from evolve.llm.program import parses

    paths = sorted(path for path in prompt.editable if path in prompt.parent)
    python = [path for path in paths if path.endswith(".py")]
    if not python:
        raise FatalError(
            f"llm=offline mutates Python only and may edit {', '.join(paths) or 'no file'}; use another llm."
        )
    sound = [path for path in python if parses(prompt.parent[path])]
    if not sound:
        raise ProviderError(f"llm=offline can't parse {', '.join(python)} of the parent as Python; use another llm.")
    return sound


def title(titles: tuple[str, ...]) -> str:
    """Returns at most eight words: the main change and how many more there are."""
    more = f", {len(titles) - 1} more" if len(titles) > 1 else ""
    return " ".join(titles[0].split()[: 8 - len(more.split())]) + more


def hypothesis(titles: tuple[str, ...]) -> str:
    return f"Made at random, without a reason ({'; '.join(titles)}); selection decides."


# ---------------------------------------------------------------- the answer's format


def diff(old: str, new: str, path: str = "") -> str | None:
    """Returns SEARCH/REPLACE blocks that turn one text into the other, None where that can't be said in them.

    The SEARCH lines occur exactly once, in the old text and when the blocks are applied in turn, and stay within the
    EVOLVE-BLOCK they change.
    """
    from evolve.llm.program import regions

    before, after = (text.removesuffix("\n").split("\n") for text in (old, new))
    ranges = list(zip(regions(old), regions(new), strict=True))
    for wide in (False, True):
        found = [hunk for (start, stop), other in ranges for hunk in hunks(before, after, start, stop, other, wide)]
        if applies(before, after, found):
            head = f"{path}\n" if path else ""
            return "\n".join(
                f"{head}<<<<<<< SEARCH\n{joined(before[i1:i2])}=======\n{joined(after[j1:j2])}>>>>>>> REPLACE\n"
                for i1, i2, j1, j2 in found
            )
    return None


def hunks(
    before: list[str], after: list[str], start: int, stop: int, other: tuple[int, int], wide: bool
) -> Iterator[Hunk]:
    """Yields the changed pieces of one region, each with as many lines around it as make it unique (one if `wide`)."""
    matcher = SequenceMatcher(None, before[start:stop], after[other[0] : other[1]], autojunk=False)
    changed = [op[1:] for op in matcher.get_opcodes() if op[0] != "equal"]
    if wide and changed:
        changed = [(changed[0][0], changed[-1][1], changed[0][2], changed[-1][3])]
    for k, (i1, i2, j1, j2) in enumerate(changed):
        low = changed[k - 1][1] if k else 0
        high = changed[k + 1][0] if k + 1 < len(changed) else stop - start
        up = down = 0
        while occurrences(before, before[start + i1 - up : start + i2 + down]) != 1 and (
            i1 - up > low or i2 + down < high
        ):
            up, down = (up + 1, down) if i1 - up > low and (up <= down or i2 + down == high) else (up, down + 1)
        yield start + i1 - up, start + i2 + down, other[0] + j1 - up, other[0] + j2 + down


def occurrences(text: list[str], piece: list[str]) -> int:
    """Counts where a run of whole lines begins; no lines are everywhere."""
    if not piece:
        return len(text) + 1
    return sum(text[i : i + len(piece)] == piece for i in range(len(text) - len(piece) + 1) if text[i] == piece[0])


def applies(before: list[str], after: list[str], found: list[Hunk]) -> bool:
    """Tells whether the blocks can be written down and, one after the other, give the new text."""
    now = before
    for i1, i2, j1, j2 in found:
        old, new = before[i1:i2], after[j1:j2]
        if any(FENCE.match(line) for line in old + new):
            return False
        if occurrences(before, old) != 1 or occurrences(now, old) != 1:
            return False
        at = next(i for i in range(len(now)) if now[i : i + len(old)] == old)
        now = [*now[:at], *new, *now[at + len(old) :]]
    return bool(found) and now == after


def joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
