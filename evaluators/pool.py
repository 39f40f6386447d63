"""The seam between the cascade and whatever has workers: `Pool`, and the job that it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from evolve.problem import Problem
from evolve.types import Files, StageOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class StageJob:
    """One stage of one candidate. `draw_seed` matters only where the stage's `draw` is fresh."""

    problem: Problem
    stage: str
    files: Files
    draw_seed: int = 0
    candidate: int = 0


class Pool(Protocol):
    """Workers that run stages, for one event loop.

    `run` may be called up to `slots` times at once between `start` and `close`; further calls wait. It raises nothing for
    what a candidate or an evaluator did: that is the outcome's status. Lost workers are replaced and their jobs run again;
    what can't be run at all ends as `infra`. Cancelling a `run` ends the candidate's processes before it returns.
    """

    @property
    def slots(self) -> int: ...

    async def start(self) -> None: ...

    async def run(self, job: StageJob) -> StageOutcome: ...

    async def close(self) -> None: ...
