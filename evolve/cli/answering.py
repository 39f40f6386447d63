"""`evolve answer`: answers the calls that a run has put into a folder (llm=spool), from where a model can be reached."""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from evolve import config
from evolve.cli.plain import plain
from evolve.errors import FatalError, ProviderError, RunError, UsageError
from evolve.llm import spool
from evolve.llm.provider import Provider
from evolve.runner.budget import Budget, Spent
from evolve.runner.calls import PROPOSE, Calls
from evolve.runner.meter import Meter
from evolve.runner.plan import PRICE
from evolve.types import Completion, Prompt

SERVES = ("litellm", "ensemble", "local", "command")
KEYS = ("llm", "budget.usd")
LOCK = "answer.lock"


def answer(arguments: argparse.Namespace) -> int:
    """Serves a folder until Ctrl-C, until nothing waits (`--once`), or until the money is used up."""
    folder, words = Path(arguments.folder), list(arguments.words)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; start the run first: evolve run llm=spool llm.dir={folder} ...")
    provider, usd = model(words, arguments.config_dir, "can't answer a folder")
    with _locked(folder), suppress(asyncio.CancelledError):
        asyncio.run(Service(folder, provider, usd).serve(arguments.once))
    return 0


def model(words: list[str], config_dirs: list[str], cannot: str) -> tuple[Provider, float | None]:
    """Returns the language model that words choose, and `budget.usd`. Raises UsageError where it is none."""
    for word in words:
        if word.partition("=")[0] not in KEYS and not word.startswith("llm."):
            raise UsageError(f"{word}: not a key of this command; it takes llm=..., llm.* and budget.usd=X")
    chosen = next((word.partition("=")[2] for word in reversed(words) if word.startswith("llm=")), "offline")
    if chosen not in SERVES:
        raise UsageError(f"llm={chosen}: {cannot}; choose one of {', '.join(f'llm={name}' for name in SERVES)}")
    composed = config.compose(words, config_dirs)
    return config.build_provider(composed), composed["budget"]["usd"]


async def start_priced(provider: Provider, usd: float | None) -> None:
    """Starts a provider. Raises UsageError where there is a budget in dollars and no known price."""
    await provider.start()
    if usd is not None and provider.ceiling_usd(Prompt(system="", user="")) is None:
        raise UsageError(f"budget.usd={usd:g}: {provider.model} has no known price; {PRICE}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the folder. Raises RunError where another process does."""
    with open(folder / LOCK, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{folder}: another 'evolve answer' is at work here; stop that one first") from None
        yield


class Unwritten:
    """A ledger that enters nothing: the replies in the folder are the record."""

    def __init__(self, run_id: str):
        self.run_id = run_id

    def write(self, *changes: Any) -> Awaitable[None]:
        return asyncio.sleep(0)

    def call_sent(self, call: int, *, prompt: str, **columns: Any) -> None: ...

    def call_done(self, call: int, completion: Completion, seconds: float) -> None: ...

    def call_failed(self, call: int, error: str, seconds: float, reserved_usd: float | None = None) -> None: ...


def unwritten_calls(
    provider: Provider, name: str, usd: float | None, spent: Spent, say: Callable[[str], None]
) -> Calls:
    """Returns what makes calls outside a run, with a run's retries and its care for money."""
    return Calls(
        provider=provider, writer=Unwritten(name), budget=Budget(usd=usd), spent=spent,
        meters={PROPOSE: Meter(provider.concurrency, time.monotonic)}, may_start=lambda: True, last_id=0, seed=0,
        note=lambda kind, text: say(f"{kind}: {text}"), clock=time.monotonic,
    )  # fmt: skip


class Service:
    """Answers a folder's calls with a provider. `usd` bounds what all replies in the folder cost together."""

    def __init__(self, folder: Path, provider: Provider, usd: float | None):
        self._folder, self._provider = folder, provider
        paid = [spool.told_of(folder, int(path.name.partition(".")[0])) for path in folder.glob("[0-9]*.reply.json")]
        self._spent = Spent(cost_usd=sum(told.get("cost_usd", 0.0) for told in paid))
        self._before = self._spent.cost_usd
        self._work: dict[int, asyncio.Task[None]] = {}
        self._known: set[int] = set()
        self._answered, self._fault = 0, ""
        self._ending = asyncio.Event()
        self._calls = unwritten_calls(provider, f"{folder.resolve().name}/answer", usd, self._spent, _say)
        self._usd = usd

    async def serve(self, once: bool) -> None:
        try:
            await start_priced(self._provider, self._usd)
            with self._signals():
                await self._loop(once)
        finally:
            for task in self._work.values():
                task.cancel()
            await asyncio.gather(*self._work.values(), return_exceptions=True)
            await self._provider.close()
            cost = "unknown" if self._spent.unpriced else f"${self._spent.cost_usd - self._before:.4f}"
            lost = f"; up to ${self._spent.lost_usd:.4f} more may be billed" if self._spent.lost_usd else ""
            _say(f"{self._answered} calls answered, cost {cost}{lost}")
        if self._fault:
            raise RunError(self._fault)

    async def _loop(self, once: bool) -> None:
        while True:
            if not self._ending.is_set():
                self._begin()
            if not self._work and (once or self._ending.is_set()):
                return
            waits = [*self._work.values(), asyncio.create_task(asyncio.sleep(spool.POLL_S))]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            waits[-1].cancel()
            for call in [call for call, task in self._work.items() if task.done()]:
                self._known.add(call)
                self._work.pop(call).result()

    def _begin(self) -> None:
        for call in spool.pending(self._folder, {*self._known, *self._work}):
            if len(self._work) == self._provider.concurrency:
                return
            self._work[call] = asyncio.create_task(self._answer(call))

    def _end(self, fault: str = "") -> None:
        """Asks nothing more; what is out ends."""
        self._fault = self._fault or fault
        self._ending.set()
        self._calls.end()

    async def _answer(self, call: int) -> None:
        """Answers one call. What can't be answered is said so in its place; no money and a fatal fault end the service."""
        found = await self._calls.complete(call, spool.asked(self._folder, call))
        if isinstance(found, Completion):
            told = {name: getattr(found, name) for name in ("model", "tokens_in", "tokens_out", "cost_usd")}
            self._put(call, told, found.text)
            self._answered += 1
            price = "price unknown" if found.cost_usd is None else f"${found.cost_usd:.4f}"
            _say(f"{call:06}: {found.model}, {found.tokens_in} tokens in, {found.tokens_out} out, {price}")
        elif isinstance(found, ProviderError) and not isinstance(found, FatalError):
            self._put(call, {"error": str(found)}, str(found))
            _say(f"{call:06}: {found}")
        elif found is not None:
            self._end(str(found))

    def _put(self, call: int, told: dict[str, Any], text: str) -> None:
        try:
            spool.put(spool.told_path(self._folder, call), json.dumps(told))
            spool.put(spool.reply_path(self._folder, call), text)
        except OSError as error:
            raise RunError(f"{self._folder}: the reply to call {call} can't be written ({error.strerror})") from None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C (or SIGTERM) once lets what is out end; twice ends at once."""
        loop, main = asyncio.get_running_loop(), asyncio.current_task()

        def press() -> None:
            if self._ending.is_set() and main is not None:
                main.cancel()
            elif self._work:
                _say("what is asked already is waited for; once more ends at once")
            self._end()

        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):
                loop.add_signal_handler(number, press)
        yield


def _say(text: str) -> None:
    print(plain(text), flush=True)  # noqa: T201
