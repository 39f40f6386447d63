"""Stagnation: what the search does when nothing better comes, one answer after the other."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from evolve import checks
from evolve.errors import UsageError

TUNE, EXPLORE, FORMULATION = ANSWERS = ("tune", "explore", "formulation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stagnation:
    """Answers when `after` told candidates per island brought no new best, and again after as many more, by the next answer.

    `tune`: the constants of the best of each island are tuned further, where any candidate had some to tune; not in ordered
    runs, where it would matter when a result arrives. `explore`: the strongest model is asked `ideas` times for
    another way than what was tried, each time from the best. `formulation`: the weakest island begins anew from an initial
    program from which the best of no island descends. What has nothing to do is passed over.
    """

    after: int = 50
    ideas: int = 4
    answers: list[str] = field(default_factory=lambda: list(ANSWERS))

    def __post_init__(self) -> None:
        checks.whole("selection.stagnation.after", self.after, 1)
        checks.whole("selection.stagnation.ideas", self.ideas, 1)
        for answer in self.answers:
            if answer not in ANSWERS:
                raise UsageError(f"selection.stagnation.answers: no answer '{answer}'; known: {', '.join(ANSWERS)}")

    def only(self, known: Collection[str]) -> Stagnation:
        """Returns the same without the answers that are not known."""
        return replace(self, answers=[answer for answer in self.answers if answer in known])
