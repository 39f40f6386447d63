"""What evaluations ask while they run: calls for a model, whether a stage that reports goes on, what a retry goes on from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from evolve.errors import EvolveError, FatalError, ProviderError
from evolve.llm.provider import Provider
from evolve.population import Writer, digest
from evolve.problem import Problem
from evolve.rungs import ETA, rungs
from evolve.runner.calls import EVALUATE, Calls, OutOfMoney
from evolve.search.halving import Halving
from evolve.types import OUTPUT, Completion, Prompt

Question = Mapping[str, Any]
PLACE = ("stage", "replicate", "instance")  # with the candidate and a number: which call of an evaluation it is


async def alone(question: Question) -> Any:
    """Answers outside a run: there is no model but evaluator.py's own, nothing stops early, nothing is kept."""
    return None


class Asks:
    """Answers the questions of a run's evaluations. Belongs to the runner's event loop.

    An `llm` question is answered by as many texts as it has prompts times `n`, or by None where the provider has no model.
    Requests that are not sampled (one answer, no temperature) are the same for the whole run; a sampled one is the same where
    candidate, stage, replicate, instance and number are. Equal requests are answered from the first one's row.
    `cut` holds candidates whose evaluation the run's end cut short: it is no outcome, and a resume takes it up again.
    """

    def __init__(
        self,
        *,
        provider: Provider,
        calls: Calls,
        writer: Writer,
        problem: Problem,
        stop: Callable[[str, str], None],
        incumbent: Callable[[int, str], int | None],
    ):
        self.cut: set[int] = set()
        self._provider, self._calls, self._writer = provider, calls, writer
        self._problem, self._stop, self._halving = problem, stop, Halving()
        self._incumbent = incumbent
        self._sign = problem.objectives[problem.objective]
        self._slots = asyncio.Semaphore(provider.evaluation_concurrency)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def of(self, candidate: int, keeps: bool = True) -> Callable[[Question], Awaitable[Any]]:
        """Returns what answers the questions of one candidate's evaluation, which has no checkpoints unless it `keeps` them.

        It raises ProviderError where the evaluation can't go on for want of an answer, which is nobody's fault in it.
        """
        return partial(self._answer, candidate, keeps)

    def remember(self, stage: str, curve: Iterable[tuple[float, float]]) -> None:
        """Takes the rungs of a curve that was measured before, where its stage stops early."""
        if self._problem.stage(stage).report:
            for step, value in rungs(curve):
                self._halving.observe(stage, step, self._sign * value)

    async def _answer(self, candidate: int, keeps: bool, question: Question) -> Any:
        if question["kind"] == "report":
            return self._reported(question)
        if question["kind"] == "checkpoint":
            place = {name: question[name] for name in PLACE}
            return await self._checkpoint(candidate, question["body"], place) if keeps else None
        if question["kind"] == "incumbent":
            return await self._lent(candidate, question["stage"], question["instance"])
        if question["kind"] != "llm":
            raise EvolveError(f"an evaluation asks for '{question['kind']}', which no run can answer")
        if not self._provider.evaluation_concurrency:
            return None
        wanted = range(len(question["prompts"]) * question["n"])
        texts = await asyncio.gather(*(self._text(candidate, question, i) for i in wanted), return_exceptions=True)
        for text in texts:  # only now: what the others brought is stored
            if isinstance(text, BaseException):
                raise text
        return texts

    async def _text(self, candidate: int, question: Question, index: int) -> str:
        prompt = Prompt(
            system=question["system"],
            user=question["prompts"][index // question["n"]],
            operator=EVALUATE,
            temperature=question["temperature"],
            max_tokens=question["max_tokens"],
        )
        place = {name: question[name] for name in PLACE} | {"number": question["number"] + index}
        sampled = question["n"] > 1 or (prompt.temperature or 0.0) > 0.0
        same = [self._provider.model, prompt.system, prompt.user, prompt.temperature, prompt.max_tokens]
        request = digest(json.dumps([*same, *([candidate, *place.values()] if sampled else [])]))
        async with self._locks.setdefault(request, asyncio.Lock()):  # the same at the same time: one after the other
            stored = await asyncio.to_thread(self._writer.store.answer, self._writer.run_id, request)
            return stored if stored is not None else await self._bought(candidate, prompt, request=request, **place)

    async def _bought(self, candidate: int, prompt: Prompt, **columns: Any) -> str:
        async with self._slots:
            found = await self._calls.complete(candidate, prompt, purpose=EVALUATE, **columns)
        if isinstance(found, Completion):
            return found.text
        if isinstance(found, FatalError):
            self._stop("failed", str(found))
        elif isinstance(found, ProviderError):
            raise ProviderError(str(found))
        elif isinstance(found, OutOfMoney):
            self._stop("finished", str(found))
        self.cut.add(candidate)
        raise ProviderError(str(found) if found else "the run ended before a call that the evaluation needs")

    async def _checkpoint(self, candidate: int, body: bytes | None, place: Mapping[str, Any]) -> bytes | None:
        """Keeps what an evaluation has saved until its candidate is told; returns it where the body is None."""
        if body is not None:
            await self._writer.write(self._writer.checkpoint(candidate, body, **place))
            return None
        load = self._writer.store.checkpoint
        return await asyncio.to_thread(load, self._writer.run_id, candidate=candidate, **place)

    async def _lent(self, candidate: int, stage: str, instance: int) -> bytes | None:
        """Returns the output that was the best when a candidate was asked, None where there was none."""
        owner = self._incumbent(candidate, stage)
        if owner is None:
            return None
        await self._writer.write()  # what was queued before, the output among it, is committed
        names = [f"{instance}/{OUTPUT}", *([OUTPUT] if instance == 0 else [])]  # of several instances, of the only one
        return await asyncio.to_thread(self._writer.store.artifact, self._writer.run_id, owner, stage, names)

    def _reported(self, question: Question) -> str | None:
        """Returns why the stage stops at this step, None to go on."""
        objective, value = self._problem.objective, question["value"]
        stop = self._halving.observe(question["stage"], question["step"], self._sign * value)
        if stop is None:
            return None
        needed = f"{self._sign * stop.needed:g} or {'more' if self._sign > 0 else 'less'}"
        return (
            f"stopped early at step {question['step']:g}: {objective} {value:g} is not among the best 1/{ETA} of the "
            f"{stop.seen} values seen there, which takes {needed}"
        )
