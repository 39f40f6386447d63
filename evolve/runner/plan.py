"""The plan: what would run, and what it can cost at most, before anything is spent."""

from __future__ import annotations

import re
from collections.abc import Callable

from evolve.errors import UsageError
from evolve.problem import Problem
from evolve.proposer.conversation import BEST_OF
from evolve.runner.budget import Budget
from evolve.runner.proposals import first_prompt
from evolve.runner.setup import Setup
from evolve.search import Search
from evolve.types import Candidate, Prompt, Status

PRICE = (
    "set llm.price={input_usd_per_mtok: X, output_usd_per_mtok: Y}, where the model has such a key, or budget.usd=null"
)


def of(setup: Setup) -> dict[str, str]:
    """Returns what a setup would do, as its parts say once they have started."""
    problem, budget = setup.problem, setup.budget
    limits = {name: getattr(budget, name) for name in Budget.__dataclass_fields__}
    directions = ", ".join(f"{'max' if sign > 0 else 'min'}imize {name}" for name, sign in problem.objectives.items())
    return {
        "problem": f"{problem.name} ({problem.folder}): {directions}; initial programs {len(problem.initials)}",
        "stages": ", ".join(f"{stage.name} ({stage.timeout_s:g} s)" for stage in problem.stages),
        "llm": f"{setup.provider.model}, {setup.provider.concurrency} at once",
        "evaluator": f"{setup.evaluator.slots} at once, isolation {setup.evaluator.isolation}",
        **({"trust": problem.caution} if problem.caution else {}),
        "schedule": "async" if setup.search_settings["window"] is None else "ordered",
        "budget": ", ".join(f"{name} {limit:g}" for name, limit in limits.items() if limit is not None),
        "largest cost": _largest_cost(setup),
    }


def _largest_cost(setup: Setup) -> str:
    ceiling, budget = largest_call_usd(setup), setup.budget
    if not ceiling:
        return "unknown: the model has no known price (llm.price)" if ceiling is None else "nothing"
    first = f"the first call up to ${ceiling:.4f}"
    if budget.usd is not None:
        return f"${budget.usd:g} (budget.usd, never exceeded); {first}"
    return largest_cost(setup, ceiling) if budget.candidates else f"no limit; {first}"


def warn(setup: Setup, note: Callable[[str, str], None]) -> None:
    """Says whether candidates can forge their score, and what a paid model can cost at most.

    Raises UsageError for a budget in dollars and a model without a price.
    """
    if setup.problem.caution:
        note("trust", setup.problem.caution)
    ceiling, budget, embedder = largest_call_usd(setup), setup.budget, setup.embedder
    if budget.usd is not None and ceiling is None:
        raise UsageError(
            f"budget.usd={budget.usd:g}: {setup.provider.model} has no known price; "
            + ("budget.usd=null goes on without" if setup.provider.outlives else PRICE)
        )
    if budget.usd is not None and embedder is not None and embedder.ceiling_usd(Prompt(system="", user="")) is None:
        raise UsageError(
            f"budget.usd={budget.usd:g}: {embedder.model} has no known price; set proposer.embedding.price"
        )
    if ceiling and budget.usd is None and budget.candidates:
        note("cost", f"{largest_cost(setup, ceiling)}; budget.usd=X is never exceeded")


def largest_call_usd(setup: Setup) -> float | None:
    """Returns the largest price that the first call can have, None where no price is known."""
    search = Search(**setup.search_settings)
    known: dict[int, Candidate] = {}
    if setup.problem.initials:
        first = search.add("initial", [0])
        known[first] = Candidate(id=first, status=Status.OK, files=setup.problem.initials[0])
        search.tell(first, Status.OK, 0.0, {})
    request = search.ask()
    prompt = first_prompt(setup.problem, search, request, known, setup.proposing, setup.provider.converses)
    return setup.provider.ceiling_usd(prompt)


def largest_cost(setup: Setup, ceiling: float) -> str:
    """Says what a run of so many candidates can cost at most."""
    candidates, proposing = setup.budget.candidates or 0, setup.proposing
    several = setup.search_settings["strategy"].operators.may_draw(BEST_OF)
    calls = candidates * (max(proposing.turns, proposing.drafts if several else 0) + proposing.judge)
    more = ", those that evaluations make aside" if asks_a_model(setup.problem) else ""
    more += ", embeddings aside" if setup.embedder is not None else ""
    return f"{candidates} candidates, {calls} calls like the first at most, can cost up to ${ceiling * calls:.2f}{more}"


def asks_a_model(problem: Problem) -> bool:
    """Says whether a problem's evaluations seem to make calls."""
    text = (problem.path / "evaluator.py").read_text(encoding="utf-8", errors="replace")
    return re.search(r"\blm\b", text) is not None
