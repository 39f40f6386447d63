"""How much room a run's artifacts have in its database, and which outputs are kept to be lent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evolve.types import OUTPUT, StageOutcome


class ArtifactSpace:
    """Counts the bytes of artifacts; what no longer fits is dropped, which is noted once.

    Outputs that may be lent take no room of these; of those the ones are kept that lead where they come in. So whoever leads
    when it is told has its outputs kept, in whatever order the evaluations ended.
    """

    def __init__(
        self, limit_mb: float = 200.0, used: int = 0, note: Callable[[str, str], None] = lambda kind, text: None
    ):
        self._limit_mb, self._used, self._note = limit_mb, used, note
        self._full = False

    def fit(self, outcome: StageOutcome, leads: bool = False) -> StageOutcome:
        """Returns an outcome with those of its artifacts that still fit, its outputs if it `leads`."""
        kept = {}
        for name, body in outcome.artifacts.items():
            if name.rpartition("/")[2] == OUTPUT:
                kept.update({name: body} if leads else {})
            elif self._used + len(body) <= self._limit_mb * 1e6:
                kept[name] = body
                self._used += len(body)
            elif not self._full:
                self._full = True
                self._note(
                    "artifacts", f"database.artifact_mb={self._limit_mb:g} is used up; what does not fit is dropped"
                )
        return outcome if len(kept) == len(outcome.artifacts) else replace(outcome, artifacts=kept)
