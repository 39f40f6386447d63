"""Texts as they are stored: deflated, with an earlier text of the run as dictionary, since most are much alike."""

from __future__ import annotations

import zlib

WINDOW = 32_768  # bytes that DEFLATE looks back
LIKE = 3  # a text that shrinks to less than a third is like its base


class Packer:
    """Packs the texts of one run in the order in which they are stored. A kind's base is the last of its texts unlike its base.

    Prompts of one purpose are a kind each, all else is another.
    """

    def __init__(self) -> None:
        self._bases: dict[str, tuple[str, bytes]] = {}

    def pack(self, kind: str, mark: str, text: str) -> tuple[bytes, str | None]:
        """Returns a text's bytes, and the hash of the text that they are packed with, which is stored before it."""
        raw = text.encode()
        base, dictionary = self._bases.get(kind, ("", b""))
        packed = _deflated(raw, dictionary)
        if base and (len(packed) * LIKE <= len(raw) or len(raw) < len(dictionary)):
            return packed, base
        self._bases[kind] = mark, raw
        return (_deflated(raw) if base else packed), None


def _deflated(raw: bytes, dictionary: bytes = b"") -> bytes:
    deflating = zlib.compressobj(zdict=dictionary[-WINDOW:])
    return deflating.compress(raw) + deflating.flush()


def unpacked(packed: bytes, base: str = "") -> str:
    """Returns a packed text; `base` is the text that it was packed with."""
    return zlib.decompressobj(zdict=base.encode()[-WINDOW:]).decompress(packed).decode()
