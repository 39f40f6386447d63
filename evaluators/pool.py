"""The seam between the cascade and whatever has workers: `Pool`, the job that it runs, and what a job may ask meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from evolve.errors import EvolveError
from evolve.problem import Problem
from evolve.types import Files, StageOutcome, Status

Question = Mapping[str, Any]
"""What an evaluation asks the runner while it runs; data only. All say stage, replicate and instance (-1: before the first).

kind `llm`: prompts, system, n, temperature, max_tokens, number (of the first text in its place); the answer is a list of texts,
n for each prompt, or None where there is no model: evaluator.py's own answers then. kind `report`: step, value (of the first
objective); the answer is why the stage stops, or None. kind `checkpoint`: body, the bytes to keep for a retry, or None to have
what is kept; the answer is that, or None. kind `incumbent`: the answer is the best output's bytes, or None.
"""

Serve = Callable[[Question], Awaitable[Any]]
"""Answers a question, on the runner's event loop. A ProviderError ends the stage as `infra`; any other EvolveError reaches
evaluator.py as EvaluatorError."""


async def refuse(question: Question) -> Any:
    """Answers nothing: for evaluations outside a run."""
    raise EvolveError(f"evaluator.py asks for '{question.get('kind')}', which only a run can answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class StageJob:
    """One stage of one candidate. `draw_seed` matters only where the stage's `draw` is fresh; `holdout` draws the
    instances that are kept for the end instead of the stage's own; `only` names one instance, or counts to it from 0."""

    problem: Problem
    stage: str
    files: Files
    draw_seed: int = 0
    candidate: int = 0
    replicate: int = 0
    holdout: bool = False
    only: str = ""

    def failed(self, status: Status, reason: str) -> StageOutcome:
        """Returns the outcome where there is nothing but a reason."""
        return StageOutcome(stage=self.stage, status=status, feedback=reason)


class Pool(Protocol):
    """Workers that run stages, for one event loop and one problem.

    `run` may be called up to `slots` times at once between `start` and `close`; further calls wait. It raises nothing for
    what a candidate or an evaluator did: that is the outcome's status. Lost workers are replaced and their jobs run again;
    what can't be run at all ends as `infra`. Cancelling a `run` ends the candidate's processes before it returns.
    """

    @property
    def slots(self) -> int: ...

    @property
    def isolation(self) -> str:
        """The level that all workers have; known after `start`."""

    async def start(self, problem: Problem | None = None, measured_on: str = "") -> None:
        """Starts the workers. Raises EvolveError where one does not start, or where the problem needs what none has.

        `measured_on` is as the cascade has it; a pool of several machines does without those of other hardware.
        """

    async def run(self, job: StageJob, serve: Serve = refuse) -> StageOutcome: ...

    async def close(self) -> None: ...
