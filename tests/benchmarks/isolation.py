"""Measures isolation: `python -m tests.benchmarks.isolation [--rounds N] [--seconds S] [--pools local,ray]`.

Evaluations per second on one worker (which keeps about one core busy), scoring included, of a trivial candidate with numpy
loaded, for both pools at each level, beside a fresh `python` with numpy and a bare fork of a process that has it. Then the
time from a candidate's deadline to its tree being dead and its worker ready for the next. Medians of rounds that take turns;
a busy machine shows in the spread.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy  # noqa: F401 what a bare fork has loaded

from evaluators import LocalPool
from evaluators.pool import Pool, StageJob
from evolve.errors import EvolveError
from evolve.loading import load_problem
from evolve.problem import LEVELS, Problem
from evolve.types import Status

TIMEOUT_S = 0.5
NAME = "evolve-bench"
TRIVIAL = "import numpy\n\ndef f(x):\n    return float(numpy.float64(x))\n"
EVALUATOR = "def instances(stage, rng): return [1.0]\ndef score(instance, output): return output\n"
BEGIN = f"import ctypes, os, signal, time\nctypes.CDLL(None).prctl(15, b'{NAME}', 0, 0, 0)\n"
LATE = {
    "endless loop": BEGIN + "def f(x):\n    while True: pass\n",
    "daemon, forked twice": BEGIN
    + """
def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True: time.sleep(60)
        os._exit(0)
    while True: pass
""",
    "child that ignores signals": BEGIN
    + """
def f(x):
    if os.fork() == 0:
        for number in set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
            signal.signal(number, signal.SIG_IGN)
        while True: pass
    while True: time.sleep(60)
""",
}
Measure = Callable[[], Awaitable[float]]


def make_problem(folder: Path) -> Problem:
    (folder / "initial.py").write_text(TRIVIAL)
    (folder / "evaluator.py").write_text(EVALUATOR)
    (folder / "problem.yaml").write_text(f"preload: [numpy]\nstages: {{main: {{timeout_s: {TIMEOUT_S}}}}}\n")
    return load_problem(str(folder))


class Bench:
    """One pool of one worker on one problem."""

    def __init__(self, pool: Pool, problem: Problem):
        self._pool, self._problem = pool, problem

    async def start(self) -> None:
        await self._pool.start(self._problem)
        for _ in range(5):
            await self.trivial_s()

    async def close(self) -> None:
        await self._pool.close()

    async def trivial_s(self) -> float:
        began = time.perf_counter()
        outcome = await self._run(TRIVIAL)
        assert (outcome.status, outcome.score) == (Status.OK, 1.0), outcome.feedback
        return time.perf_counter() - began

    async def rate(self, seconds: float) -> float:
        """Returns evaluations per second."""
        began, count = time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            await self.trivial_s()
            count += 1
        return count / passed

    async def late_s(self, text: str) -> float:
        """Returns seconds from the deadline until the outcome is there, the candidate's start included; nothing lives then."""
        began = time.perf_counter()
        outcome = await self._run(text)
        passed = time.perf_counter() - began
        assert outcome.status is Status.TIMEOUT, outcome
        assert not alive(), "a process lives on"
        await self.trivial_s()
        return passed - TIMEOUT_S

    async def _run(self, text: str) -> Any:
        return await self._pool.run(StageJob(problem=self._problem, stage="main", files={"initial.py": text}))


def alive() -> list[str]:
    """Returns the processes that a late candidate has left."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path("/proc", entry, "comm").read_text().strip() == NAME:
                found.append(entry)
        except OSError:
            continue
    return found


async def fresh(seconds: float) -> float:
    words = [sys.executable, "-c", "import numpy; print(float(numpy.float64(1.0)))"]
    return _rate(lambda: subprocess.run(words, check=True, capture_output=True), seconds)


async def fork(seconds: float) -> float:
    def once() -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)

    return _rate(once, seconds)


def _rate(once: Callable[[], object], seconds: float) -> float:
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        once()
        count += 1
    return count / passed


def make_pool(kind: str, level: str) -> Pool:
    if kind == "local":
        return LocalPool(1, level)
    from evaluators.ray_pool import RayPool

    return RayPool(1, None, level)


async def rounds_of(measures: dict[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Measures each in turn, so that a slow moment of the machine meets all."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(await measure())
    return found


async def group(kind: str, levels: list[str], problem: Problem, arguments: argparse.Namespace) -> None:
    """Measures some levels of a pool beside both yardsticks, and prints them."""
    benches: dict[str, Bench] = {}
    try:
        for level in levels:
            bench = Bench(make_pool(kind, level), problem)
            try:
                await bench.start()
            except EvolveError as error:
                print(f"{kind} {level:<24} not here: {error}")
            else:
                benches[level] = bench
        rates: dict[str, Measure] = {
            "fresh python with numpy": lambda: fresh(arguments.seconds),
            "bare fork": lambda: fork(arguments.seconds / 4),
        }
        rates |= {f"{kind} {level}": lambda b=b: b.rate(arguments.seconds) for level, b in benches.items()}  # type: ignore[misc]
        found = await rounds_of(rates, arguments.rounds)
        yardstick = statistics.median(found["fresh python with numpy"])
        print(f"{'':<28}{'per second':>12}{'lowest':>9}{'highest':>9}{'x fresh':>9}")
        for name, values in found.items():
            middle = statistics.median(values)
            print(f"{name:<28}{middle:>12.1f}{min(values):>9.1f}{max(values):>9.1f}{middle / yardstick:>9.1f}")
        late: dict[str, Measure] = {
            f"{kind} {level}, {name}": lambda b=b, t=t: b.late_s(t)  # type: ignore[misc]
            for level, b in benches.items()
            for name, t in LATE.items()
        }
        print(f"{'':<44}{'ms after the deadline':>22}{'highest':>9}")
        for name, values in (await rounds_of(late, arguments.rounds)).items():
            print(f"{name:<44}{1000 * statistics.median(values):>22.0f}{1000 * max(values):>9.0f}")
    finally:
        for bench in benches.values():
            await bench.close()


async def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        problem = make_problem(Path(folder))
        strongest_first = list(reversed(LEVELS))
        if "local" in arguments.pools:
            await group("local", strongest_first, problem, arguments)
        if "ray" in arguments.pools:  # one Ray at a time
            for level in strongest_first:
                await group("ray", [level], problem, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round")
    parser.add_argument("--pools", type=lambda text: text.split(","), default=["local", "ray"])
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
