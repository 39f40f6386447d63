"""A provider that answers from a script: the fake that tests of runs and proposers use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from evolve.errors import FatalError
from evolve.llm.provider import Provider
from evolve.types import Call, Completion, Prompt

Script = Sequence[str | Exception] | Callable[[Prompt, str], str]


class Scripted(Provider):
    """Answers from a list, used up in order of arrival, or from a function of (prompt, the call's name); costs nothing.

    An exception in the list is raised in its turn, as is what the function raises. `prompts` and `calls` hold what was
    asked.
    """

    attempts = 3

    def __init__(
        self,
        answers: Script,
        *,
        latency_s: float = 0.0,
        model: str = "scripted",
        concurrency: int = 8,
        evaluation_concurrency: int | None = None,
    ):
        self.model = model
        self.concurrency = concurrency
        self.evaluation_concurrency = concurrency if evaluation_concurrency is None else evaluation_concurrency
        self.prompts: list[Prompt] = []
        self.calls: list[str] = []
        self._answers = answers
        self._latency_s = latency_s

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Returns or raises the next answer. Raises FatalError when the list is used up."""
        index = len(self.calls)
        self.prompts.append(prompt)
        self.calls.append(call.name)
        await asyncio.sleep(self._latency_s)
        text = self._answer(index, prompt, call.name)
        tokens_in = (len(prompt.system) + len(prompt.user)) // 4
        return Completion(text=text, model=self.model, tokens_in=tokens_in, tokens_out=len(text) // 4, cost_usd=0.0)

    def _answer(self, index: int, prompt: Prompt, call: str) -> str:
        if callable(self._answers):
            return self._answers(prompt, call)
        if index >= len(self._answers):
            raise FatalError(
                f"llm.model={self.model}: the script has {len(self._answers)} answers; call {call} is one too many"
            )
        answer = self._answers[index]
        if isinstance(answer, Exception):
            raise answer
        return answer
