"""Evaluations on this machine: one worker process per slot, each served by a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

from evaluators.pool import Question, Serve, StageJob, refuse
from evaluators.worker_client import Slot, WorkerDied
from evolve import checks
from evolve.errors import EvolveError
from evolve.problem import LEVELS, Problem
from evolve.types import StageOutcome


class LocalPool:
    """A `Pool` of worker processes; `workers=None` means one for each CPU that this process may use.

    The threads wait on sockets only. They live as long as the pool, because a worker ends with the thread that started it.
    """

    def __init__(self, workers: int | None = None, isolation: str = "auto"):
        self.isolation = isolation
        self.slots = workers if workers is not None else len(os.sched_getaffinity(0))
        checks.whole("evaluator.workers", workers, 1, or_null=True)
        self._threads: ThreadPoolExecutor | None = None
        self._slots: list[Slot] = []
        self._idle: asyncio.LifoQueue[Slot] = asyncio.LifoQueue()  # the warmest first

    async def start(self, problem: Problem | None = None, measured_on: str = "") -> None:
        """Starts all workers at once. Raises EvolveError where one does not start."""
        self._threads = ThreadPoolExecutor(self.slots, thread_name_prefix="evaluation")
        self._slots = [Slot(self.isolation) for _ in range(self.slots)]
        loop = asyncio.get_running_loop()
        try:
            levels = await asyncio.gather(*(loop.run_in_executor(self._threads, slot.start) for slot in self._slots))
        except (WorkerDied, EvolveError) as error:
            await self.close()
            raise EvolveError(str(error)) from None
        self.isolation = min(levels, key=LEVELS.index)
        for slot in self._slots:
            self._idle.put_nowait(slot)

    async def run(self, job: StageJob, serve: Serve = refuse) -> StageOutcome:
        if self._threads is None:
            raise RuntimeError("the pool is not started")
        slot = await self._idle.get()
        cancelled = threading.Event()
        loop = asyncio.get_running_loop()

        def ask(question: Question) -> Any:
            asked.append(asyncio.run_coroutine_threadsafe(serve(question), loop))  # type: ignore[arg-type]
            return asked[-1].result()

        asked: list[Future[Any]] = []
        future = loop.run_in_executor(
            self._threads, slot.run, job, ask, lambda: cancelled.is_set() or self._threads is None
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            cancelled.set()
            for question in asked:
                question.cancel()
            slot.kill()
            with contextlib.suppress(WorkerDied, CancelledError):
                await future
            raise
        finally:
            self._idle.put_nowait(slot)

    async def close(self) -> None:
        """Ends all workers; a `run` still in progress raises WorkerDied."""
        threads, self._threads = self._threads, None
        if threads is None:
            return
        for slot in self._slots:
            slot.kill()
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(threads, slot.close) for slot in self._slots))
        threads.shutdown()
        self._slots = []
        self._idle = asyncio.LifoQueue()
