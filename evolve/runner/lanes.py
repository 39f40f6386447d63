"""Lanes: one for each model, with what may leave in a minute and a circuit breaker; what can't leave waits.

The breaker is that of Nygard, "Release It!" (2007), with back-off: failures in a row open it, then single probes are let
through at longer and longer distances until one is answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from math import inf

from evolve.errors import FatalError, TransientError
from evolve.llm.provider import Provider
from evolve.search.randomness import generator
from evolve.search.stagnation import EXPLORE
from evolve.types import Prompt

FAILURES = 5  # in a row that open a lane
COOL_DOWN_S = 5.0  # before the first probe; doubled by each that fails
COOL_DOWN_MOST_S = 60.0
MINUTE_S = 60.0
CHARACTERS_PER_TOKEN = 4
ANSWER_TOKENS = 1024  # what is expected of an answer that nobody bounds


class Rate:
    """So much in a minute, kept by distances: what leaves sets when the next may. One amount is at most the limit."""

    def __init__(self, per_minute: float | None):
        self._most = per_minute or inf
        self._next = 0.0

    def wait_s(self, now: float) -> float:
        return max(0.0, self._next - now)

    def take(self, now: float, amount: float) -> None:
        self._next = max(now, self._next) + self._time(amount)

    def settle(self, taken: float, used: float) -> None:
        """Corrects what was taken by an estimate."""
        self._next += self._time(used) - self._time(taken)

    def _time(self, amount: float) -> float:
        return MINUTE_S * min(1.0, amount / self._most)


class Lane:
    """A model's way out. `fatal` says why it is closed for the whole run."""

    def __init__(self, provider: Provider, weight: float):
        self.provider, self.weight = provider, weight
        self.fatal: FatalError | None = None
        self.requests = Rate(provider.limits.requests_per_minute)
        self.tokens = Rate(provider.limits.tokens_per_minute)
        self.queue: deque[object] = deque()  # who waits for a turn, in order of arrival
        self._failures = 0  # in a row
        self._failing: set[Hashable] = set()  # the calls that brought them
        self._cool_down_s = 0.0  # 0: closed
        self._probe_at = self._asked_at = 0.0  # by the breaker, by the provider's own word
        self._probing = False

    def opens_at(self) -> float:
        """Returns from when on something may leave; infinity while a probe is out."""
        blocked = self.fatal is not None or (self._cool_down_s and self._probing)
        return inf if blocked else max(self._asked_at, self._probe_at if self._cool_down_s else 0.0)

    def begin(self) -> bool:
        """Lets one call leave; says whether it is a probe."""
        self._probing = probe = self._cool_down_s > 0
        return probe

    def end_probe(self) -> None:
        self._probing = False

    def answered(self) -> None:
        self._failures, self._cool_down_s = 0, 0.0
        self._failing.clear()

    def failed(self, call: Hashable, error: TransientError, now: float, probe: bool) -> bool:
        """Takes note of a failure; says whether it counts as an attempt of the call.

        In a storm it does not, unless after the longest cool-down no other call than this one has failed.
        """
        self._failures += 1
        self._failing.add(call)
        self._asked_at = max(self._asked_at, now + (error.retry_after_s or 0.0))
        if self._failures < FAILURES:
            return True
        waited = self._cool_down_s
        if probe or not waited:
            self._cool_down_s = min(COOL_DOWN_MOST_S, 2 * waited or COOL_DOWN_S)
            self._probe_at = now + (self._cool_down_s if error.retry_after_s is None else error.retry_after_s)
        return waited == COOL_DOWN_MOST_S and len(self._failing) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Lets one attempt leave by a lane. `tokens` are reserved of its rate."""

    lane: Lane
    tokens: int
    probe: bool


class Lanes:
    """Divides calls among the members of a provider. Belongs to one event loop; everything in it waits, nothing raises.

    `note(kind, text)` is told of a model that is closed for good, and once that none answers; `on_paused` of the latter
    with the reason, and with None when one answers again.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        seed: int,
        note: Callable[[str, str], None],
        on_paused: Callable[[str | None], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ):
        self._lanes = [Lane(member, weight) for member, weight in provider.members()]
        self._seed, self._note, self._on_paused, self._clock, self._sleep = seed, note, on_paused, clock, sleep
        self._changed = asyncio.Event()
        self._paused = False
        self._error = ""  # the last one

    def order(self, candidate: int, purpose: str, number: int, prompt: Prompt) -> list[Lane]:
        """Returns the lanes as one call prefers them, drawn by weight; nothing depends on when it is asked.

        A conversation stays with its model: its later calls are drawn as the first, number 0. Another way to go about the
        task is asked of the dearest model, taken for the strongest.
        """
        if prompt.operator == EXPLORE:
            return sorted(self._lanes, key=lambda lane: -(lane.provider.ceiling_usd(prompt) or 0.0))
        rng = generator(self._seed, f"model {purpose} {number}", candidate)
        keys = [rng.exponential() / lane.weight for lane in self._lanes]
        return [self._lanes[i] for i in sorted(range(len(keys)), key=keys.__getitem__)]

    async def enter(self, order: Sequence[Lane], prompt: Prompt, ended: asyncio.Event) -> Pass | FatalError | None:
        """Waits until the call may leave by the first of its lanes that is open. `leave` must follow a pass.

        Returns None as soon as its purpose has ended, and the error where all lanes are closed for good.
        """
        while not ended.is_set():
            alive = [lane for lane in order if lane.fatal is None]
            if not alive:
                return order[0].fatal
            lane = next((lane for lane in alive if self._is_open(lane)), None)
            if lane is None:
                await self._storm(alive, ended)
            elif (found := await self._turn(lane, prompt, ended)) is not None:
                return found
        return None

    async def _turn(self, lane: Lane, prompt: Prompt, ended: asyncio.Event) -> Pass | None:
        """Waits in a lane's queue for its rates; None when it has closed before, or the purpose has ended."""
        ticket = object()
        lane.queue.append(ticket)
        try:
            while self._is_open(lane) and not ended.is_set():
                first, now = lane.queue[0] is ticket, self._clock()
                wait_s = max(lane.requests.wait_s(now), lane.tokens.wait_s(now))
                if first and not wait_s:
                    tokens = expected_tokens(prompt, lane.provider)
                    lane.requests.take(now, 1)
                    lane.tokens.take(now, tokens)
                    return Pass(lane=lane, tokens=tokens, probe=lane.begin())
                await self.wait(wait_s if first else None, ended, self._changed)
            return None
        finally:
            lane.queue.remove(ticket)
            self._change()

    async def _storm(self, alive: Sequence[Lane], ended: asyncio.Event) -> None:
        """Waits for a lane to open."""
        wait_s = min(lane.opens_at() for lane in alive) - self._clock()
        if COOL_DOWN_S / 2 < wait_s < inf and not self._paused:  # a shorter one is no news
            self._paused = True
            reason = f"no model answers; the next try is in {wait_s:.0f} s ({self._error})"
            self._note("llm", f"paused: {reason}")
            self._on_paused(reason)
        await self.wait(wait_s, ended, self._changed)

    def leave(self, by: Pass) -> None:
        """Gives back what a pass holds, whatever came of the call."""
        if by.probe:
            by.lane.end_probe()
        self._change()

    def answered(self, by: Pass, tokens: int | None = None) -> None:
        """Closes the breaker; `tokens` are those that the call has used, None where that isn't known."""
        if tokens is not None:
            by.lane.tokens.settle(by.tokens, tokens)
        by.lane.answered()
        if self._paused:
            self._paused = False
            self._on_paused(None)

    def failed(self, by: Pass, call: Hashable, error: TransientError) -> bool:
        """Takes note of a failure; says whether it counts as an attempt of the call."""
        self._error = str(error)
        return by.lane.failed(call, error, self._clock(), by.probe)

    def close(self, lane: Lane, error: FatalError) -> bool:
        """Closes a lane for the whole run; says whether another is left."""
        left = any(other.fatal is None for other in self._lanes if other is not lane)
        if lane.fatal is None and left:
            self._note("llm", f"{error}; it is asked no more, the other models are")
        lane.fatal = error
        return left

    async def wait(self, seconds: float | None, *events: asyncio.Event) -> None:
        """Waits so long (None or infinity: without end), or until one of the events is set."""
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        if seconds is not None and seconds < inf:
            waits.append(asyncio.ensure_future(self._sleep(seconds)))  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _is_open(self, lane: Lane) -> bool:
        return lane.opens_at() <= self._clock()

    def _change(self) -> None:
        """Wakes all that wait in or for a lane."""
        self._changed.set()
        self._changed = asyncio.Event()


def expected_tokens(prompt: Prompt, provider: Provider) -> int:
    """Returns a guess of what a call uses, before it is made."""
    answer = prompt.max_tokens or provider.max_tokens or ANSWER_TOKENS
    return len(prompt.text) // CHARACTERS_PER_TOKEN + answer
