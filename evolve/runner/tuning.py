"""Tuning of one candidate, before it is told or as an elite: trials with other constants, then the best through all stages.

A pure state machine: what runs next follows from what came back, so that a resume goes on from the stored trials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from evolve.population import digest
from evolve.problem import Problem
from evolve.proposer import fingerprint
from evolve.proposer.constants import Constant, constants, replaced
from evolve.search.tuners import tuner
from evolve.types import Evaluation, Files, Status

Values = tuple[float, ...]


def is_promising(tune: Mapping[str, Any] | None, evaluation: Evaluation, is_new: Callable[[], bool]) -> bool:
    """Says whether a candidate is worth tuning, by what was decided when it was asked; `is_new`: nobody behaves as it does."""
    if tune is None or evaluation.status is not Status.OK or evaluation.score is None:
        return False
    return tune["above"] is None or evaluation.score > tune["above"] or (tune["novel"] and is_new())


class Tuning:
    """One candidate's trials, and which of its two texts stands.

    `before` is the evaluation of the text as it was proposed, `score` what it came to in the `stage` that the trials run.
    `stored` has the scores of trials that an earlier runner made, by their numbers.
    """

    def __init__(
        self,
        *,
        files: Files,
        found: Sequence[Constant],
        method: str,
        most: int,
        before: Evaluation,
        score: float,
        rng: np.random.Generator,
        stored: Mapping[int, float | None],
    ):
        self.before, self.trials = before, 0
        self.after: Evaluation | None = None
        self.keeps = True  # what the text as it was keeps of the constraints, the tuned one does too
        self._files, self._constants, self._most, self._stored, self._method = files, found, most, stored, method
        self._tuner = tuner(method, tuple(one.share for one in found), score, rng)
        self._best: tuple[float, Values | None] = (score, None)
        self._batch: dict[int, Values] = {}
        self._scores: dict[int, float] = {}

    @classmethod
    def begun(cls, files: Files, editable: Sequence[str], stage: str, before: Evaluation, **how: Any) -> Tuning | None:
        """Returns a candidate's tuning, None where it has no constants or the stage gave it no score."""
        found = constants(files, editable)
        scores = (one.score for one in before.stages if (one.stage, one.replicate) == (stage, 0))
        score = next(scores, None)
        if not found or score is None:
            return None
        return cls(files=files, found=found, before=before, score=score, **how)

    # ------------------------------------------------------------ trials

    def next(self) -> dict[int, Values]:
        """Begins the next batch: returns the trials to run, by their numbers; none where all have been made."""
        while self.trials < self._most:
            points = self._tuner.ask()[: self._most - self.trials]
            values = [tuple(c.at(share) for c, share in zip(self._constants, point, strict=True)) for point in points]
            self._batch = dict(enumerate(values, self.trials))
            known = {number: self._stored[number] for number in self._batch if number in self._stored}
            ended = [self.take(number, score) for number, score in known.items()]
            if not any(ended):
                return {number: vector for number, vector in self._batch.items() if number not in known}
        return {}

    def take(self, number: int, score: float | None) -> bool:
        """Takes a trial's score, None for a failure; says whether that was the last of its batch."""
        self._scores[number] = -math.inf if score is None else score
        if len(self._scores) < len(self._batch):
            return False
        scores = [self._scores[one] for one in sorted(self._batch)]
        self.trials += len(scores)
        if self.trials < self._most:  # a batch that was cut is the last
            self._tuner.tell(scores)
        for number, vector in sorted(self._batch.items()):
            if self._scores[number] > self._best[0]:
                self._best = (self._scores[number], vector)
        self._scores = {}
        return True

    def text(self, values: Values) -> Files:
        return replaced(self._files, self._constants, values)

    # ------------------------------------------------------------ the end

    def end(self, after: Evaluation, problem: Problem) -> None:
        """Takes what the text with the best constants came to in all stages."""
        self.after = after
        if after.status is Status.OK:
            self.keeps = problem.violation(after.metrics) <= problem.violation(self.before.metrics)

    @property
    def vector(self) -> Values:
        """The best constants found."""
        assert self._best[1] is not None  # asked only where it improved
        return self._best[1]

    @property
    def improved(self) -> bool:
        """Whether a trial scored more than the text as it was."""
        return self._best[1] is not None

    @property
    def files(self) -> Files:
        """The text with the best constants found."""
        return self.text(self._best[1]) if self._best[1] is not None else self._files

    @property
    def won(self) -> bool:
        """Whether the tuned text stands: it passed all stages with more than the text as it was, within the constraints."""
        after = self.after
        better = after is not None and after.status is Status.OK and (after.score or 0.0) > (self.before.score or 0.0)
        return better and self.keeps

    def facts(self, told: Evaluation) -> dict[str, Any]:
        """Returns the data of the `tuned` event."""
        files = self.files if self.won else None
        return {
            "method": self._method,
            "trials": self.trials,
            "vector": self._best[1],
            "before": self.before.score,
            "after": told.score if self.won else None,
            "files": files and {path: digest(text) for path, text in files.items()},
            "fingerprint": files and fingerprint(files),
        }
