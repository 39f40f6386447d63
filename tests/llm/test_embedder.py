"""Embeddings through a loopback server: a vector is an answer like any other."""

from __future__ import annotations

import numpy as np
import pytest

from evolve.errors import ProviderError
from evolve.llm.embedder import Embedder, vector_of
from evolve.types import Call, Prompt
from tests.llm_server import LLMServer

pytestmark = pytest.mark.integration  # imports litellm
PRICE = {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 0.0}


async def test_a_text_becomes_a_vector_of_length_one_at_a_price():
    with LLMServer() as server:
        embedder = Embedder(model="openai/test", api_base=server.api_base, price=PRICE)
        await embedder.start()
        prompt = Prompt(system="", user="aab" * 40)
        answer = await embedder.complete(prompt, call=Call(id=1))
    vector = vector_of(answer.text)
    assert np.linalg.norm(vector) == pytest.approx(1.0) and vector[0] == pytest.approx(2 * vector[1])
    assert answer.tokens_in == 30 and answer.cost_usd == pytest.approx(60e-6)
    assert embedder.ceiling_usd(prompt) >= answer.cost_usd


async def test_a_server_without_embeddings_is_a_providers_error():
    embedder = Embedder(model="openai/test", api_base="http://127.0.0.1:9/v1", price=PRICE)
    await embedder.start()
    with pytest.raises(ProviderError):
        await embedder.complete(Prompt(system="", user="a"), call=Call(id=1))
