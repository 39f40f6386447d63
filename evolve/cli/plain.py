"""What candidates and models wrote, made fit for a terminal: nothing in it moves the cursor, hides or turns text round."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 (but tab and line feed), DEL, C1
    "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, invisible, line ends
    "\ud800-\udfff\U000e0000-\U000e0fff]"  # half characters, invisible tags
)


def plain(text: str) -> str:
    r"""Returns the text with such characters written out: an escape is shown as \x1b."""
    return UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def plain_json(line: str) -> str:
    """Returns JSON with such characters as escapes, which mean the same."""
    return UNFIT.sub(lambda match: "\\u007f" if match[0] == "\x7f" else json.dumps(match[0])[1:-1], line)


def plain_all(found: Any) -> Any:
    """Returns data (as for JSON) with every text in it plain, keys too."""
    if isinstance(found, str):
        return plain(found)
    if isinstance(found, Mapping):
        return {plain_all(key): plain_all(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [plain_all(item) for item in found]
    return found
