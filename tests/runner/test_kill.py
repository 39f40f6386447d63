"""Killed at any moment, a run goes on to exactly its budget, buys nothing twice and evaluates nothing twice."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from evolve.llm.scripted import Scripted
from evolve.types import Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, answer, calls, case, outcomes, store_of

SLOTS = 3
MOMENTS = [1, 5, 13, 25]


class Killed:
    """A run of 25 candidates of which a copy was kept as it was at the n-th answer or evaluated stage."""

    def __init__(self, root: Path, where: str, moment: int, window: int | None):
        self.root, self.where, self.moment = root, where, moment
        self.copy: Case | None = None
        self.bought: list[str] = []
        self._answers, self._stages = count(1), count(-3)  # the first four are the initial program's, evaluated twice
        provider = Scripted(self._answer, concurrency=SLOTS)
        self.run = case(root / "whole", 25, provider=provider, evaluator=Judging(2, self._judge), window=window)

    def _answer(self, prompt: Prompt, call: str) -> str:
        if self.where == "answer" and next(self._answers) == self.moment:
            self._kill()
        return answer(prompt, call)

    def _judge(self, text: str) -> list[StageOutcome]:
        return [self._stage(outcome) for outcome in outcomes(text)]

    def _stage(self, outcome: StageOutcome) -> StageOutcome:
        if self.where == "stage" and next(self._stages) == self.moment:
            self._kill()
        return outcome

    def _kill(self) -> None:
        self.copy = self.run.snapshot(self.root / "killed")
        self.bought = list(self.run.provider.calls)


async def killed(root: Path, where: str, moment: int, window: int | None) -> Killed:
    made = Killed(root, where, moment, window)
    assert (await made.run.start()).state == "finished"
    assert made.copy is not None
    return made


async def gone_on(copy: Case) -> Case:
    provider, evaluator = Scripted(answer, concurrency=SLOTS), Judging(2)
    assert (await copy.resume(provider=provider, evaluator=evaluator)).state == "finished"
    return copy


def stages_of(run: Case) -> set[tuple[int, str]]:
    return {(row["candidate"], row["stage"]) for row in store_of(run).evaluation_rows(RUN)}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("where", ["answer", "stage"])
@pytest.mark.parametrize("window", [None, 4])
async def test_a_killed_run_ends_with_exactly_its_budget_and_repeats_nothing(tmp_path, where, moment, window):
    made = await killed(tmp_path, where, moment, window)
    before_calls, before_stages = calls(made.copy), stages_of(made.copy)
    run = await gone_on(made.copy)
    counts = run.status()["candidates"]
    assert counts["asked"] == 25 == sum(n for name, n in counts.items() if name != "asked") and counts["in_flight"] == 0
    assert not set(made.bought) & set(run.provider.calls)  # no id leaves twice
    done = [row["candidate"] for row in before_calls if row["state"] == "done"]
    new = [row["candidate"] for row in calls(run)[len(before_calls) :]]
    assert not set(done) & set(new)
    assert max(Counter(row["candidate"] for row in calls(run) if row["state"] == "done").values()) == 1
    assert not before_stages & set(run.evaluator.ran)
    assert run.status()["llm"]["lost"] <= SLOTS
    if window is not None:
        assert run.export() == made.run.export()


async def test_killed_again_and_again_it_loses_at_most_a_call_per_slot_and_kill(tmp_path):
    def dying(generation: int) -> Callable[[Prompt, str], str]:
        answers = count(1)

        def script(prompt: Prompt, call: str) -> str:
            if next(answers) == 4:
                generations.append(generations[generation].snapshot(tmp_path / str(generation)))
            return answer(prompt, call)

        return script

    generations = [case(tmp_path / "first", 25, provider=Scripted(dying(0), concurrency=SLOTS), window=4)]
    await generations[0].start()
    for generation in range(1, 20):
        if len(generations) > generation:
            await generations[generation].resume(provider=Scripted(dying(generation), concurrency=SLOTS))
    last = generations[-1]
    assert len(generations) > 5 and last.status()["candidates"]["asked"] == 25
    assert last.status()["llm"]["lost"] <= SLOTS * (len(generations) - 1)
    assert last.export() == generations[0].export()


async def test_a_lost_calls_price_stays_reserved(tmp_path):
    class Priced(Scripted):
        def ceiling_usd(self, prompt: Prompt) -> float | None:
            return 0.5

    copies: list[Case] = []

    def script(prompt: Prompt, call: str) -> str:
        if not copies:
            copies.append(run.snapshot(tmp_path / "killed"))
        return answer(prompt, call)

    run = case(tmp_path / "whole", 5, provider=Priced(script, concurrency=SLOTS))
    await run.start()
    copy = copies[0]
    await copy.resume(provider=Priced(answer, concurrency=SLOTS))
    lost = copy.status()["llm"]["lost"]
    assert lost > 0 and store_of(copy).call_totals(RUN)["held_usd"] == 0.5 * lost
    assert copy.screen.runner.spent.lost_usd == 0.5 * lost


async def test_a_candidate_whose_call_was_lost_is_asked_again_with_its_stored_prompt(tmp_path):
    made = await killed(tmp_path, "answer", 5, None)
    before = {row["candidate"]: row["prompt"] for row in calls(made.copy) if row["state"] == "sent"}
    run = await gone_on(made.copy)
    again = {row["candidate"]: (row["prompt"], row["number"]) for row in calls(run) if row["state"] == "done"}
    assert before and all(again[candidate] == (prompt, 0) for candidate, prompt in before.items())


def kill_many(folder: Path, url: str, seed: int, window: int | None) -> tuple[int, list[str]]:
    """Kills a run of its own process up to five times at random moments and checks it; returns how often, and its export."""
    folder.mkdir()
    words = [sys.executable, "-m", "tests.runner.killing", str(folder), url, str(seed), "5", str(window or 0)]
    done = subprocess.run(
        words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    kills, *export = done.stdout.splitlines()
    return int(kills), export


async def test_ten_kills_of_the_process_at_random_moments(tmp_path):
    whole = case(tmp_path / "whole", 25, window=4)
    await whole.start()
    free, ordered = (kill_many(tmp_path / str(window), "", 1, window) for window in (None, 4))
    assert free[0] + ordered[0] == 10 and ordered[1] == whole.export()


TABLES = ("events", "candidates", "texts", "evaluations", "calls")


async def test_a_run_killed_before_its_initial_program_was_stored_goes_on(tmp_path):
    made = await killed(tmp_path, "answer", 1, None)
    with sqlite3.connect(made.copy.database) as database:
        for table in TABLES:
            database.execute(f"DELETE FROM {table}")
    database.close()
    run = await gone_on(made.copy)
    assert run.status()["candidates"]["asked"] == 25


async def test_a_run_whose_runner_is_gone_shows_as_interrupted(tmp_path):
    made = await killed(tmp_path, "answer", 5, None)
    assert made.copy.run().state() == "interrupted"
    assert made.copy.status()["candidates"]["in_flight"] > 0


async def test_what_was_a_duplicate_before_the_kill_is_one_after_it(tmp_path):
    made = await killed(tmp_path, "answer", 20, 4)
    run = await gone_on(made.copy)
    rows = store_of(run).rows(RUN)
    firsts = {row["id"]: row["duplicate_of"] for row in rows if row["status"] == Status.DUPLICATE}
    assert firsts and all(first is not None and first < candidate for candidate, first in firsts.items())
