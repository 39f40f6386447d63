"""Measures the pools: `python -m tests.benchmarks.pools [--workers 2] [--jobs 400]`.

Seconds until the pool is ready, and evaluations per second of a trivial candidate; quote ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from evaluators import LocalPool, Pool, RayPool, StageJob
from evolve.loading import load_problem


async def per_second(pool: Pool, job: StageJob, jobs: int, workers: int) -> tuple[float, float]:
    """Returns seconds to start, and evaluations per second afterwards with `workers` at once."""
    began = time.perf_counter()
    await pool.start(job.problem)
    try:
        await asyncio.gather(*(pool.run(job) for _ in range(4 * workers)))
        started, left = time.perf_counter(), iter(range(jobs))

        async def work() -> None:
            for _ in left:
                outcome = await pool.run(job)
                assert outcome.score == 7, outcome

        await asyncio.gather(*(work() for _ in range(workers)))
        return started - began, jobs / (time.perf_counter() - started)
    finally:
        await pool.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=400)
    parser.add_argument("--isolation", default="bare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "initial.py").write_text("def f():\n    return 7\n")
        Path(folder, "evaluator.py").write_text("def score(instance, output):\n    return output\n")
        problem = load_problem(folder)
        job = StageJob(problem=problem, stage="main", files=problem.initials[0])
        for name, pool in (
            ("local", LocalPool(given.workers, given.isolation)),
            ("ray", RayPool(given.workers, None, given.isolation)),
        ):
            start_s, rate = asyncio.run(per_second(pool, job, given.jobs, given.workers))
            print(f"{name}: {given.workers} workers, ready after {start_s:.1f} s, {rate:.0f} evaluations per second")


if __name__ == "__main__":
    main()
