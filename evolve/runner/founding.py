"""Founding: the evaluation of the initial programs, before a run exists."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from evolve.errors import RunError
from evolve.runner import confirm
from evolve.runner.asks import Asks, Question, alone
from evolve.runner.setup import Founder, Setup
from evolve.search.randomness import draw_seed
from evolve.types import Evaluation, Files, StageOutcome, Status


class Founding:
    """The evaluation of the initial programs, begun before the run exists. What is to be
    kept of it, a model's answers and checkpoints, waits until there is one."""

    def __init__(self, setup: Setup):
        self._kept = ["checkpoint", *["llm"] * (setup.provider.evaluation_concurrency > 0)]
        self._asking = asyncio.Event()
        self._asks: asyncio.Future[Asks] = asyncio.get_running_loop().create_future()
        self._work = asyncio.create_task(_founders(setup, self._serving))

    async def settled(self) -> None:
        """Waits until it is done, or can't go on without the run. Raises what it raised."""
        asking = asyncio.create_task(self._asking.wait())
        await asyncio.wait([self._work, asking], return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        if self._work.done():
            self._work.result()

    async def founders(self, asks: Asks) -> list[tuple[Founder, Evaluation]]:
        """Returns the programs that the search begins with, and their evaluations, now that there is a run."""
        self._asks.set_result(asks)
        await asyncio.wait([self._work])
        if self._work.cancelled():
            raise RunError("stopped before the initial programs were evaluated; 'evolve resume' does that again")
        return self._work.result()

    def cancel(self) -> None:
        self._work.cancel()

    async def close(self) -> None:
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)

    def _serving(self, candidate: int) -> Callable[[Question], Awaitable[Any]]:
        async def serve(question: Question) -> Any:
            if question["kind"] not in self._kept:
                return await alone(question)
            self._asking.set()
            return await (await asyncio.shield(self._asks)).of(candidate)(question)

        return serve


async def _founders(
    setup: Setup, serving: Callable[[int], Callable[[Question], Awaitable[Any]]]
) -> list[tuple[Founder, Evaluation]]:
    """Evaluates the programs that a search begins with, if any. Raises RunError with the reason unless one of them is ok."""
    seed = setup.search_settings["seed"]
    facts: list[dict[str, Any]] = [
        {"candidate": candidate, "draw_seed": draw_seed(seed, candidate), "serve": serving(candidate)}
        for candidate in range(1, len(setup.founders) + 1)
    ]
    evaluations = await asyncio.gather(*map(partial(_evaluated, setup), setup.founders, facts), return_exceptions=True)
    found: list[tuple[Founder, Evaluation]] = []
    for founder, same, evaluation in zip(setup.founders, facts, evaluations, strict=True):
        if isinstance(evaluation, BaseException):
            raise evaluation
        best = max((e.score for _, e in found if e.score is not None), default=None)
        if confirm.is_due(evaluation, best):
            again = partial(_again, setup, founder.files, same)
            evaluation = await confirm.confirmed(again, setup.problem, evaluation)
        found.append((founder, evaluation))
    if not found or any(evaluation.status is Status.OK for _, evaluation in found):
        return found
    _, first = found[0]
    whose = (
        "its evaluator.py fails"
        if first.status is Status.EVALUATOR_ERROR
        else f"the initial program ends as {first.status}"
    )
    lines = [line.strip() for line in first.feedback.strip().splitlines() if line.strip()]
    more = "" if first.status is Status.SUSPECT else f"; 'evolve check {setup.config['problem']}' shows all of it"
    raise RunError(f"problem={setup.problem.name}: {whose}: {lines[-1] if lines else 'no reason given'}{more}")


async def _evaluated(setup: Setup, founder: Founder, same: Mapping[str, Any]) -> Evaluation:
    return await setup.evaluator.evaluate(
        setup.problem, founder.files, thresholds={}, done=(), on_stage=lambda outcome: None, **same
    )


async def _again(setup: Setup, files: Files, same: Mapping[str, Any], replicate: int) -> StageOutcome:
    return await setup.evaluator.measure(setup.problem, files, replicate=replicate, **same)
