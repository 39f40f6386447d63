"""Evaluations on Ray: one long-lived actor per slot, each with the same worker program as a child.

A problem's folder travels by content: zipped once into the object store, unpacked by its hash where an actor first needs it.
Actors hold no key: `ray.init` runs with an environment from an allow list, since Ray's workers inherit the driver's. An
actor that dies, can't be reached or is over its time is replaced, and its job run again, with back-off. Ray client
addresses (ray://) are refused: they failed where they were tried (Ray 2.60).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluators.pool import Question, Serve, StageJob, refuse
from evaluators.worker_client import DEATHS, GRACE_S, START_S, Slot, failed
from evolve import checks
from evolve.errors import EvolveError, UsageError
from evolve.problem import Problem, folder_files
from evolve.types import StageOutcome, Status

TRIES = 3
BACK_OFF_S = 1.0
CLOSE_S = 2.0
SLACK_S = 30.0  # for the way to an actor and back
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("LC_", "RAY_", "CUDA_", "NVIDIA_", "OPENBLAS_")


class Host:
    """The actor: keeps one `Slot`, and the folders of the problems that it has seen."""

    def __init__(self) -> None:
        self._slot = Slot("bare")
        self._folders = tempfile.mkdtemp(prefix="evolve-problems-")

    def ready(self) -> bool:
        self._slot.start()
        return True

    def run(self, job: StageJob, boxed: list[Any]) -> StageOutcome:
        """Runs a job; `boxed` holds the reference to the zipped folder, fetched only where it is not here yet."""
        folder = Path(self._folders, job.problem.hash)
        if not folder.is_dir():
            import ray

            unzip(ray.get(boxed[0]), folder)
        return self._slot.run(replace(job, problem=replace(job.problem, path=folder)), _no_questions)

    def close(self) -> None:
        self._slot.close()
        shutil.rmtree(self._folders, ignore_errors=True)


def _no_questions(question: Question) -> Any:
    raise EvolveError("evaluator=ray can't answer an evaluation's questions yet")


class RayPool:
    """A `Pool` of Ray actors. `workers=None` means one for each CPU of the cluster; `address=None` starts a Ray here."""

    isolation = "bare"

    def __init__(self, workers: int | None = None, address: str | None = None):
        checks.whole("evaluator.workers", workers, 1, or_null=True)
        if (address or "").startswith("ray://"):
            raise UsageError(f"evaluator.address={address}: give HOST:PORT or auto, not a Ray client address")
        self._workers = workers
        self._address = address
        self._started = False
        self._actors: list[Any] = []
        self._idle: asyncio.LifoQueue[int] = asyncio.LifoQueue()
        self._folders: dict[str, Any] = {}

    @property
    def slots(self) -> int:
        """How many stages run at once; known for `workers=None` only after `start`."""
        return self._workers or len(self._actors) or 1

    async def start(self, problem: Problem | None = None) -> None:
        """Connects and starts the actors. Blocks the loop for seconds while a Ray of its own starts, so that nothing else
        sees the scrubbed environment. Raises EvolveError where the cluster has fewer CPUs than `workers`."""
        import ray

        if not ray.is_initialized():
            self._connect(ray)
            self._started = True
        cpus = int(ray.cluster_resources().get("CPU", 0))
        wanted = self._workers or max(1, cpus)
        if wanted > cpus:
            await self.close()
            raise EvolveError(f"evaluator.workers={wanted}: the Ray cluster has {cpus} CPUs; ask for at most that many")
        self._actors = [self._actor() for _ in range(wanted)]
        try:
            await asyncio.gather(*(self._result(actor.ready.remote(), START_S + SLACK_S) for actor in self._actors))
        except (ray.exceptions.RayError, TimeoutError) as error:
            await self.close()
            raise EvolveError(f"an evaluation actor did not start: {error or type(error).__name__}") from error
        for place in range(wanted):
            self._idle.put_nowait(place)

    async def run(self, job: StageJob, serve: Serve = refuse) -> StageOutcome:
        place = await self._idle.get()
        try:
            return await self._tries(place, job)
        except asyncio.CancelledError:
            self._replace(place)
            raise
        finally:
            self._idle.put_nowait(place)

    async def close(self) -> None:
        """Kills the actors, and Ray where this pool started it."""
        import ray

        await asyncio.gather(*map(self._dismiss, self._actors))
        self._actors, self._folders, self._idle = [], {}, asyncio.LifoQueue()
        if self._started:
            self._started = False
            ray.shutdown()

    async def _dismiss(self, actor: Any) -> None:
        """Lets an actor that is not busy remove its files, then kills it."""
        import ray

        with contextlib.suppress(Exception):  # it may be busy, dead, or the cluster gone
            await self._result(actor.close.remote(), CLOSE_S)
        with contextlib.suppress(Exception):
            ray.kill(actor)

    async def _tries(self, place: int, job: StageJob) -> StageOutcome:
        import ray

        reason = ""
        for attempt in range(TRIES):
            try:
                call = self._actors[place].run.remote(job, [self._folder(job.problem)])
                outcome: StageOutcome = await self._result(call, _longest_s(job))
                return outcome
            except (ray.exceptions.RayError, TimeoutError) as error:
                reason = f"{type(error).__name__}: {error}"[:1000]
                self._replace(place)
                await asyncio.sleep(BACK_OFF_S * 2**attempt)
        return failed(job, Status.INFRA, f"no Ray actor finished it in {TRIES} tries; last: {reason}")

    async def _result(self, reference: Any, timeout_s: float) -> Any:
        return await asyncio.wait_for(asyncio.wrap_future(reference.future()), timeout_s)

    def _connect(self, ray: Any) -> None:
        try:
            with scrubbed_environment():
                ray.init(
                    address=self._address or "local",
                    num_cpus=None if self._address else self._workers,
                    include_dashboard=False if self._address is None else None,
                    log_to_driver=False,
                    configure_logging=False,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise EvolveError(f"evaluator.address={self._address}: Ray did not start: {error}") from error

    def _actor(self) -> Any:
        import ray

        return ray.remote(Host).options(num_cpus=1, max_restarts=0, max_task_retries=0).remote()

    def _replace(self, place: int) -> None:
        import ray

        with contextlib.suppress(Exception):  # it may be dead already
            ray.kill(self._actors[place])
        self._actors[place] = self._actor()

    def _folder(self, problem: Problem) -> Any:
        import ray

        if problem.hash not in self._folders:
            self._folders[problem.hash] = ray.put(zip_folder(problem.path))
        return self._folders[problem.hash]


def zip_folder(folder: Path) -> bytes:
    """Returns a problem's files as one zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder_files(folder):
            archive.write(path, path.relative_to(folder).as_posix())
    return buffer.getvalue()


def unzip(content: bytes, folder: Path) -> None:
    """Unpacks `zip_folder`'s archive; the folder appears whole or not at all."""
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(part)
    part.rename(folder)


@contextlib.contextmanager
def scrubbed_environment() -> Iterator[None]:
    """Leaves in this process's environment only what Ray needs, for as long as the block runs."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update({k: v for k, v in kept.items() if k in KEPT or k.startswith(KEPT_PREFIXES)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _longest_s(job: StageJob) -> float:
    """How long an actor may take that retries on a fresh worker as often as it does."""
    return DEATHS * (2 * START_S + job.problem.stage(job.stage).wall_s + GRACE_S) + SLACK_S
