"""The Ray actor: a local pool of one worker, and the folders of the problems that it has seen.

A job and the questions that it asks are a conversation of plain calls: `run` returns the outcome or a question, `answer`
takes the reply and returns the next message. So each call has a deadline of its own, and nothing is left in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.util
import io
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import evaluators
import evolve
from evaluators import machine
from evaluators.local_pool import LocalPool
from evaluators.pool import Question, StageJob
from evolve.errors import EvolveError
from evolve.folder import folder_files
from evolve.problem import Problem
from evolve.types import StageOutcome

PREFIX, LOCK = "evolve-problems-", ".lock"
Message = tuple[str, Any]
"""`("outcome", StageOutcome)` or `("ask", Question)` from it, `("answer", value)` or `("refused", EvolveError)` to it."""


class HostActor:
    """Runs one job at a time. All methods run on the actor's event loop, so that `ping` answers while a job runs."""

    def __init__(self, isolation: str) -> None:
        self._pool = LocalPool(1, isolation)
        self._folders, self._lock = own_folder()
        self._job: asyncio.Task[StageOutcome] | None = None
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._reply: asyncio.Future[Any] | None = None

    async def ready(self, problem: Problem | None, boxed: Sequence[Any]) -> dict[str, Any]:
        """Starts the worker; returns the facts about this node that decide whether it is used."""
        here = problem and await self._here(problem, boxed)
        try:
            await self._pool.start(here)
        except EvolveError as error:
            return {**facts(problem), "fault": str(error)}
        return {**facts(problem), "fault": "", "isolation": self._pool.isolation}

    async def run(self, job: StageJob, boxed: Sequence[Any]) -> Message:
        """Begins a job; `boxed` holds the reference to the zipped folder, fetched only where it is not here yet."""
        job = replace(job, problem=await self._here(job.problem, boxed))
        self._questions = asyncio.Queue()
        self._job = asyncio.ensure_future(self._pool.run(job, self._serve))
        return await self._next()

    async def answer(self, reply: Message) -> Message:
        """Takes the reply to the last question."""
        kind, value = reply
        if self._reply is None or self._reply.done():
            raise RuntimeError("nothing was asked")
        if kind == "refused":
            self._reply.set_exception(value)
        else:
            self._reply.set_result(value)
        return await self._next()

    async def stop(self) -> None:
        """Ends the job in progress with its processes; the actor is ready for the next one."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.wait([self._job])

    async def ping(self) -> None:
        """Shows that this process, and the way to it, work."""

    async def close(self) -> None:
        await self.stop()
        await self._pool.close()
        self._lock.close()
        shutil.rmtree(self._folders, ignore_errors=True)

    async def _next(self) -> Message:
        assert self._job is not None
        question = asyncio.ensure_future(self._questions.get())
        await asyncio.wait([self._job, question], return_when=asyncio.FIRST_COMPLETED)
        if question.done():
            return "ask", question.result()
        question.cancel()
        return "outcome", self._job.result()

    async def _serve(self, question: Question) -> Any:
        self._reply = asyncio.get_running_loop().create_future()
        self._questions.put_nowait(question)
        return await self._reply

    async def _here(self, problem: Problem, boxed: Sequence[Any]) -> Problem:
        folder = Path(self._folders, problem.hash)
        if not folder.is_dir():
            unzip(await boxed[0], folder)
        return replace(problem, path=folder)


# ---------------------------------------------------------------- facts


def facts(problem: Problem | None) -> dict[str, Any]:
    """Returns what must be alike on the driver and on every node (`python`, `engine`), and what this one lacks."""
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "engine": engine_hash(),
        "imports": [name for name in problem.preload if not _importable(name)]
        if problem and not problem.python
        else [],
        "missing": _missing(problem) if problem else [],
        "model": machine.node_class().get(problem.comparable_on, "") if problem else "",
    }


def _missing(problem: Problem) -> list[str]:
    """Returns what this node lacks; where stages ask for GPUs, only these need one, and Ray places them."""
    placed = ["gpu"] if any(stage.profile == "gpu" for stage in problem.stages) else []
    return [name for name in machine.missing(problem) if name not in placed]


def engine_hash() -> str:
    """Returns a hash (8 hex digits) of Evolve's own code: a version number does not tell a node with older code."""
    digest = hashlib.sha256()
    for package in (evaluators, evolve):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


# ---------------------------------------------------------------- folders


def own_folder() -> tuple[str, IO[str]]:
    """Makes a folder and the lock that shows that its owner lives; removes those that killed actors left."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=PREFIX)
    held = Path(folder, LOCK + ".new").open("w")  # noqa: SIM115 held as long as the actor lives
    fcntl.flock(held, fcntl.LOCK_EX)
    Path(held.name).rename(Path(folder, LOCK))
    return folder, held


def zip_folder(folder: Path) -> bytes:
    """Returns a problem's files as one zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
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
