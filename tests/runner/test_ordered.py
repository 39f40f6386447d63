"""`schedule=ordered`: slots, latencies and interruptions leave the export as it is, byte for byte."""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from evolve.errors import EvolveError
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


@pytest.mark.parametrize(("calls", "workers", "seed"), [(1, 4, 1), (8, 1, 2), (8, 8, 3), (3, 2, 4), (16, 16, 5)])
async def test_slots_and_latencies_change_nothing(tmp_path, calls, workers, seed):
    plain = await finished(tmp_path / "plain")
    other = await finished(tmp_path / "other", calls=calls, workers=workers, seed=seed)
    assert other.export() == plain.export()


async def test_another_seed_is_another_run(tmp_path):
    one, other = await finished(tmp_path / "1"), await finished(tmp_path / "2", seed=1)
    again = case(tmp_path / "3", window=5, seed=2)
    await again.start()
    assert one.export() == other.export() != again.export()


@pytest.mark.parametrize("how", ["drain", "halt"])
@pytest.mark.parametrize("moment", [1, 7, 19, 40])
async def test_stopped_and_resumed_it_is_the_run_it_would_have_been(tmp_path, how, moment):
    answers = count(1)

    def script(prompt: Prompt, call: str) -> str:
        if next(answers) == moment:
            getattr(run.screen.runner, how)()
        return answer(prompt, call)

    run = case(tmp_path / "stopped", provider=Scripted(script, concurrency=3), window=5)
    await run.start()
    await run.resume(provider=Scripted(answer, concurrency=3))
    assert run.export() == (await finished(tmp_path / "plain")).export()


@pytest.mark.parametrize("limits", [{"tokens": 3000}, {"evaluations": 31}], ids=["tokens", "evaluations"])
async def test_a_budget_that_ends_an_ordered_run_ends_it_at_the_same_place_or_is_refused(tmp_path, limits):
    budget = Budget(candidates=60, **limits)
    try:
        plain = await finished(tmp_path / "plain", budget=budget)
    except EvolveError:
        return
    other = await finished(tmp_path / "other", calls=8, workers=8, seed=3, budget=budget)
    assert other.export() == plain.export()


async def test_an_export_has_a_line_per_event_with_sorted_keys_and_nothing_measured(tmp_path):
    run = await finished(tmp_path)
    lines = run.export()
    assert len(lines) == 3 * 41 + sum(
        line.count('"kind": "migrated"') + line.count('"kind": "reset"') for line in lines
    )
    assert not any(word in line for line in lines for word in ("measured", "tiny-1", '"at"', "seconds", str(tmp_path)))
    assert all(line.startswith('{"candidate": ') for line in lines)
