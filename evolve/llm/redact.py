"""Makes a foreign error text fit to be shown and stored: no keys, one line, short."""

from __future__ import annotations

import os
import re

SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.I)
SECRET = re.compile(
    r"\bsk-[\w*.-]{4,}|\bAIza[\w-]{8,}|(?<=Bearer )[^\s'\",}]+|(?<=[?&]key=)[^\s&'\"]+|(?<=://)[^\s/@]+(?=@)"
)
LONGEST = 300


def one_line(text: str) -> str:
    """Returns the text on one line, cut to 300 characters, without anything that the environment keeps as a secret.

    Values under six characters stay: they are placeholders such as "none". It can't know a key that is neither in
    the environment nor of a known form.
    """
    secrets = (value for name, value in os.environ.items() if SECRET_NAME.search(name) and len(value) >= 6)
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, "***")
    text = " ".join(SECRET.sub("***", text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
