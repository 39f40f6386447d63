"""What is looked at from outside because no kernel limits it for a whole tree."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from evaluators import LocalPool, StageJob
from evaluators.environment import clean_environment, python
from evaluators.watch import resident_mb
from evolve.problem import Problem
from evolve.types import StageOutcome, Status

ASKING = """
import time
def drive(instance, candidate):
    for _ in range(60):
        candidate.f()
        time.sleep(0.1)
    return 1.0
def score(instance, output): return output
"""
BURNING = """
import os
children = []
def f():
    while len(children) < 2:
        children.append(os.fork())
        if not children[-1]:
            while True: pass
"""


async def ran(problem: Problem) -> StageOutcome:
    pool = LocalPool(1)
    await pool.start()
    try:
        return await pool.run(StageJob(problem=problem, stage="main", files=problem.initials[0]))
    finally:
        await pool.close()


async def test_the_cpu_of_all_processes_together_is_limited_though_none_uses_too_much(
    make_problem: Callable[..., Problem],
) -> None:
    problem = make_problem(evaluator=ASKING, initial=BURNING, timeout_s=0.5, wall_s=20)
    outcome = await ran(problem)
    assert outcome.status is Status.TIMEOUT and "its processes used" in outcome.feedback
    assert outcome.turn_s < 0.5


SLOW = """
import time
def score(instance, output):
    time.sleep(5.0)
    return output
"""
BEHIND = """
import os, time
def f():
    for _ in range(4):
        if os.fork() == 0:
            time.sleep(0.3)
            taken = bytearray(b"1" * (60 << 20))
            time.sleep(60)
    return 1.0
"""


async def test_memory_is_looked_at_while_the_evaluator_works(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(evaluator=SLOW, initial=BEHIND, timeout_s=5, wall_s=20, memory_mb=100)
    outcome = await ran(problem)
    assert outcome.status is Status.MEMORY and "memory_mb=100" in outcome.feedback


RESERVING = """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
place = libc.mmap(None, ctypes.c_size_t(20_000 << 21), 1, 0x4022, -1, ctypes.c_long(0))
for step in range(20_000):
    ctypes.c_char.from_address(place + (step << 21)).value
print("ready", flush=True)
input()
"""


def test_tables_of_what_is_reserved_count() -> None:
    words = [sys.executable, "-c", RESERVING]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        held_mb = resident_mb(process.pid)
        process.kill()
    assert held_mb > 70


def test_a_worker_whose_runner_was_killed_meanwhile_leaves_no_folder(tmp_path: Path) -> None:
    home, another = tmp_path / "evolve-worker-1", tmp_path / "home"
    for folder in (home, another):
        folder.mkdir()
        program = [*python(), "-m", "evaluators.worker", "-1", "bare"]  # no process has that number
        done = subprocess.run(
            program, env=clean_environment(str(folder), trusted=True), stdin=subprocess.DEVNULL, check=False
        )
        assert done.returncode == 1
    assert not home.exists() and another.exists()
