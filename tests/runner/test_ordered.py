"""`schedule=ordered`: slots, latencies and interruptions leave the export as it is, byte for byte."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evolve.errors import UsageError
from evolve.llm.scripted import Scripted
from evolve.runner.budget import Budget
from evolve.types import Prompt
from tests.runner.driving import Case, Judging, Slow, answer, case


async def finished(root: Path, *, calls: int = 1, workers: int = 1, seed: int | None = None, **changes: Any) -> Case:
    """Runs to the end with so many slots and, given a seed, latencies at random."""
    rng = random.Random(seed)
    latency = (lambda _: 0) if seed is None else (lambda _: rng.randrange(30))
    provider, evaluator = Slow(answer, latency, calls), Judging(workers, latency=latency)
    run = case(root, provider=provider, evaluator=evaluator, window=5, **changes)
    assert (await run.start()).state == "finished"
    return run


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The export of a run that has one slot of each kind, and that nothing delays or stops."""
    return asyncio.run(finished(tmp_path_factory.mktemp("plain"))).export()


@pytest.mark.parametrize(("calls", "workers", "seed"), [(1, 4, 1), (8, 1, 2), (8, 8, 3), (3, 2, 4), (16, 16, 5)])
async def test_slots_and_latencies_change_nothing(tmp_path, expected, calls, workers, seed):
    other = await finished(tmp_path / "other", calls=calls, workers=workers, seed=seed)
    assert other.export() == expected


async def test_another_seed_is_another_run(tmp_path, expected):
    run = case(tmp_path, window=5, seed=2)
    await run.start()
    assert run.export() != expected


@pytest.mark.parametrize("how", ["drain", "halt"])
@pytest.mark.parametrize("moment", [1, 7, 19, 40])
async def test_stopped_and_resumed_it_is_the_run_it_would_have_been(tmp_path, expected, how, moment):
    answers = count(1)

    def script(prompt: Prompt, call: str) -> str:
        if next(answers) == moment:
            getattr(run.screen.runner, how)()
        return answer(prompt, call)

    run = case(tmp_path / "stopped", provider=Scripted(script, concurrency=3), window=5)
    await run.start()
    await run.resume(provider=Scripted(answer, concurrency=3))
    assert run.export() == expected


@pytest.mark.parametrize("limits", [{"tokens": 3000}, {"seconds": 60.0}, {"usd": 1.0}, {"evaluations": 31}])
async def test_a_budget_that_would_end_it_elsewhere_each_time_is_refused(tmp_path, limits):
    [name] = limits
    with pytest.raises(UsageError, match=rf"budget\.{name}: .* so schedule=ordered refuses it"):
        await finished(tmp_path, budget=Budget(candidates=60, **limits))


def test_an_export_has_a_line_per_event_with_sorted_keys_and_nothing_measured(expected):
    kinds = Counter(json.loads(line)["kind"] for line in expected)
    assert (kinds["added"], kinds["asked"], kinds["proposed"], kinds["told"]) == (1, 40, 41, 41)
    assert [json.dumps(json.loads(line), sort_keys=True) for line in expected] == expected
    assert not any(word in line for line in expected for word in ("measured", "tiny-1", '"at"', "seconds", "/tmp"))
