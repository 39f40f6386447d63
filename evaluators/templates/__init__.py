"""The prompts of judges and simulated users: text files with {{names}}, rendered by one function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources


def render(template: str, values: Mapping[str, str]) -> str:
    """Fills a template's {{names}} in one pass, so that no value is read as a template (KeyError for a missing one)."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], _template(template)).strip()


def fenced(text: str) -> str:
    """Returns a text between fences that it can't close: longer than any row of backticks in it."""
    fence = "`" * max(5, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


@cache
def _template(name: str) -> str:
    return (resources.files("evaluators") / "templates" / f"{name}.md").read_text(encoding="utf-8")
