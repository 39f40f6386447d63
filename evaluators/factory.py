"""What the `evaluator` configuration group names: a cascade on this machine, on Ray, or on whichever is asked for."""

from __future__ import annotations

from evaluators.cascade import Cascade
from evaluators.local_pool import LocalPool
from evolve import checks


def local(workers: int | None = None, isolation: str = "auto", queue: int | None = None) -> Cascade:
    """Returns a cascade on this machine's CPUs."""
    return Cascade(LocalPool(workers, isolation), isolation, queue, local=True)


def ray(
    workers: int | None = None,
    address: str | None = None,
    isolation: str = "auto",
    queue: int | None = None,
    patience_s: float = 600.0,
) -> Cascade:
    """Returns a cascade on a Ray cluster, or on a Ray of its own where `address` is None."""
    from evaluators.ray_pool import RayPool

    return Cascade(RayPool(workers, address, isolation, patience_s), isolation, queue, local=address is None)


def auto(
    workers: int | None = None,
    address: str | None = None,
    isolation: str = "auto",
    queue: int | None = None,
    patience_s: float = 600.0,
    gpu: bool | None = None,
) -> Cascade:
    """Returns `ray` when an address is given or a stage needs a `gpu`, else `local`."""
    checks.flag("evaluator.gpu", gpu, or_null=True)
    return ray(workers, address, isolation, queue, patience_s) if address or gpu else local(workers, isolation, queue)
