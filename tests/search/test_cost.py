"""What a search costs, and that it is the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc

from tests.search.driving import founded, steps

SCRIPT = """
import hashlib
from evolve.search.migration import Migration
from evolve.search.reset import ResetWeakest
from tests.search.driving import founded, plain, steps, strategy
search = founded(islands=4, strategy=strategy(Migration(every=5), ResetWeakest(every=20, minimum=20)))
steps(search, 300)
print(hashlib.sha256(repr(plain(search.take_events())).encode()).hexdigest())
"""


def test_a_candidate_takes_less_than_300_bytes():
    count = 8_000
    search = founded(islands=8)
    steps(search, 100)
    search.take_events()
    tracemalloc.start()
    try:
        for _ in range(count // 100):
            steps(search, 100)
            search.take_events()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / count < 300


def test_the_hash_seed_changes_nothing():
    def run(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert run("1") == run("2") != ""
