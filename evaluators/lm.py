"""`lm`, the language model as functions of evaluator.py see it: its calls are made by the runner, with its keys and limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MOST = 1_000  # texts in one question

LlmQuestion = Mapping[str, Any]  # prompts, system, n, temperature, max_tokens


class BadQuestion(ValueError):
    """Raised for what can't be asked; a candidate that was lent the model gets it itself."""


class Lm:
    """Asks the run's model. `services()` may lend it to the candidate, where it costs the run's money: count its calls there.

    Time spent waiting counts against neither `timeout_s` nor `wall_s`. Equal requests are answered from the first one's
    answer unless they are sampled (`n` over 1, or a `temperature` over 0).
    """

    def __init__(self, ask: Callable[[LlmQuestion], list[str]]):
        self._ask = ask

    def __call__(
        self,
        prompt: str,
        *,
        system: str = "",
        n: int = 1,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Any:
        """Returns the answer to a prompt; a list of `n` samples where n is over 1."""
        return self.many([prompt], system=system, n=n, temperature=temperature, max_tokens=max_tokens)[0]

    def many(
        self,
        prompts: Sequence[str],
        *,
        system: str = "",
        n: int = 1,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> list[Any]:
        """Returns the answers to several prompts, asked at once; each as a call with that prompt gives it.

        Raises BadQuestion for what can't be asked.
        """
        several = hasattr(prompts, "__len__") and not isinstance(prompts, str)
        _require(several, f"many() takes a list of prompts, not {type(prompts).__name__}")
        for what, text in [("system", system), *(("a prompt", prompt) for prompt in prompts)]:
            _require(isinstance(text, str), f"{what} must be text, not {type(text).__name__}")
        most = MOST // max(1, len(prompts))
        fits = _is_whole(n) and n <= most
        _require(fits, f"n={n!r}: must be a whole number from 1 to {most} for {len(prompts)} prompts")
        warm = temperature is None or (_is_number(temperature) and 0 <= temperature < math.inf)
        _require(warm, f"temperature={temperature!r}: must be a number, 0 or more")
        fits = max_tokens is None or _is_whole(max_tokens)
        _require(fits, f"max_tokens={max_tokens!r}: must be a whole number, 1 or more")
        if not prompts:
            return []
        question = {"prompts": [_clean(prompt) for prompt in prompts], "system": _clean(system), "n": n}
        texts = self._ask({**question, "temperature": temperature, "max_tokens": max_tokens})
        return texts if n == 1 else [texts[i : i + n] for i in range(0, len(texts), n)]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise BadQuestion(f"lm: {message}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _clean(text: str) -> str:
    """Returns the text without what neither a database nor a model takes: half characters and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")
