"""Any model that litellm reaches: hosted APIs by their keys, local servers by `api_base`.

Importing litellm takes 5 to 8 seconds and would download a price table, so `start` imports it in a thread, with the
table that it ships. Its retries, time-outs and budgets are not used: the deadline is ours, the rest is the runner's.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from evolve import checks
from evolve.errors import FatalError, ProviderError, TransientError, UsageError
from evolve.llm.price import Price, tokens_bound
from evolve.llm.provider import Limits, Provider
from evolve.llm.redact import one_line
from evolve.types import Call, Completion, Prompt

OWNED = frozenset({
    "api_base", "api_key", "base_url", "drop_params", "fallbacks", "max_completion_tokens", "max_retries", "max_tokens",
    "messages", "mock_response", "model", "n", "num_retries", "reasoning_effort", "stream", "temperature", "timeout",
})  # fmt: skip
PROMPTS_OWN = ("temperature", "max_tokens")  # what a prompt may set for itself
PRICE_KEYS = {"input_usd_per_mtok", "output_usd_per_mtok"}
FATAL = {
    401: "the key was refused; check the environment variable it comes from",
    402: "the account has no credit left",
    403: "access was denied; check the key's permissions",
    404: "not found; check llm.model and llm.api_base",
}
UNBILLED = frozenset(
    {"APIStatusError", "HTTPStatusError", "ConnectError", "ConnectTimeout", "PoolTimeout"}
)  # openai, httpx
TRANSIENT = frozenset({408, 409, 425, 429})
NO_MODEL = re.compile(  # by which some say with status 400 that they have no such model (OpenRouter, DeepSeek, Mistral)
    r"\b(?:invalid|unknown) model\b|not a valid model\b|\bmodel\b.{0,80}?\bnot (?:exist|found)\b", re.I
)
NOISE = ("`ReadOnly` qualifier", "Pydantic serializer warnings")
PREFIX = re.compile(r"^(?:(?:litellm\.)?\w*?(?: ?Error|Exception|Timeout)(?: -|:)\s*)+")


class LiteLLM(Provider):
    """A provider that makes one attempt through litellm.

    `max_tokens` caps an answer and so its price. `price` (`input_usd_per_mtok`, `output_usd_per_mtok`) stands above
    litellm's table. `params` are handed to litellm as they are. A key comes from the environment variable that litellm
    documents; with `api_base` none is needed, and one that is set is sent there.
    """

    def __init__(
        self,
        *,
        model: str,
        api_base: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = 8192,
        reasoning_effort: str | None = None,
        timeout_s: float = 120.0,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        price: Mapping[str, float] | None = None,
        params: Mapping[str, Any] | None = None,
        concurrency: int = 8,
        evaluation_concurrency: int | None = None,
        attempts: int = 5,
    ):
        if not model or not isinstance(model, str):
            raise UsageError("llm.model is empty; name a model such as gpt-4o, or openai/NAME with llm.api_base")
        if api_base is not None and not re.match(r"https?://[^/]", str(api_base)):
            raise UsageError(f"llm.api_base={api_base}: must be a URL such as http://127.0.0.1:8000/v1")
        checks.number("llm.timeout_s", timeout_s, 0.001)
        checks.number("llm.temperature", temperature, 0, or_null=True)
        checks.whole("llm.max_tokens", max_tokens, 1, or_null=True)
        self.take_slots(concurrency, evaluation_concurrency, attempts)
        if price is not None and not (isinstance(price, Mapping) and set(price) == PRICE_KEYS):
            raise UsageError(f"llm.price={price} must give {' and '.join(sorted(PRICE_KEYS))}")
        for name, usd in (price or {}).items():
            checks.number(f"llm.price.{name}", usd, 0)
        if not isinstance(params or {}, Mapping):
            raise UsageError(f"llm.params={params}: must be a mapping such as {{top_p: 0.9}}")
        if owned := sorted(OWNED & set(params or {})):
            raise UsageError(
                f"llm.params.{owned[0]} is not a further parameter; keys come from the environment, the rest from llm.*"
            )
        options = {"temperature": temperature, "max_tokens": max_tokens, "reasoning_effort": reasoning_effort}
        self.model = model
        self.limits = Limits(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
        self.max_tokens = max_tokens
        self._api_base = api_base
        self._options = {name: value for name, value in options.items() if value is not None}
        self._timeout_s = timeout_s
        self._flat_price = None if price is None else Price.per_mtok(**price)
        self._params = dict(params or {})
        self._price = self._flat_price or Price()
        self._litellm: Any = None
        self._arguments: dict[str, Any] = {}

    async def start(self) -> None:
        """Imports litellm and checks model, key and options, all in a thread."""
        await in_a_daemon(self._open)

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Makes one attempt, marked by the header X-Evolve-Call.

        Raises plain ProviderError for what is wrong with this prompt only: too long, or refused by a content policy.
        """
        if self._litellm is None:
            raise RuntimeError("LiteLLM.complete was called before start")
        asked = self._asked(prompt) | {"messages": _messages(prompt), "extra_headers": self._headers(call)}
        answer = await self._within(self._litellm.acompletion(**self._arguments | asked), prompt)
        return self._completion(answer, prompt)

    def _headers(self, call: Call) -> dict[str, str]:
        return {**self._params.get("extra_headers", {}), "X-Evolve-Call": call.name}

    async def _within(self, attempt: Awaitable[Any], prompt: Prompt) -> Any:
        """Awaits an attempt until its deadline. Raises what failed as a ProviderError."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await attempt
        except TimeoutError:
            raise TransientError(
                f"{self._where}: no answer within llm.timeout_s={self._timeout_s:g}", may_be_billed=True
            ) from None
        except Exception as error:  # noqa: BLE001 its adapters raise anything; their texts hold keys, so no chain
            raise self._failure(error, prompt) from None

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns the most that answering can cost: every byte a token in, and all of `max_tokens` out.

        None before `start`, unless `price` is given.
        """
        return self._price.ceiling_usd(prompt, self._asked(prompt).get("max_tokens", self.max_tokens))

    async def close(self) -> None:
        """Does nothing: litellm's connections are shared by all runs of a process, and it closes them at exit."""

    @property
    def _where(self) -> str:
        return one_line(f"llm.model={self.model}" + (f" at {self._api_base}" if self._api_base else ""))

    def _asked(self, prompt: Prompt) -> dict[str, Any]:
        """Returns what the prompt itself says about its answer; `llm.max_tokens` stays the most."""
        asked = {name: value for name in PROMPTS_OWN if (value := getattr(prompt, name)) is not None}
        if "max_tokens" in asked and self.max_tokens is not None:
            asked["max_tokens"] = min(asked["max_tokens"], self.max_tokens)
        return asked

    def _open(self) -> None:
        litellm = _import_litellm()
        try:
            name, provider, _, _ = litellm.get_llm_provider(self.model, api_base=self._api_base)
        except Exception:  # noqa: BLE001 litellm documents no type for this
            remedy = f"write provider/model, or openai/{self.model} with llm.api_base for a server of your own"
            raise FatalError(f"llm.model={self.model}: litellm knows no such provider; {remedy}") from None
        own = {"model": self.model, "num_retries": 0, "max_retries": 0, "timeout": self._timeout_s + 5}
        checked = self._access(litellm) | self._allowed(litellm, name, provider)
        self._arguments = own | checked | self._options | self._params
        self._price = self._flat_price or Price(
            table=_table(litellm, self.model), service_tier=self._params.get("service_tier")
        )
        self._litellm = litellm

    def _access(self, litellm: Any) -> dict[str, Any]:
        for name in [name for name, value in os.environ.items() if name.endswith("_API_KEY") and not value.strip()]:
            del os.environ[name]  # litellm takes a blank one for a key
        missing = litellm.validate_environment(self.model)["missing_keys"]
        keys = " or ".join(name for name in missing if name.endswith("_API_KEY"))
        if self._api_base is not None:
            return {"api_base": self._api_base} | ({"api_key": "none"} if keys else {})
        if keys:
            raise FatalError(
                f"llm.model={self.model}: {keys} is not set; export it (keys come from the environment only)"
            )
        return {}

    def _allowed(self, litellm: Any, name: str, provider: str) -> dict[str, Any]:
        """Refuses options that the model does not take; a server of one's own is sent what was asked for."""
        options = self._options if self._api_base is None else {**self._options, **dict.fromkeys(PROMPTS_OWN)}
        taken = litellm.get_supported_openai_params(name, provider) or list(options)
        refused = [option for option in options if option not in taken]
        if refused and self._api_base is None and "allowed_openai_params" not in self._params:
            raise FatalError(f"llm.model={self.model}: {refused[0]} is not supported; set llm.{refused[0]}=null")
        return {"allowed_openai_params": refused} if refused else {}

    def _completion(self, answer: Any, prompt: Prompt) -> Completion:
        if not getattr(answer, "choices", None):
            raise TransientError(f"{self._where}: the answer has no choices", may_be_billed=True)
        choice = answer.choices[0]
        text = getattr(choice.message, "content", None) or ""
        if not text.strip() and choice.finish_reason != "length":  # used up by reasoning: paid for, and no retry helps
            raise TransientError(f"{self._where}: the answer is empty", may_be_billed=True)
        tokens_in, tokens_out = _usage(answer)
        cost_usd = self._cost_usd(answer, tokens_in, tokens_out)
        if not tokens_in + tokens_out:  # no usage was reported: count the most that it can have been, never 0
            tokens_in, tokens_out = tokens_bound(prompt), len(text.encode())
            cost_usd = self._price.usd(tokens_in, tokens_out)
        model = answer.model or self.model
        used = {"tokens_in": tokens_in, "tokens_out": tokens_out, "tokens_cached": min(_cached(answer), tokens_in)}
        return Completion(text=text, model=model, cost_usd=cost_usd, **used)

    def _cost_usd(self, answer: Any, tokens_in: int, tokens_out: int) -> float | None:
        """Returns litellm's price, which knows discounts for cached tokens; where it has none, tokens times price."""
        by_tokens = self._price.usd(tokens_in, tokens_out)
        if self._flat_price is not None or by_tokens is None:
            return by_tokens
        try:
            return float(self._litellm.completion_cost(answer, model=self.model)) or by_tokens
        except Exception:  # noqa: BLE001 its calculators raise anything; the price is known
            return by_tokens

    def _failure(self, error: Exception, prompt: Prompt) -> ProviderError:
        status = getattr(error, "status_code", None)
        if "insufficient_quota" in str(getattr(error, "body", "")):
            status = 402
        if status == 400 and NO_MODEL.search(str(error)):
            status = 404
        detail = one_line(PREFIX.sub("", str(error)).partition("Traceback (most")[0]) or type(error).__name__
        if status in FATAL:
            return FatalError(f"{self._where}: {FATAL[status]} ({detail})")
        text = f"{self._where}: {status or type(error).__name__}: {detail}"
        if isinstance(error, self._litellm.UnsupportedParamsError):
            return (ProviderError if self._asked(prompt) else FatalError)(text)  # a candidate's own words stop no run
        if isinstance(status, int) and (status in TRANSIENT or status >= 500):
            return TransientError(text, retry_after_s=_retry_after_s(error), may_be_billed=not _came_to_nothing(error))
        return ProviderError(text)


async def in_a_daemon(work: Callable[[], None]) -> None:
    """Awaits work in a thread that does not keep the process alive: an import of seconds must not outlast Ctrl-C."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(None)

    def carry() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the loop and raised there
            loop.call_soon_threadsafe(end, error)
        else:
            loop.call_soon_threadsafe(end, None)

    threading.Thread(target=carry, daemon=True).start()
    await done


def _import_litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it loads a .env of the working directory
    for text in NOISE:
        warnings.filterwarnings("ignore", message=f".*{text}")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # its info lines are URLs, which hold Gemini's key
    return litellm


def _table(litellm: Any, model: str) -> Mapping[str, Any]:
    try:
        return litellm.model_cost.get(litellm.get_model_info(model)["key"], {})  # type: ignore[no-any-return]
    except Exception:  # noqa: BLE001 litellm raises another type per version for an unknown model
        return {}


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    said = [prompt.user, *(part for turn in prompt.turns for part in turn)]
    return [*system, *({"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said))]


def _usage(answer: Any) -> tuple[int, int]:
    usage = getattr(answer, "usage", None)
    return getattr(usage, "prompt_tokens", 0) or 0, getattr(usage, "completion_tokens", 0) or 0


def _cached(answer: Any) -> int:
    """Returns the prompt tokens that were read from a cache, as OpenAI or as Anthropic reports them."""
    usage = getattr(answer, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    return getattr(details, "cached_tokens", None) or getattr(usage, "cache_read_input_tokens", None) or 0


def _came_to_nothing(error: BaseException | None) -> bool:
    """Says whether the provider is known to have done no work: it refused with a status, or was not reached at all.

    An answer that was cut off, or that is no answer, may have been paid for; litellm calls all of that a status 500.
    """
    if getattr(error, "status_code", None) in TRANSIENT:
        return True
    while error is not None:
        litellms = type(error).__module__.startswith("litellm")  # its own types say no more than their status
        if not litellms and any(kind.__name__ in UNBILLED for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def _retry_after_s(error: Exception) -> float | None:
    headers = getattr(error, "litellm_response_headers", None) or {}
    value = headers.get("retry-after", "")
    try:
        seconds = float(value) if value[:1].isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
