"""The ensemble: its configuration, and what it says of its members."""

from __future__ import annotations

import pytest

from evolve.config import build, compose
from evolve.errors import FatalError, UsageError
from evolve.llm.ensemble import Ensemble
from evolve.llm.scripted import Scripted
from evolve.types import Prompt

PROMPT = Prompt(system="s", user="u")
PRICE = {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0}


def test_the_command_line_makes_one_with_its_members_own_settings():
    first = "{model: a/b, weight: 0.8, requests_per_minute: 30}"
    second = "{model: c/d, temperature: 1.0, reasoning_effort: low, api_base: http://127.0.0.1:8000/v1}"
    made = build(compose(["llm=ensemble", f"llm.models=[{first}, {second}]", "llm.concurrency=3"])).provider
    assert made.model == "a/b + c/d" and made.concurrency == made.evaluation_concurrency == 3
    (one, heavy), (two, light) = made.members()
    assert (one.model, heavy, two.model, light) == ("a/b", 0.8, "c/d", 1.0)
    assert one.limits.requests_per_minute == 30 and two.limits.requests_per_minute is None


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("[{model: a/b}, {model: c/d, wieght: 1}]", "llm.models[1].wieght: no such key; did you mean 'weight'?"),
        ("[{model: a/b, zzz: 1}]", "llm.models[0].zzz: no such key; keys: weight, model, api_base"),
        ("[{model: a/b, concurrency: 1}]", "llm.models[0].concurrency: is of all models together; set llm.concurrency"),
        ("[{weight: 1}]", "llm.models[0].model is empty"),
        ("[{model: a/b, weight: 0}]", "llm.models[0].weight=0: must be a number"),
        ("[{model: a/b, max_tokens: 0}]", "llm.models[0].max_tokens=0: must be a whole number"),
        ("[{model: a/b, price: 3}]", "llm.models[0].price=3 must give"),
        ("[{model: a/b, tokens_per_minute: x}]", "llm.models[0].tokens_per_minute=x: must be a number"),
        ("[a/b]", "llm.models[0]=a/b: must be a mapping"),
        ("a/b", "llm.models=a/b: must be a list"),
        ("[]", "llm.models=[]: must be a list"),
    ],
)
def test_a_wrong_entry_is_one_line_that_names_it(models, message):
    with pytest.raises(UsageError) as caught:
        build(compose(["llm=ensemble", f"llm.models={models}"]))
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prices", "ceiling"), [([PRICE, {**PRICE, "output_usd_per_mtok": 8.0}], 0.01), ([PRICE, None], None)]
)
def test_its_price_is_the_largest_of_its_members(prices, ceiling):
    made = Ensemble([{"model": "m", "price": price, "max_tokens": 1000} for price in prices])
    assert made.ceiling_usd(PROMPT) == (None if ceiling is None else pytest.approx(0.008 + 258e-6))


async def test_all_are_started_and_closed_and_one_that_is_wrong_fails_the_start():
    seen: list[str] = []

    class Member(Scripted):
        async def start(self) -> None:
            seen.append(f"start {self.model}")
            if self.model == "bad":
                raise FatalError("llm.model=bad: no key")

        async def close(self) -> None:
            seen.append(f"close {self.model}")

    made = Ensemble([(Member([], model="good"), 1.0), (Member([], model="bad"), 1.0)])
    with pytest.raises(FatalError, match=r"llm\.model=bad: no key"):
        await made.start()
    await made.close()
    assert seen == ["start good", "start bad", "close good", "close bad"]
