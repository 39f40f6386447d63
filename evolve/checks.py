"""Checks of what people write: UsageError for a configured value, ProblemError for a folder, with the value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from evolve.errors import ProblemError, UsageError


def whole(key: str, value: object, least: int, most: int | None = None, or_null: bool = False) -> None:
    """Requires a whole number from `least` to `most`."""
    if or_null and value is None:
        return
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least and (most is None or value <= most)
    _demand(fits, key, value, f"a whole number{_range(least, most)}", or_null)


def number(key: str, value: object, least: float, or_null: bool = False) -> None:
    """Requires a finite number of at least `least`."""
    if or_null and value is None:
        return
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < float("inf")
    _demand(fits, key, value, f"a number{_range(least, None)}", or_null)


def flag(key: str, value: object, or_null: bool = False) -> None:
    """Requires true or false."""
    _demand(isinstance(value, bool) or (or_null and value is None), key, value, "true or false", or_null)


def _range(least: float, most: float | None) -> str:
    return f", {least:g} or more" if most is None else f" from {least:g} to {most:g}"


def _demand(fits: bool, key: str, value: object, kind: str, or_null: bool) -> None:
    if not fits:
        raise UsageError(f"{key}={value}: must be {kind}{', or null' if or_null else ''}")


# ---------------------------------------------------------------- a problem's folder


def require(condition: bool, message: str) -> None:
    """Raises ProblemError with the message unless the condition holds."""
    if not condition:
        raise ProblemError(message)


def hint(given: object, known: Iterable[str], prefix: str = "", what: str = "known") -> str:
    """Returns the nearest known word, or all of them."""
    near = get_close_matches(str(given), list(known), 1)
    return f"did you mean '{prefix}{near[0]}'?" if near else f"{what}: {', '.join(known) or 'none'}"


def is_number(value: object, above: float = -math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and above < value < math.inf


def is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def one_of(allowed: Sequence[str]) -> str:
    """Returns what a message says of a value that is one of some words."""
    return f"is {', '.join(allowed[:-1])} or {allowed[-1]}"
