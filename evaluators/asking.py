"""One stage's side of the conversation with the runner: what it lends to evaluator.py's functions, and what came of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from evaluators import machine
from evaluators.checkpoint import Checkpoint
from evaluators.harness import wire
from evaluators.lm import LlmQuestion, Lm
from evaluators.pool import StageJob
from evaluators.sandbox import Clock, Failure
from evaluators.scoring import Scorer
from evolve.errors import EvaluatorError
from evolve.rungs import rung
from evolve.types import Status

POINTS = 1_000  # of a stored curve

Ask = Callable[[Mapping[str, Any]], Any]
"""Asks the runner a question (see `evaluators.pool.Question`) and waits for the answer."""


class Asking:
    """Asks the runner on behalf of one stage of one candidate.

    `ended` is why the runner ended the stage, an early stop (`rejected`) or a call that brought nothing (`infra`): after that
    nothing more is asked. `instance` counts from 0, and is -1 before the first one and the last one's in aggregate().
    """

    def __init__(self, scorer: Scorer, job: StageJob, clock: Clock, ask: Ask):
        self.ended: Failure | None = None
        self.instance = -1
        self._scorer, self._job, self._clock, self._ask = scorer, job, clock, ask
        self._numbers: Counter[int] = Counter()  # texts asked for in each instance
        self._curve: list[tuple[float, float]] = []
        self._lent: dict[int, Any] = {}  # instance -> the best output, asked for once
        self._rung = 0
        self._stops = job.problem.stage(job.stage).report and not job.replicate and not job.holdout

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Gives `lm`, `report` and, where the stage keeps one, `checkpoint` to evaluator.py's functions."""
        self._scorer.lent = {"lm": Lm(self._llm), "report": self._report}
        if self._job.problem.stage(self._job.stage).checkpoint:
            hardware = machine.node_class().get(self._job.problem.comparable_on, "")
            self._scorer.lent["checkpoint"] = Checkpoint(self._checkpoint, hardware)
        try:
            yield
        finally:
            self._scorer.lent = {}

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        return tuple(self._curve)

    def last_value(self) -> dict[str, float]:
        """Returns the objective as it was last reported."""
        return {self._job.problem.objective: self._curve[-1][1]} if self._curve else {}

    def _llm(self, question: LlmQuestion) -> list[str]:
        number = self._numbers[self.instance]
        self._numbers[self.instance] += len(question["prompts"]) * question["n"]
        answers = self._put({"kind": "llm", "number": number, **question})
        if answers is not None:
            return list(answers)
        return [
            self._scorer.model(prompt, question["system"])
            for prompt in question["prompts"]
            for _ in range(question["n"])
        ]

    def _checkpoint(self, body: bytes | None) -> bytes | None:
        stored: bytes | None = self._put({"kind": "checkpoint", "body": body})
        return stored

    def incumbent(self) -> Any:
        """Returns the best output so far on the present instance, None where there is none yet, or no run."""
        if self.instance not in self._lent:
            body: bytes | None = self._put({"kind": "incumbent"})
            self._lent[self.instance] = None if body is None else wire.decode(body)
        return self._lent[self.instance]

    def _report(self, step: float, value: float) -> None:
        """Keeps a point of the curve; at a rung, where the stage has `report: true`, the runner may end the stage."""
        if self.ended is not None:
            raise self.ended
        step, value = self._point(step, value)
        rises = rung(step) > self._rung
        self._rung = max(self._rung, rung(step))
        self._keep(step, value)
        if rises and self._stops:
            reason = self._put({"kind": "report", "step": step, "value": value})
            if reason is not None:
                self.ended = Failure(Status.REJECTED, f"stage '{self._job.stage}': {reason}")
                raise self.ended

    def _point(self, step: Any, value: Any) -> tuple[float, float]:
        try:
            step, value = float(step), float(value)
        except (TypeError, ValueError):
            raise EvaluatorError(f"evaluator.py: report({step!r}, {value!r}): both must be numbers") from None
        if not math.isfinite(step):
            raise EvaluatorError(f"evaluator.py: report(): step {step} is not finite")
        if self._curve and not step > self._curve[-1][0]:
            raise EvaluatorError(
                f"evaluator.py: report(): step {step:g} came after step {self._curve[-1][0]:g}; steps must grow over the whole "
                "stage, all its instances included"
            )
        if not math.isfinite(value):
            raise Failure(Status.INVALID, f"{self._job.problem.objective} was {value} at step {step:g}")
        return step, value

    def _keep(self, step: float, value: float) -> None:
        """Adds a point; of too many, every other one goes, but no first one of a rung and not the last."""
        self._curve.append((step, value))
        if len(self._curve) > POINTS:
            before = [0, *(rung(at) for at, _ in self._curve)]
            last = len(self._curve) - 1
            self._curve = [
                point for i, point in enumerate(self._curve) if i % 2 or i == last or rung(point[0]) > before[i]
            ]

    def _put(self, question: Mapping[str, Any]) -> Any:
        if self.ended is not None:
            raise self.ended
        job = self._job
        place = {"stage": job.stage + " holdout" * job.holdout, "replicate": job.replicate, "instance": self.instance}
        try:
            with self._clock.standing_still():
                return self._ask({**place, **question})
        except Failure as failure:
            self.ended = failure
            raise
