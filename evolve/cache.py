"""The folder of this user's caches, which outlives runs: builds, locks, translated problems."""

from __future__ import annotations

import os
from pathlib import Path

CACHE = "EVOLVE_CACHE"


def cache_folder() -> Path:
    """Returns the folder of this user's caches of ours, which outlives workers; they are told, since HOME is not theirs."""
    told = os.environ.get(CACHE)
    return Path(told) if told else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evolve"
