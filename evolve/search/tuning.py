"""Tuning: which candidates' constants are tuned, by how many trials, and by which method (Thompson sampling over the gains).

Thompson 1933, "On the likelihood that one unknown probability exceeds another"; Agrawal and Goyal 2012, arXiv:1111.1797.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evolve import checks
from evolve.search.tuners import METHODS

GAINS = (0.0, 0.01, 0.1)  # of the score, relative: a reward of a third for each that is exceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """Tunes children that score more than their island's median, and with `novel` also those that behave as no other does.

    With `idle`, evaluators that wait for the model tune the best of each island further, by as many `evaluations`.
    """

    evaluations: int = 30
    novel: bool = False
    idle: bool = True

    def __post_init__(self) -> None:
        checks.whole("selection.tuning.evaluations", self.evaluations, 1)
        checks.flag("selection.tuning.novel", self.novel)
        checks.flag("selection.tuning.idle", self.idle)

    def plan(self, above: float | None, gains: Gains, rng: np.random.Generator) -> dict[str, Any]:
        """Returns what a request says of its candidate's tuning; `above` is the score that makes it promising, None any."""
        return {
            "above": above,
            "novel": self.novel,
            "evaluations": self.evaluations,
            "method": gains.method(rng),
        }


class Gains:
    """What each method has gained so far, as the successes and failures of a Beta distribution; `count` of tunings."""

    def __init__(self) -> None:
        self.count = 0
        self._won = {name: 1.0 for name in METHODS}
        self._lost = {name: 1.0 for name in METHODS}

    def method(self, rng: np.random.Generator) -> str:
        """Draws the method that is about to gain most."""
        drawn = {name: rng.beta(self._won[name], self._lost[name]) for name in self._won}
        return max(drawn, key=lambda name: drawn[name])

    def observe(self, tuned: Mapping[str, Any]) -> None:
        """Takes in the data of a `tuned` event."""
        self.count += 1
        reward = _reward(tuned["before"], tuned["after"])
        self._won[tuned["method"]] += reward
        self._lost[tuned["method"]] += 1.0 - reward


def _reward(before: float, after: float | None) -> float:
    gain = 0.0 if after is None else (after - before) / max(abs(before), 1e-12)
    return sum(gain > least for least in GAINS) / len(GAINS)
