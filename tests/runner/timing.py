"""A clock that moves only while everybody sleeps by it, and a ledger that keeps nothing."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from evolve.runner.budget import Budget, Spent
from evolve.runner.calls import EVALUATE, PROPOSE, Calls
from evolve.runner.meter import Meter


class Time:
    """A clock with its own sleep. While `passing`, it jumps to the next sleeper whenever the loop had time to settle."""

    def __init__(self, settle_s: float = 0.0):
        self.now = 0.0
        self._settle_s = settle_s  # real seconds before a jump, for a run that waits for its store
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + max(0.0, seconds), next(self._order), future))
        await future

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._pass())
        try:
            async with asyncio.timeout(20):
                yield
        finally:
            task.cancel()

    async def _pass(self) -> None:
        while True:
            await asyncio.sleep(self._settle_s)
            for _ in range(40):
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if self._sleepers:
                self.now, _, future = heapq.heappop(self._sleepers)
                future.set_result(None)


class Entered:
    """A ledger in memory: `rows` has the columns of each call that was sent, `ends` how each ended."""

    run_id = "r"

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.ends: dict[int, str] = {}

    async def write(self, *changes: Any) -> None:
        await asyncio.sleep(0)

    def call_sent(self, call: int, *, prompt: str, **columns: Any) -> None:
        self.rows[call] = columns

    def call_done(self, call: int, completion: Any, seconds: float) -> None:
        self.ends[call] = "done"

    def call_failed(self, call: int, error: str, seconds: float, reserved_usd: float | None = None) -> None:
        self.ends[call] = error


class Driven:
    """Calls on a clock of their own, with what was noted, entered and spent."""

    def __init__(self, provider: Any, *, seed: int = 1, **changes: Any):
        self.time, self.ledger, self.spent = Time(), Entered(), Spent()
        self.notes: list[tuple[str, str]] = []
        self.paused: list[str | None] = []
        meters = {purpose: Meter(9, self.time.clock) for purpose in (PROPOSE, EVALUATE)}
        parts = {"budget": Budget(), "may_start": lambda: True, "last_id": 0, **changes}
        self.calls = Calls(
            provider=provider, writer=self.ledger, spent=self.spent, meters=meters, seed=seed,
            note=lambda kind, text: self.notes.append((kind, text)), clock=self.time.clock, sleep=self.time.sleep,
            on_paused=self.paused.append, **parts,
        )  # fmt: skip
