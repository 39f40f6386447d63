"""Times a candidate's function by the scorer's clock, for a `drive` whose problem is speed.

Each repeat has a fresh process and is one call: from the sending of its input until its whole output is here, less the
same for an empty function (none of a command: its start counts), but never less than half: an empty call that a busy machine
made slow would otherwise turn a short time into none. A reference takes turns with the candidate, so that
what slows the machine slows both. Does not cover: what the candidate computes while its module is loaded, which is
before the call; its machine's caches and clock rates; in `cpus`, processes that it starts and that end within a call.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evaluators.stage import CandidateProxy
from evolve.types import Files

EMPTY = "def {name}(*args, **kwargs):\n    return None\n"


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of each repeat, what each returned, how many CPUs it kept busy; `reference_s` is empty without a reference."""

    seconds: list[float]
    outputs: list[Any]
    reference_s: list[float]
    cpus: list[float]

    @property
    def speedup(self) -> float:
        """How many times faster than the reference, by medians."""
        return statistics.median(self.reference_s) / max(statistics.median(self.seconds), 1e-9)


def timed(candidate: CandidateProxy, name: str, *args: Any, repeats: int = 5, reference: Files | None = None) -> Timed:
    """Returns how long the candidate takes to answer one call, and the reference that is given as its files."""
    result = Timed([], [], [], [])
    empty = _empty_s(candidate, name, args) if candidate.is_python else [0.0]
    for _ in range(repeats):
        if reference is not None:
            with candidate.replaced(reference):
                result.reference_s.append(_called(candidate, name, args)[0])
        candidate.restart()
        candidate.ready()
        used_s = candidate.cpu_s()
        seconds, output = _called(candidate, name, args)
        result.seconds.append(seconds)
        result.outputs.append(output)
        result.cpus.append((candidate.cpu_s() - used_s) / seconds)
    if candidate.is_python:
        empty += _empty_s(candidate, name, args)  # once more: the machine may have been busy before
    return replace(result, seconds=net(result.seconds, min(empty)), reference_s=net(result.reference_s, min(empty)))


def net(seconds: Sequence[float], empty_s: float) -> list[float]:
    """Returns times of calls without that of an empty one, at least half of each."""
    return [max(one - empty_s, one / 2) for one in seconds]


def _called(candidate: CandidateProxy, name: str, args: tuple[Any, ...]) -> tuple[float, Any]:
    candidate.ready()
    began = time.perf_counter()
    output = candidate.call(name, *args)
    return time.perf_counter() - began, output


def _empty_s(candidate: CandidateProxy, name: str, args: tuple[Any, ...]) -> list[float]:
    """Returns the times of three calls of a function that does nothing, on the same input."""
    files = dict.fromkeys(candidate.files, EMPTY.format(name=name))
    with candidate.replaced(files, built=False):
        return [_called(candidate, name, args)[0] for _ in range(3)]
