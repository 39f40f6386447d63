"""The scripted provider."""

import asyncio

import pytest

from evolve.errors import FatalError, TransientError
from evolve.llm.provider import Provider
from evolve.llm.scripted import Scripted
from evolve.types import Call, Prompt

PROMPT = Prompt(system="four", user="eight ch")


async def test_answers_in_order_of_arrival_and_records_what_was_asked():
    provider: Provider = Scripted(["one", "two"])
    answers = await asyncio.gather(*(provider.complete(PROMPT, call=Call(id=i)) for i in (1, 2)))
    assert [answer.text for answer in answers] == ["one", "two"]
    assert provider.calls == ["/1", "/2"] and provider.prompts == [PROMPT, PROMPT]


async def test_counts_tokens_and_costs_nothing():
    answer = await Scripted(["x" * 20]).complete(PROMPT, call=Call(id=1))
    assert (answer.tokens_in, answer.tokens_out, answer.cost_usd) == (3, 5, 0.0)
    assert Scripted([]).ceiling_usd(PROMPT) == 0.0


async def test_raises_an_exception_in_its_turn():
    provider = Scripted([TransientError("busy"), "ok"])
    with pytest.raises(TransientError, match="busy"):
        await provider.complete(PROMPT, call=Call(id=1))
    assert (await provider.complete(PROMPT, call=Call(id=2))).text == "ok"


async def test_a_used_up_list_is_fatal():
    with pytest.raises(FatalError, match="0 answers; call /1 is one too many"):
        await Scripted([]).complete(PROMPT, call=Call(id=1))


async def test_asks_a_function_with_prompt_and_call():
    provider = Scripted(lambda prompt, call: f"{call}: {prompt.user}")
    assert (await provider.complete(PROMPT, call=Call(id=7))).text == "/7: eight ch"


async def test_latency_can_be_cancelled():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await Scripted(["late"], latency_s=60).complete(PROMPT, call=Call(id=1))
