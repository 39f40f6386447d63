"""Evaluators: they run candidates in a sandbox and have them scored; all that touches untrusted code is here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluators.cascade import Cascade
    from evaluators.factory import auto, local, ray
    from evaluators.local_pool import LocalPool
    from evaluators.pool import Pool, StageJob
    from evaluators.ray_pool import RayPool

__all__ = ["Cascade", "LocalPool", "Pool", "RayPool", "StageJob", "auto", "local", "ray"]

_HOMES = {
    "Cascade": "cascade", "LocalPool": "local_pool", "Pool": "pool", "RayPool": "ray_pool", "StageJob": "pool",
    "auto": "factory", "local": "factory", "ray": "factory",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Imports on first use, so that a worker or a command line pays only for what it names."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evaluators' has no attribute '{name}'")
    return getattr(import_module(f"evaluators.{_HOMES[name]}"), name)
