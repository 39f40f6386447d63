"""Evolve: evolutionary program search. A problem that can be scored and a first program in, better programs out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evolve.api import Problem, open_run, run
    from evolve.lineage import Run
    from evolve.problem import Instance, Invalid, Result

__all__ = ["Instance", "Invalid", "Problem", "Result", "Run", "open_run", "run"]

_HOMES = {
    "Instance": "evolve.problem", "Invalid": "evolve.problem", "Result": "evolve.problem",
    "Problem": "evolve.api", "Run": "evolve.lineage", "open_run": "evolve.api", "run": "evolve.api",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that `evolve --help` and evaluators start fast."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evolve' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
