"""`evolve advise PROBLEM`: shows a language model a problem's folder and what a check of it found; prints what it advises."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from importlib import resources
from pathlib import Path
from typing import Any

from evolve.cli.answering import model, start_priced, unwritten_calls
from evolve.cli.authoring import examined
from evolve.cli.plain import plain
from evolve.cli.reading import show_json
from evolve.errors import RunError
from evolve.finding import find_problem
from evolve.folder import folder_files
from evolve.llm.provider import Provider
from evolve.runner.budget import Spent
from evolve.types import Completion, Prompt

APART = ("data", "hidden")  # folders of which a model sees the names alone
FILE_CHARS, ALL_CHARS = 20_000, 80_000  # shown of one file, and of all


def advise(arguments: argparse.Namespace) -> int:
    """Asks once. Without a language model there is nobody to ask: `evolve check` finds what needs none."""
    folder = find_problem(arguments.problem)
    cannot = f"advice takes a language model ('evolve check {arguments.problem}' finds what needs none)"
    provider, usd = model(list(arguments.words), arguments.config_dir, cannot)
    prompt = advice_prompt(folder, examined(str(folder)))
    found = asyncio.run(_asked(provider, prompt, usd))
    told = {name: getattr(found, name) for name in ("model", "tokens_in", "tokens_out", "cost_usd")}
    if arguments.json:
        return show_json({"advice": found.text, **told})
    price = "price unknown" if found.cost_usd is None else f"${found.cost_usd:.4f}"
    sys.stdout.write(plain(found.text.strip()) + "\n")
    _say(f"{found.model}, {found.tokens_in} tokens in, {found.tokens_out} out, {price}")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(plain(text) + "\n")


async def _asked(provider: Provider, prompt: Prompt, usd: float | None) -> Completion:
    calls = unwritten_calls(provider, "advise", usd, Spent(), _say)
    try:
        await start_priced(provider, usd)
        found = await calls.complete(0, prompt)
    finally:
        await provider.close()
    if not isinstance(found, Completion):
        raise RunError(str(found))
    return found


def advice_prompt(folder: Path, found: dict[str, Any]) -> Prompt:
    """Returns what the model is asked: the folder's files, long ones cut, and what a check found."""
    left, parts = ALL_CHARS, []
    for path in folder_files(folder):
        name = path.relative_to(folder).as_posix()
        text = "" if name.split("/")[0] in APART else path.read_bytes().decode("utf-8", "replace")
        shown = text[: min(left, FILE_CHARS)]
        left -= len(shown)
        cut = f", the first {len(shown):,} characters" if len(shown) < len(text) else ""
        parts.append(f"=== {name} ({path.stat().st_size:,} bytes{cut if shown else ', not shown'})\n{shown}")
    parts.append(f"=== what 'evolve check --json' finds\n{json.dumps(found, indent=1)}")
    system = (resources.files("evolve.cli") / "advise.md").read_text(encoding="utf-8")
    return Prompt(system=system.strip(), user="\n\n".join(parts), operator="advise")
