"""Embeddings as a model: what it answers to a text is a vector, which is stored, paid for and replayed as any answer is."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from evolve.errors import TransientError
from evolve.llm.litellm_provider import LiteLLM
from evolve.types import Call, Completion, Prompt


class Embedder(LiteLLM):
    """An embedding model that litellm reaches. A completion's text is the vector: float32, base64."""

    def __init__(
        self,
        *,
        model: str,
        api_base: str | None = None,
        price: Mapping[str, float] | None = None,
        timeout_s: float = 60.0,
        attempts: int = 5,
    ):
        more: dict[str, Any] = {"price": price, "timeout_s": timeout_s, "attempts": attempts}
        super().__init__(model=model, api_base=api_base, max_tokens=None, **more)

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Makes one attempt at the vector of the prompt's user part."""
        asked = {"input": [prompt.user], "extra_headers": self._headers(call)}
        answer = await self._within(self._litellm.aembedding(**self._arguments, **asked), prompt)
        try:
            vector = np.asarray(answer.data[0]["embedding"], dtype="<f4")
        except (IndexError, KeyError, TypeError, ValueError):
            raise TransientError(f"{self._where}: the answer has no vector", may_be_billed=True) from None
        tokens = getattr(getattr(answer, "usage", None), "prompt_tokens", 0) or len(prompt.user) // 4
        text = base64.b64encode(vector.tobytes()).decode()
        return Completion(text=text, model=self.model, tokens_in=tokens, cost_usd=self._price.usd(tokens, 0))


def vector_of(text: str) -> np.ndarray:
    """Returns the vector of an answer, of length 1."""
    vector = np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)
    return vector / (float(np.linalg.norm(vector)) or 1.0)
