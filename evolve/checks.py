"""Checks of configured values: each raises UsageError with the key, the value and what it must be."""

from __future__ import annotations

from evolve.errors import UsageError


def whole(key: str, value: object, least: int, most: int | None = None, or_null: bool = False) -> None:
    """Requires a whole number from `least` to `most`."""
    if or_null and value is None:
        return
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= least and (most is None or value <= most)
    _require(fits, key, value, f"a whole number{_range(least, most)}", or_null)


def number(key: str, value: object, least: float, or_null: bool = False) -> None:
    """Requires a finite number of at least `least`."""
    if or_null and value is None:
        return
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < float("inf")
    _require(fits, key, value, f"a number{_range(least, None)}", or_null)


def flag(key: str, value: object, or_null: bool = False) -> None:
    """Requires true or false."""
    _require(isinstance(value, bool) or (or_null and value is None), key, value, "true or false", or_null)


def _range(least: float, most: float | None) -> str:
    return f", {least:g} or more" if most is None else f" from {least:g} to {most:g}"


def _require(fits: bool, key: str, value: object, kind: str, or_null: bool) -> None:
    if not fits:
        raise UsageError(f"{key}={value}: must be {kind}{', or null' if or_null else ''}")
