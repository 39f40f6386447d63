"""Who has the best output so far in each stage that lends it (problem.yaml's `incumbent`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Incumbents:
    """Keeps the best of each lending stage by its score there; of equals the first told."""

    def __init__(self, stages: Sequence[str]):
        self._stages = tuple(stages)
        self._best: dict[str, tuple[float, int]] = {}

    def leads(self, stage: str, score: float) -> bool:
        """Says whether a score, if it were told now, would be the best of a stage."""
        return stage in self._stages and (stage not in self._best or score > self._best[stage][0])

    def observe(self, candidate: int, stage_scores: Mapping[str, float]) -> None:
        """Takes in what a candidate that is ok scored in its stages."""
        for stage, score in stage_scores.items():
            if self.leads(stage, score):
                self._best[stage] = score, candidate

    def clear(self) -> None:
        """Forgets all: their scores were of another problem."""
        self._best.clear()

    def now(self) -> dict[str, int]:
        """Returns stage -> candidate, for the stages that have one yet."""
        return {stage: candidate for stage, (_, candidate) in self._best.items()}
