"""The inbox: what others want of a search, in the database; its runner alone answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from evolve.population import Store
from evolve.population.store import Row

EVERY_S = 0.3


class Inbox:
    """Reads a run's inbox and gives each message, once, to the taker of its kind. Belongs to the runner's event loop."""

    def __init__(self, store: Store, run_id: str, takers: Mapping[str, Callable[[Row], None]]):
        self._store, self._run_id, self._takers = store, run_id, takers
        self._taken: set[int] = set()

    async def watch(self, woken: Callable[[], None]) -> None:
        """Takes messages as they come; `woken` is called when there is work."""
        while True:
            await asyncio.sleep(EVERY_S)
            if await self.read():
                woken()

    async def read(self) -> bool:
        """Takes the messages that wait; says whether there was one."""
        waiting = await asyncio.to_thread(self._store.inbox, self._run_id)
        new = [message for message in waiting if message["id"] not in self._taken]
        for message in new:
            self._taken.add(message["id"])
            self._takers[message["kind"]](message)
        return bool(new)
