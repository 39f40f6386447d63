"""The provider without a model: genetic programming answers the prompt (mutation.py, prose.py). An LLM has to beat it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import PurePath

from numpy.random import PCG64, Generator

from evolve import checks
from evolve.errors import ProviderError
from evolve.llm.mutation import Child, mutate
from evolve.llm.program import read
from evolve.llm.prose import vary_text
from evolve.llm.provider import Provider
from evolve.source import regions
from evolve.types import Call, Completion, Prompt

FENCE = re.compile(r"<{5,} ?SEARCH|={5,}\s*$|>{5,} ?REPLACE")  # a line that the blocks' format would read as its own
TRIES = 10  # for a change that the blocks can express
PYTHON, PROSE = ".py", (".md", ".txt")


class Offline(Provider):
    """Mutates the parent, or crosses it with an inspiration, by random edits that follow from `prompt.seed` alone.

    `mutations` is the mean number of edits per child, at least 1. Needs no network and no key, and costs nothing.
    """

    model = "offline"
    evaluation_concurrency = 0
    converses = False

    def __init__(self, mutations: float = 1.7, concurrency: int = 2):
        checks.number("llm.mutations", mutations, 1)
        checks.whole("llm.concurrency", concurrency, 1)
        self.mutations = mutations
        self.concurrency = concurrency

    def refusal(self, paths: Sequence[str]) -> str:
        return unvaried(paths)

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        text = await asyncio.to_thread(answer, prompt, self.mutations)
        return Completion(text=text, model=self.model, cost_usd=0.0)


def answer(prompt: Prompt, mutations: float) -> str:
    """Returns a title, a hypothesis and SEARCH/REPLACE blocks for one file of the parent."""
    rng = Generator(PCG64(list(prompt.seed)))
    paths = editable(prompt)
    for i in rng.permutation(len(paths)):
        path = paths[i]
        others = [files[path] for files in prompt.inspirations if path in files]
        for _ in range(TRIES):
            child = _child(prompt, path, others, rng, mutations)
            if child is None:
                break
            blocks = diff(prompt.parent[path], child.text, path if len(prompt.parent) > 1 else "")
            if blocks is not None:
                return f"TITLE: {title(child.titles)}\nHYPOTHESIS: {hypothesis(child.titles)}\n\n{blocks}"
    raise ProviderError(
        f"llm=offline found nothing to change in {', '.join(paths)}; use another llm or widen what may change."
    )


def _child(prompt: Prompt, path: str, others: list[str], rng: Generator, mutations: float) -> Child | None:
    text, crossover = prompt.parent[path], prompt.operator == "crossover"
    if path.endswith(PROSE):
        heard = prompt.feedback.split("\n")
        return vary_text(text, others, heard, rng, mutations=mutations, crossover=crossover)
    return mutate(text, others, rng, mutations=mutations, crossover=crossover)


def unvaried(paths: Sequence[str]) -> str:
    """Says which languages are known where none of the files is in one of them, "" where one is."""
    if any(path.endswith((PYTHON, *PROSE)) for path in paths):
        return ""
    theirs = " and ".join(dict.fromkeys(PurePath(path).suffix or path for path in paths)) or "no file"
    return f"llm=offline changes Python ({PYTHON}), or prose ({' and '.join(PROSE)}), and not {theirs}"


def editable(prompt: Prompt) -> list[str]:
    """Returns the paths of the Python files that may change, of prose where there are none. Raises ProviderError where there
    is neither, or none that parses: a formulation in another language, or a broken parent."""
    paths = sorted(path for path in prompt.editable if path in prompt.parent)
    if why := unvaried(paths):
        raise ProviderError(f"{why}; use another llm.")
    python = [path for path in paths if path.endswith(PYTHON)]
    if not python:
        return [path for path in paths if path.endswith(PROSE)]
    sound = [path for path in python if read(prompt.parent[path])]
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

    One block for each EVOLVE-BLOCK that changes. Its SEARCH lines, from the first changed one to the last with as many before
    and after as it takes, occur exactly once: in the old text and when the blocks are applied in turn.
    """
    before, after = (text.removesuffix("\n").split("\n") for text in (old, new))
    now, blocks = before, []
    for mine, theirs in zip(regions(old), regions(new), strict=True):
        search, replace = narrowed(before, before[slice(*mine)], after[slice(*theirs)])
        if search == replace:
            continue
        if occurrences(before, search) != 1 or occurrences(now, search) != 1:
            return None
        if any(FENCE.match(line) for line in search + replace):
            return None
        at = next(i for i in range(len(now)) if now[i : i + len(search)] == search)
        now = [*now[:at], *replace, *now[at + len(search) :]]
        said = ("<<<<<<< SEARCH", *search, "=======", *replace, ">>>>>>> REPLACE", "")
        blocks.append("\n".join([path, *said] if path else said))
    return "\n".join(blocks) or None


def narrowed(text: list[str], old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Returns both without the lines that they begin and end with alike, but for those that make the old ones unique."""
    head = alike(old, new)
    tail = alike(old[head:][::-1], new[head:][::-1])
    while head + tail and occurrences(text, old[head : len(old) - tail]) != 1:
        head, tail = (head - 1, tail) if head else (head, tail - 1)
    return old[head : len(old) - tail], new[head : len(new) - tail]


def alike(old: list[str], new: list[str]) -> int:
    """Counts the lines with which both begin."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def occurrences(text: list[str], piece: list[str]) -> int:
    """Counts where a run of whole lines begins; no lines are everywhere."""
    return sum(text[i : i + len(piece)] == piece for i in range(len(text) - len(piece) + 1))
