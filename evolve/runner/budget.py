"""Budgets: the first one reached ends the run; money is reserved before it is spent."""

from __future__ import annotations

from dataclasses import dataclass, fields

from evolve import checks
from evolve.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits of a run; None is no limit. `evaluations` counts stage runs, `seconds` the run's wall time over all resumes."""

    candidates: int | None = 200
    evaluations: int | None = None
    usd: float | None = None
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("candidates", "evaluations", "tokens"):
            checks.whole(f"budget.{name}", getattr(self, name), 0, or_null=True)
        for name in ("usd", "seconds"):
            checks.number(f"budget.{name}", getattr(self, name), 0, or_null=True)
        if all(getattr(self, field.name) is None for field in fields(self)):
            raise UsageError("budget: at least one of candidates, evaluations, usd, tokens, seconds must be set")

    def check_repeatable(self) -> None:
        """Raises UsageError for a limit that `schedule=ordered` can't reach at the same place again."""
        arriving = "counts what arrives"
        reasons = {"seconds": "measures the machine", "tokens": arriving, "usd": arriving, "evaluations": arriving}
        for name, why in reasons.items():
            if getattr(self, name) is not None:
                raise UsageError(f"budget.{name}: {why}, so schedule=ordered refuses it; set budget.candidates")


@dataclass(slots=True, kw_only=True)
class Spent:
    """What a run has used so far. `held_usd` is reserved for calls in flight, `lost_usd` for calls that a kill lost."""

    candidates: int = 0
    evaluations: int = 0
    cost_usd: float = 0.0
    held_usd: float = 0.0
    lost_usd: float = 0.0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0  # those of `tokens_in` that the provider had read before
    calls: int = 0
    evaluation_calls: int = 0  # those of `calls` that evaluations made
    lost: int = 0
    wall_s: float = 0.0

    def reached(self, budget: Budget) -> list[str]:
        """Returns the names of the budgets that are used up."""
        used = {
            "candidates": self.candidates,
            "evaluations": self.evaluations,
            "usd": self.cost_usd + self.lost_usd,
            "tokens": self.tokens_in + self.tokens_out,
            "seconds": self.wall_s,
        }
        limits = ((name, getattr(budget, name)) for name in used)
        return [name for name, limit in limits if limit is not None and used[name] >= limit]

    def affords(self, budget: Budget, ceiling_usd: float | None) -> bool:
        """Says whether a call of at most that price fits."""
        if budget.usd is None:
            return True
        return ceiling_usd is not None and self.cost_usd + self.lost_usd + self.held_usd + ceiling_usd <= budget.usd
