"""Novelty of a text before it is evaluated: MinHash over token shingles, kept in bands (locality-sensitive hashing).

Broder 1997, "On the resemblance and containment of documents"; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets",
3.3-3.4 (https://infolab.stanford.edu/~ullman/mmds/ch3.pdf).
"""

from __future__ import annotations

import io
import math
import re
import tokenize
import zlib
from functools import cache, lru_cache

import numpy as np

from evolve.types import Files

WIDTH = 5  # tokens of a shingle
BANDS = 2
RECALL = 0.95  # the least probability that two texts just as similar as the threshold share a band
TOKEN = re.compile(r"\w+|[^\w\s]")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
LAYOUT = frozenset({
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
})  # fmt: skip


def tokens_of(path: str, text: str) -> list[str]:
    """Returns a file's tokens without comments and layout."""
    if path.endswith(".py"):
        try:
            found = list(tokenize.generate_tokens(io.StringIO(text).readline))
            return [token.string for token in found if token.type not in LAYOUT]
        except (tokenize.TokenError, SyntaxError):
            pass  # text that is no Python is read as any text
    return TOKEN.findall(COMMENT.sub(" ", text))


def shingles(files: Files) -> frozenset[int]:
    """Returns the hashes (32 bits, the same in every process) of all runs of five tokens in each file."""
    return frozenset().union(*(_shingles(path, text) for path, text in files.items()))


@lru_cache(maxsize=64)
def _shingles(path: str, text: str) -> frozenset[int]:
    tokens = tokens_of(path, text)
    runs = range(max(len(tokens) - WIDTH + 1, min(len(tokens), 1)))
    return frozenset(zlib.crc32("\0".join(tokens[i : i + WIDTH]).encode("utf-8", "surrogatepass")) for i in runs)


def similarity(a: Files, b: Files) -> float:
    """Returns the Jaccard similarity of two texts' shingles: 1 for the same tokens, 0 for no common run."""
    mine, theirs = shingles(a), shingles(b)
    return len(mine & theirs) / len(mine | theirs) if mine or theirs else 1.0


def rows(threshold: float) -> int:
    """Returns how many values a band holds, so that texts as similar as the threshold share one of two in 95 %."""
    found = math.floor(math.log(1 - (1 - RECALL) ** (1 / BANDS)) / math.log(threshold)) if 0 < threshold < 1 else 0
    if found < 1:
        raise ValueError(f"similarity={threshold}: must lie between 0.78 and 1, 1 excluded")
    return found


@cache
def _functions(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns multipliers (odd) and summands of multiply-shift hash functions, the same in every process."""
    drawn = np.random.Generator(np.random.PCG64(BANDS)).integers(0, 2**63, (2, count), dtype=np.uint64)
    return drawn[0] * np.uint64(2) + np.uint64(1), drawn[1]


class Index:
    """Candidates by the bands of their sketches; each bucket keeps the first, so that a look-up costs the same always."""

    def __init__(self, similarity: float):
        self.rows = rows(similarity)
        self._first: dict[tuple[int, int], int] = {}

    def sketch(self, files: Files) -> tuple[int, ...]:
        """Returns one key per band; two texts share a key with probability similarity ** rows."""
        values = np.array(sorted(shingles(files)), dtype=np.uint64)
        if not len(values):
            return (0,) * BANDS
        multipliers, summands = _functions(BANDS * self.rows)
        least = ((values[:, None] * multipliers + summands) >> np.uint64(32)).min(axis=0)
        return tuple(zlib.crc32(band.tobytes()) for band in least.reshape(BANDS, self.rows).astype("<u8"))

    def add(self, candidate: int, sketch: tuple[int, ...]) -> None:
        """Puts a candidate into the bucket of each band that is empty."""
        for key in enumerate(sketch):
            self._first.setdefault(key, candidate)

    def near(self, sketch: tuple[int, ...]) -> list[int]:
        """Returns the candidates that share a band, each once; `similarity` tells how near they are."""
        return list(dict.fromkeys(self._first[key] for key in enumerate(sketch) if key in self._first))
