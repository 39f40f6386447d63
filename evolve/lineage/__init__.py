"""The read side of a run."""

from evolve.lineage.run import Run, runs_in

__all__ = ["Run", "runs_in"]
