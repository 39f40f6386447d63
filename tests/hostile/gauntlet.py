"""Runs hostile candidates one after another on one worker, an honest one after each, and tells what became of all.

`python -m tests.hostile.gauntlet LEVEL [NAME ...]` prints one JSON line per candidate; the tests read them. Around the
worker there is bait: secrets in the environment, in the memory and arguments of a stranger's process, behind sockets, in a
neighbour's scratch folder and in the problem's hidden/. What a candidate should not have been able to do is listed under
`breaches`.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluators import Cascade, LocalPool
from evolve.errors import EvolveError
from evolve.types import Evaluation, Files
from tests.hostile import bait
from tests.hostile.cast import Hostile, chosen, label, make_problem

WAIT_S = 60.0


@dataclass(slots=True, kw_only=True)
class Row:
    """What became of one hostile candidate and of the honest one after it."""

    name: str
    status: str
    score: float | None
    feedback: str
    seconds: float
    honest: dict[str, Any] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)


class Gauntlet:
    """One worker at one level, the bait set out around it."""

    def __init__(self, level: str, folder: Path):
        self.folder = folder
        self.marks = bait.Marks()
        self.problem = make_problem(folder / "problem", self.marks)
        self.cascade = Cascade(LocalPool(1, level), level)
        self.bait = bait.Bait(label(self.problem), self.marks)
        self._kept = self._fingerprint()

    async def run(self, hostile: Sequence[Hostile]) -> AsyncIterator[Row]:
        """Yields a Row for each."""
        self.bait.set()
        await self.cascade.start()
        try:
            first = await self._honest()
            assert first["status"] == "ok", first
            for candidate in hostile:
                yield await self._row(candidate)
        finally:
            await self.cascade.close()
            self.bait.take_away()

    async def _row(self, candidate: Hostile) -> Row:
        self.bait.plant(self.folder)
        self.bait.reached.clear()
        before, began = self._cores(), time.monotonic()
        evaluation = await self._evaluate(candidate.files(self.problem))
        seconds = time.monotonic() - began
        row = Row(
            name=candidate.name,
            status=str(evaluation.status),
            score=evaluation.score,
            feedback=evaluation.feedback[:600],
            seconds=round(seconds, 2),
        )
        row.breaches = self._breaches(before)
        row.honest = await self._honest()
        return row

    def _breaches(self, cores: set[str]) -> list[str]:
        found = [f"process {pid} lives on" for pid in bait.lasting_processes(self.marks)]
        files = bait.scratch_left(self.folder) + bait.marked_files(self.marks, self.problem.path, self.folder)
        found += [f"{path} was left" for path in files]
        found += [f"IPC object {what} was left" for what in bait.segments_left(self.marks)]
        found += [f"a core file {path} was left" for path in self._cores() - cores]
        found += [f"{what} was reached" for what in set(self.bait.reached)]
        found += self.bait.check_victim() + self.bait.check_planted()
        if self._fingerprint() != self._kept:
            found.append("the problem or the harness was changed")
            self._kept = self._fingerprint()
        return found

    async def _honest(self) -> dict[str, Any]:
        evaluation = await self._evaluate(self.problem.initials[0])
        return {"status": str(evaluation.status), "score": evaluation.score, "feedback": evaluation.feedback[:300]}

    async def _evaluate(self, files: Files) -> Evaluation:
        return await asyncio.wait_for(self.cascade.evaluate(self.problem, files), WAIT_S)

    def _fingerprint(self) -> str:
        return bait.fingerprint(self.problem.path, bait.HARNESS)

    def _cores(self) -> set[str]:
        return {str(path) for place in (Path.cwd(), self.folder) for path in place.glob("core*") if path.is_file()}


async def report(level: str, names: Sequence[str]) -> AsyncIterator[Row]:
    """Yields a row for each of the candidates that `chosen` returns."""
    folder = tempfile.mkdtemp(prefix="gauntlet-")
    before, tempfile.tempdir = tempfile.tempdir, folder
    try:
        async for row in Gauntlet(level, Path(folder)).run(chosen(level, names)):
            yield row
    finally:
        tempfile.tempdir = before
        bait.remove(folder)


async def show(level: str, names: Sequence[str]) -> None:
    try:
        async for row in report(level, names):
            print(json.dumps(dataclasses.asdict(row)), flush=True)
    except EvolveError as error:
        print(json.dumps({"name": "refused", "feedback": str(error)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("level")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    asyncio.run(show(arguments.level, arguments.names))


if __name__ == "__main__":
    main()
