"""The seam to evaluation: what a run needs of whatever runs candidates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from evolve.problem import Problem
from evolve.types import Evaluation, Files, StageOutcome


class Evaluator(Protocol):
    """Runs candidates through the stages. `slots` evaluations may run at once; more wait inside."""

    @property
    def slots(self) -> int: ...

    @property
    def queue(self) -> int:
        """How many candidates may wait for a slot before no more are asked for."""

    @property
    def isolation(self) -> str:
        """The level of all workers; known after `start`."""

    def missing(self, problem: Problem) -> list[str]:
        """Returns what the problem requires and the machine here is known to lack."""

    async def start(self, problem: Problem, measured_on: str = "") -> None:
        """Raises EvolveError where a run that was measured on that model of CPU or GPU can't go on here."""

    async def evaluate(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int,
        thresholds: Mapping[str, float],
        draw_seed: int,
        done: Sequence[StageOutcome],
        on_stage: Callable[[StageOutcome], None],
        serve: Callable[[Mapping[str, Any]], Awaitable[Any]],
    ) -> Evaluation:
        """Returns the outcome; stages in `done` stand and are not run again. Each new one is given to `on_stage` at once.

        `serve` answers what the evaluation asks meanwhile.
        """

    async def measure(
        self,
        problem: Problem,
        files: Files,
        *,
        candidate: int,
        draw_seed: int,
        replicate: int = 0,
        holdout: bool = False,
        stage: str = "",
        serve: Callable[[Mapping[str, Any]], Awaitable[Any]],
    ) -> StageOutcome:
        """Runs one stage alone, the last by default: as one more replicate, or on the hold-out's instances."""

    async def close(self) -> None: ...
