"""One seed per run: each part draws from a generator made for (run seed, part's name, candidate id)."""

from __future__ import annotations

from zlib import crc32

import numpy as np


def entropy(seed: int, part: str, candidate: int) -> tuple[int, int, int]:
    """Returns the words from which a part's choices for one candidate follow."""
    return seed, crc32(part.encode()), candidate


def generator(seed: int, part: str, candidate: int) -> np.random.Generator:
    """Returns a fresh generator; nothing depends on how often, when or in which process it is made."""
    return np.random.Generator(np.random.PCG64(entropy(seed, part, candidate)))


def draw_seed(seed: int, candidate: int) -> int:
    """Returns the number from which a candidate's own instances follow, where a stage draws them afresh."""
    return int(generator(seed, "draw", candidate).integers(2**63))
