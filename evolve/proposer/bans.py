"""Bans: lines that no proposal may contain, as a person has said: a whole line, or a /regular expression/ found in one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from evolve.errors import UsageError
from evolve.proposer.answer import EditError
from evolve.types import Files


def is_regular(ban: str) -> bool:
    return len(ban) > 2 and ban[0] == ban[-1] == "/"


@cache
def pattern(ban: str) -> re.Pattern[str]:
    """Returns what finds a banned line; white space counts only where a whole line has some. Raises UsageError."""
    if is_regular(ban):
        try:
            return re.compile(ban[1:-1])
        except re.error as error:
            raise UsageError(f"ban {ban}: not a regular expression ({error})") from None
    words = r"\s+".join(map(re.escape, ban.split()))
    return re.compile(rf"^\s*{words}\s*$")


def check(files: Files, editable: Sequence[str], bans: Sequence[str]) -> None:
    """Raises EditError naming the first banned line of the files that may change."""
    for ban in bans:
        for path in editable:
            for number, line in enumerate(files.get(path, "").splitlines(), 1):
                if pattern(ban).search(line):
                    raise EditError(f"line {number} of {path} is banned ({ban}): {line.strip()}")
