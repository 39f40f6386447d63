"""The litellm provider, against the loopback server; what imports litellm is marked `integration`."""

import asyncio
import subprocess
import sys
import time
from dataclasses import replace
from email.utils import formatdate

import pytest

from evolve.errors import FatalError, ProviderError, TransientError, UsageError
from evolve.llm.litellm_provider import LiteLLM
from evolve.llm.price import Price
from evolve.llm.redact import one_line
from evolve.types import Call, Prompt
from tests.llm_server import LLMServer, Reply

PROMPT = Prompt(system="Improve.", user="Write a better program.")
PRICE = {"input_usd_per_mtok": 2.0, "output_usd_per_mtok": 8.0}
KEY = "kx-93hf82hqwe7"
integration = pytest.mark.integration


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    """Tests see no key but what they set."""
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


async def ask(*replies, model="openai/test", **arguments):
    """Returns what a provider makes of the server's first reply, and the server."""
    with LLMServer(list(replies)) as server:
        provider = LiteLLM(model=model, api_base=server.api_base, **arguments)
        await provider.start()
        return await provider.complete(PROMPT, call=Call(id=41)), server


def test_importing_the_module_does_not_import_litellm():
    code = "import sys, evolve.llm.litellm_provider; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"model": ""}, "llm.model is empty"),
        ({"timeout_s": 0}, "llm.timeout_s=0"),
        ({"max_tokens": 0}, "llm.max_tokens=0"),
        ({"price": {"input_usd_per_mtok": 1.0}}, "must give input_usd_per_mtok and output_usd_per_mtok"),
        (
            {"price": PRICE | {"output_usd_per_mtok": -1.0}},
            "llm.price.output_usd_per_mtok=-1.0: must be a number, 0 or",
        ),
        ({"price": 3}, "llm.price=3 must give input_usd_per_mtok"),
        ({"temperature": "hot"}, "llm.temperature=hot: must be a number"),
        ({"api_base": "localhost:8000"}, "llm.api_base=localhost:8000: must be a URL"),
        ({"params": 3}, "llm.params=3: must be a mapping"),
        ({"requests_per_minute": 0}, "llm.requests_per_minute=0: must be a number"),
        ({"params": {"api_key": "x"}}, r"llm\.params\.api_key .* come from the environment"),
    ],
)
def test_wrong_configuration_is_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        LiteLLM(**{"model": "openai/test"} | wrong)


def test_a_given_price_bounds_a_call_before_start():
    provider = LiteLLM(model="openai/test", price=PRICE, max_tokens=1000)
    ceiling = provider.ceiling_usd(Prompt(system="", user="é" * 500_000))
    assert ceiling == pytest.approx(2.0 + 256 * 2e-6 + 1000 * 8e-6)


def test_a_prompts_own_max_tokens_bounds_its_price():
    provider = LiteLLM(model="openai/test", price=PRICE, max_tokens=1000)
    assert provider.ceiling_usd(PROMPT) - provider.ceiling_usd(replace(PROMPT, max_tokens=10)) == pytest.approx(
        990 * 8e-6
    )


def test_calls_that_evaluations_make_have_as_many_slots_as_proposals_unless_set():
    assert LiteLLM(model="m", concurrency=3).evaluation_concurrency == 3
    assert LiteLLM(model="m", concurrency=3, evaluation_concurrency=5).evaluation_concurrency == 5


@integration
@pytest.mark.parametrize(("asked", "sent"), [(12, 12), (5000, 1000)])
async def test_a_prompt_may_set_its_temperature_and_fewer_tokens(asked, sent):
    with LLMServer(["hello"]) as server:
        provider = LiteLLM(model="openai/test", api_base=server.api_base, max_tokens=1000)
        await provider.start()
        await provider.complete(replace(PROMPT, temperature=0.7, max_tokens=asked), call=Call(id=1))
    assert (server.requests[0].body["temperature"], server.requests[0].body["max_tokens"]) == (0.7, sent)


@integration
async def test_what_a_prompt_asks_and_the_model_does_not_take_is_that_prompts_fault():
    with LLMServer(["hello"]) as server:
        provider = LiteLLM(model="openai/o3-mini", api_base=server.api_base)
        await provider.start()
        with pytest.raises(ProviderError, match="temperature") as raised:
            await provider.complete(replace(PROMPT, temperature=0.7), call=Call(id=1))
    assert not isinstance(raised.value, FatalError | TransientError)


def test_without_a_price_there_is_no_ceiling():
    assert LiteLLM(model="gpt-4o").ceiling_usd(PROMPT) is None


def test_an_unlimited_answer_has_no_ceiling_unless_it_is_free():
    assert LiteLLM(model="openai/test", price=PRICE, max_tokens=None).ceiling_usd(PROMPT) is None
    free = dict.fromkeys(PRICE, 0.0)
    assert LiteLLM(model="openai/test", price=free, max_tokens=None).ceiling_usd(PROMPT) == 0.0


def test_price_takes_the_highest_step_that_applies():
    table = {
        "input_cost_per_token": 1.0,
        "input_cost_per_token_above_200k_tokens": 2.0,
        "input_cost_per_token_priority": 5.0,
        "input_cost_per_audio_token": 9.0,
        "output_cost_per_token": 3.0,
        "output_cost_per_reasoning_token": 4.0,
    }
    assert Price(table=table).usd(10, 0) == 10
    assert Price(table=table).usd(200_000, 0) == 400_000
    assert Price(table=table, service_tier="priority").usd(10, 1) == 54
    assert Price(table={"input_cost_per_token": 1.0}).usd(10, 0) is None


def test_texts_are_shown_without_keys(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", KEY)
    text = f"key {KEY}\nor sk-proj-abcdef123, Bearer abc.def, http://u:pw@host/v1?key=abc&x=1" + " more" * 99
    line = one_line(text)
    assert line.startswith("key *** or ***, Bearer ***, http://***@host/v1?key=***&x=1 more") and len(line) == 300


@integration
async def test_a_completion_brings_text_tokens_and_price():
    answer, server = await ask(Reply(text="hello", tokens_in=1000, tokens_out=10), price=PRICE, temperature=0.5)
    assert (answer.text, answer.tokens_in, answer.tokens_out) == ("hello", 1000, 10)
    assert answer.cost_usd == pytest.approx(1000 * 2e-6 + 10 * 8e-6)
    assert server.calls == ["/41"]
    assert server.requests[0].headers["authorization"] == "Bearer none"
    assert server.requests[0].body == {
        "model": "test",
        "messages": [{"role": "system", "content": "Improve."}, {"role": "user", "content": PROMPT.user}],
        "temperature": 0.5,
        "max_tokens": 8192,
    }


@integration
@pytest.mark.parametrize(("reported", "counted"), [(None, 0), (900, 900), (5000, 1000)])
async def test_tokens_that_were_read_before_are_counted(reported, counted):
    answer, _ = await ask(Reply(text="hello", tokens_in=1000, tokens_out=10, tokens_cached=reported))
    assert (answer.tokens_in, answer.tokens_cached) == (1000, counted)


@integration
async def test_a_conversation_is_sent_as_one():
    with LLMServer(["hello"]) as server:
        provider = LiteLLM(model="openai/test", api_base=server.api_base)
        await provider.start()
        await provider.complete(replace(PROMPT, turns=(("a", "b"), ("c", "d"))), call=Call(id=1))
    messages = [(message["role"], message["content"]) for message in server.requests[0].body["messages"]]
    assert messages[0] == ("system", "Improve.") and messages[1] == ("user", PROMPT.user)
    assert messages[2:] == [("assistant", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]


def test_a_conversations_turns_are_in_its_price():
    provider = LiteLLM(model="openai/test", price=PRICE)
    more = provider.ceiling_usd(replace(PROMPT, turns=(("x" * 1000, "y" * 1000),))) - provider.ceiling_usd(PROMPT)
    assert more == pytest.approx((2000 + 256) * 2e-6)


@integration
async def test_the_table_prices_a_known_model_and_its_ceiling_holds():
    with LLMServer([Reply(text="hello", tokens_in=8, tokens_out=1000)]) as server:
        provider = LiteLLM(model="openai/gpt-4o", api_base=server.api_base, max_tokens=1000)
        await provider.start()
        answer = await provider.complete(PROMPT, call=Call(id=1))
    assert answer.cost_usd == pytest.approx(8 * 2.5e-6 + 1000 * 1e-5)
    assert answer.cost_usd <= provider.ceiling_usd(PROMPT) < answer.cost_usd + 0.001


@integration
async def test_an_unknown_price_is_none_and_not_zero():
    answer, _ = await ask(Reply(text="hello"))
    assert answer.cost_usd is None


@integration
async def test_without_usage_the_most_possible_is_counted():
    answer, _ = await ask(Reply(text="hello", usage=False), price=PRICE)
    assert (answer.tokens_in, answer.tokens_out) == (len(PROMPT.system + PROMPT.user) + 256, 5)
    assert answer.cost_usd == pytest.approx(answer.tokens_in * 2e-6 + 5 * 8e-6)


@integration
async def test_an_answer_used_up_by_reasoning_is_kept():
    answer, _ = await ask(Reply(text="", finish_reason="length", tokens_out=4096))
    assert (answer.text, answer.tokens_out) == ("", 4096)


@integration
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
async def test_faults_that_pass_are_transient_and_not_retried(status):
    message = rf"^llm.model=openai/test at http://127.\S+: {status}: scripted error$"
    with pytest.raises(TransientError, match=message) as caught:
        await ask(Reply(status=status))
    assert not caught.value.may_be_billed


@integration
@pytest.mark.parametrize("fault", ["malformed", "empty", "drop", "cut"])
async def test_answers_that_are_none_are_transient_and_may_be_billed(fault):
    with pytest.raises(TransientError) as caught:
        await ask(Reply(fault=fault))
    assert "\n" not in str(caught.value) and caught.value.may_be_billed


@integration
async def test_what_reached_nobody_is_not_billed():
    provider = LiteLLM(model="openai/test", api_base="http://127.0.0.1:9/v1")
    await provider.start()
    with pytest.raises(TransientError) as caught:
        await provider.complete(PROMPT, call=Call(id=1))
    assert not caught.value.may_be_billed


@integration
async def test_one_attempt_is_one_request():
    with LLMServer([Reply(status=500), Reply(status=429)]) as server:
        provider = LiteLLM(model="openai/test", api_base=server.api_base)
        await provider.start()
        for _ in range(2):
            with pytest.raises(TransientError):
                await provider.complete(PROMPT, call=Call(id=1))
    assert len(server.requests) == 2


@integration
async def test_retry_after_is_honoured():
    with pytest.raises(TransientError) as caught:
        await ask(Reply(status=429, retry_after_s=7))
    assert caught.value.retry_after_s == 7


@integration
async def test_retry_after_may_be_a_date():
    with pytest.raises(TransientError) as caught:
        await ask(Reply(status=503, headers={"Retry-After": formatdate(time.time() + 60, usegmt=True)}))
    assert 50 < caught.value.retry_after_s <= 60


@integration
@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_faults_of_key_or_model_are_fatal(status):
    with pytest.raises(FatalError, match=r"^llm.model=openai/test at .*scripted error"):
        await ask(Reply(status=status))


@integration
async def test_a_used_up_quota_is_fatal():
    with pytest.raises(FatalError, match="no credit left"):
        await ask(Reply(status=429, code="insufficient_quota"))


@integration
@pytest.mark.parametrize("message", ["maximum context length exceeded", "content_policy_violation", "bad input"])
async def test_faults_of_one_prompt_are_neither_transient_nor_fatal(message):
    with pytest.raises(ProviderError, match=message) as caught:
        await ask(Reply(status=400, message=message))
    assert type(caught.value) is ProviderError


@integration
async def test_a_stalled_server_meets_our_deadline():
    with pytest.raises(TransientError, match=r"no answer within llm.timeout_s=0.2$"):
        await ask(Reply(fault="stall"), timeout_s=0.2)


@integration
async def test_a_server_that_is_not_there_is_transient():
    with LLMServer() as server:
        pass
    provider = LiteLLM(model="openai/test", api_base=server.api_base)
    await provider.start()
    with pytest.raises(TransientError, match="Connection error"):
        await provider.complete(PROMPT, call=Call(id=1))


@integration
async def test_a_call_can_be_cancelled():
    with LLMServer([Reply(fault="stall")]) as server:
        provider = LiteLLM(model="openai/test", api_base=server.api_base)
        await provider.start()
        call = asyncio.create_task(provider.complete(PROMPT, call=Call(id=1)))
        assert await asyncio.to_thread(server.wait_requests, 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


@integration
async def test_calls_overlap():
    with LLMServer(latency_s=0.2) as server:
        provider = LiteLLM(model="openai/test", api_base=server.api_base)
        await provider.start()
        await asyncio.gather(*(provider.complete(PROMPT, call=Call(id=i)) for i in range(8)))
    assert server.peak == 8


@integration
@pytest.mark.parametrize(
    ("model", "variables"),
    [("gpt-4o", "OPENAI_API_KEY"), ("gemini/gemini-2.5-flash", "GOOGLE_API_KEY or GEMINI_API_KEY")],
)
async def test_a_missing_key_is_one_line_that_names_the_variable(model, variables):
    with pytest.raises(FatalError) as caught:
        await LiteLLM(model=model).start()
    expected = f"llm.model={model}: {variables} is not set; export it (keys come from the environment only)"
    assert str(caught.value) == expected


@integration
@pytest.mark.parametrize("blank", ["", " "])
async def test_a_blank_key_is_a_missing_key(monkeypatch, blank):
    monkeypatch.setenv("OPENAI_API_KEY", blank)
    with pytest.raises(FatalError, match="OPENAI_API_KEY is not set"):
        await LiteLLM(model="gpt-4o").start()


@integration
@pytest.mark.parametrize("message", ["a/b is not a valid model ID", "Model Not Exist", "Invalid model: a"])
async def test_a_model_that_is_refused_by_status_400_is_fatal(message):
    with pytest.raises(FatalError, match=message):
        await ask(Reply(status=400, message=message))


@integration
async def test_an_unknown_provider_is_one_line_with_a_remedy(capfd):
    with pytest.raises(FatalError, match=r"^llm.model=qwen: .* write provider/model, or openai/qwen with llm.api_base"):
        await LiteLLM(model="qwen").start()
    assert capfd.readouterr() == ("", "")


@integration
async def test_an_option_that_a_hosted_model_does_not_take_is_refused(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(FatalError, match=r"reasoning_effort is not supported; set llm.reasoning_effort=null"):
        await LiteLLM(model="gpt-4o", reasoning_effort="low").start()


@integration
async def test_a_server_of_ones_own_is_sent_every_option():
    _, server = await ask(Reply(text="x"), model="openai/gpt-4o", reasoning_effort="low", params={"top_p": 0.9})
    assert server.requests[0].body["reasoning_effort"] == "low" and server.requests[0].body["top_p"] == 0.9


@integration
@pytest.mark.parametrize("status", [400, 401, 429])
async def test_a_key_is_in_no_message_and_nothing_is_printed(monkeypatch, capfd, status):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ProviderError) as caught:
        await ask(Reply(status=status, message=f"Incorrect API key provided: {KEY}\nsk-live-abcdef"))
    assert KEY not in str(caught.value) and "***" in str(caught.value) and caught.value.__suppress_context__
    assert capfd.readouterr() == ("", "")
