"""Runs that begin from others: with their best programs, with their history, or with one of their candidates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.errors import EvolveError, RunError, UsageError
from evolve.llm.scripted import Scripted
from evolve.runner import fork, warm
from evolve.runner.budget import Budget
from evolve.runner.replay import Record, Replay
from evolve.runner.rundir import read
from evolve.search import Search
from evolve.types import Status
from tests.runner.driving import RUN, Case, Judging, answer, calls, case, rewrite, source, store_of
from tests.runner.test_kill import Killed
from tests.runner.test_rescore import loaded, rescored

SOURCE = {"config": {"selection": {"islands": 2}}}


async def finished(root: Path, candidates: int = 20, **changes: Any) -> Case:
    run = case(root, candidates, **changes)
    assert (await run.start()).state == "finished"
    return run


class Beginning(Case):
    """A case whose setup begins from other runs."""

    begun: Any = None

    def setup(self) -> Any:
        return replace(super().setup(), **self.begun(super().setup()))


def beginning(root: Path, begun: Any, candidates: int = 30, **changes: Any) -> Beginning:
    parts = {"provider": Scripted(answer, concurrency=3), "evaluator": Judging(), **changes}
    made = Beginning(root=root, budget=Budget(candidates=candidates), **parts)
    made.begun = begun
    return made


# ---------------------------------------------------------------- warm starts


def warm_of(*runs: Case) -> Any:
    return lambda setup: {"warm": warm.founders([read(run.folder) for run in runs], setup)}


async def test_islands_begin_with_the_best_of_earlier_runs_evaluated_afresh(tmp_path):
    first, second = await finished(tmp_path / "a", seed=1), await finished(tmp_path / "b", seed=2)
    run = beginning(tmp_path / "c", warm_of(first, second), candidates=4)
    await run.start()
    rows = [row for row in store_of(run).rows(RUN) if row["origin"] == "warm"]
    assert [row["island"] for row in rows] == [0, 1, 0, 1] and set(run.evaluator.evaluated) >= {
        row["id"] for row in rows
    }
    bests = [f"{RUN}#{one.status()['best']['id']}" for one in (first, second)]
    assert [row["title"] for row in rows[:2]] == bests
    texts = [run.run().candidate(row["id"]).files["initial.py"] for row in rows]
    assert len(set(texts)) == 4 and run.status()["candidates"]["asked"] == 4
    best = max(one.status()["best"]["score"] for one in (first, second))
    assert run.run().candidate(rows[0]["id"]).score in (best, first.status()["best"]["score"])


async def test_what_fails_in_the_changed_problem_founds_nothing(tmp_path):
    first = await finished(tmp_path / "a")
    refused = lambda text: [replace(one, status=Status.INVALID, score=None) for one in Judging()._judge(text)]  # noqa: E731
    judge = Judging(
        judge=lambda text: Judging()._judge(text) if text == source(0).replace("0.0", "0") else refused(text)
    )
    run = beginning(tmp_path / "c", warm_of(first), candidates=0, evaluator=judge)
    await run.start()
    assert [row["status"] for row in store_of(run).rows(RUN)] == ["ok", *["invalid"] * 4]
    assert [list(island) for island in loaded(run).islands] == [[1], [1]]


async def test_another_problem_and_a_run_without_a_program_are_refused(tmp_path):
    first = await finished(tmp_path / "a")
    setup = replace(first.setup(), problem=replace(first.problem, name="other"))
    with pytest.raises(UsageError, match="warm_start=tiny-1: is a run of tiny, this one is of other"):
        warm.founders([read(first.folder)], setup)


async def test_a_warm_run_is_replayed_though_its_sources_went_on(tmp_path):
    first = await finished(tmp_path / "a")
    run = beginning(tmp_path / "c", warm_of(first), candidates=12)
    await run.start()
    record = Record(store_of(run), RUN)
    again = beginning(tmp_path / "d", lambda setup: {"warm": warm.recorded(record)}, candidates=12)
    again.record, again.provider = record, Replay(record, run.provider)
    assert (await again.start()).state == "finished" and again.export() == run.export()


# ---------------------------------------------------------------- forks


def fork_of(run: Case, candidate: int) -> Any:
    return lambda setup: {"fork": fork.of(f"{run.folder}#{candidate}")}


def history(run: Case, seq: int) -> list[str]:
    return [line for line in run.export() if int(line.rpartition('"seq": ')[2][:-1]) <= seq]


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("candidate", [1, 9, 15])
async def test_a_fork_is_the_run_up_to_that_outcome_and_goes_on_by_itself(tmp_path, window, candidate):
    run = await finished(tmp_path / "a", 20, window=window)
    begun = fork_of(run, candidate)
    made = beginning(tmp_path / "b", begun, 30, seed=7, window=window)
    assert (await made.start()).state == "finished"
    seq = begun(None)["fork"].seq
    told = [event.candidate for event in store_of(run).events_of(RUN, ["told"]) if event.seq <= seq]
    same = [line for line in history(run, seq) if '"kind": "proposed"' not in line]
    assert [line for line in history(made, seq) if '"kind": "proposed"' not in line] == same
    for one in told:
        assert made.run().shown(one) == run.run().shown(one)
    counts = made.status()["candidates"]
    assert counts["asked"] == 30 == sum(n for name, n in counts.items() if name != "asked") and counts["in_flight"] == 0
    assert len(made.evaluator.evaluated) < 31 - len(told) + 2  # none of the history is evaluated again
    copied = {(row["id"], row["sent_at"]) for row in calls(run)}
    assert not set(told) & {row["candidate"] for row in calls(made) if (row["id"], row["sent_at"]) not in copied}


async def test_an_ordered_fork_with_the_same_settings_is_the_same_run(tmp_path):
    run = await finished(tmp_path / "a", 20, window=4)
    made = beginning(tmp_path / "b", fork_of(run, 9), 20, window=4)
    await made.start()
    assert made.export() == run.export()


async def test_answers_that_were_paid_for_are_not_bought_again(tmp_path):
    run = await finished(tmp_path / "a", 20)
    made = beginning(tmp_path / "b", fork_of(run, 9), 20)
    await made.start()
    seq = made.begun(None)["fork"].seq
    asked = {event.candidate for event in store_of(run).events_of(RUN, ["asked"]) if event.seq <= seq}
    bought = {int(name.rpartition("/")[2]) for name in made.provider.calls}
    assert not asked & {row["candidate"] for row in calls(made) if row["id"] in bought}


async def test_the_forks_search_loads_as_the_runs_did(tmp_path):
    run = await finished(tmp_path / "a", 20)
    begun = fork_of(run, 12)
    made = beginning(tmp_path / "b", begun, 20)
    seq = begun(None)["fork"].seq
    await made.start()
    past = [[e for e in store_of(one).events(RUN) if e.seq <= seq] for one in (run, made)]
    before, after = (Search.load(events, **run.setup().search_settings) for events in past)
    assert [list(island) for island in before.islands] == [list(island) for island in after.islands]
    assert before.open() == after.open()


async def test_a_killed_fork_goes_on(tmp_path):
    run = await finished(tmp_path / "a", 20)
    made = Killed(tmp_path / "k", "answer", 4, None)
    copy = beginning(tmp_path / "b", fork_of(run, 9), 25, provider=made.run.provider)
    made.run = copy
    assert (await copy.start()).state == "finished" and made.copy is not None
    killed = case(made.copy.root, 25)
    assert (await killed.resume()).state == "finished" and killed.status()["candidates"]["asked"] == 25


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("{run}#99", "has no candidate 99; its ids go from 1 to 21"),
        ("{run}", "not of the form RUN#ID"),
        ("{run}#", "not of the form RUN#ID"),
        ("#3", "not of the form RUN#ID"),
        ("nowhere#3", "nowhere: no such run directory"),
        ("sqlite:///{run}/run.db#tiny-2#3", "holds no run 'tiny-2'"),
    ],
)
async def test_what_is_no_fork_is_one_line(tmp_path, name, says):
    run = await finished(tmp_path / "a")
    with pytest.raises(EvolveError, match=says) as caught:
        fork.of(name.format(run=run.folder))
    assert "\n" not in str(caught.value)


async def test_a_url_has_a_number_sign_of_its_own(tmp_path):
    run = await finished(tmp_path / "a")
    assert fork.of(f"sqlite:///{run.database}#{RUN}#7").name == f"{RUN}#7"


async def test_an_outcome_that_is_not_there_yet_is_told(tmp_path):
    copies: list[Case] = []
    provider = Scripted(lambda prompt, call: copies.append(run.snapshot(tmp_path / "k")) or rewrite(3.0), concurrency=1)
    run = case(tmp_path / "a", 1, provider=provider)
    await run.start()
    with pytest.raises(RunError, match="candidate 2 has no outcome yet"):
        fork.of(f"{copies[0].folder}#2")


async def test_scores_of_another_problem_are_not_copied(tmp_path):
    run = await finished(tmp_path / "a")
    await rescored(run)
    found = fork.of(f"{run.folder}#9")
    with pytest.raises(RunError, match="was told before the run was rescored"):
        found.check(run.problem)
    with pytest.raises(RunError, match="has changed since; rescore that run first, or fork_only=true"):
        found.check(replace(run.problem, hash="0" * 32))


def test_a_fork_has_the_words_of_its_run_where_it_says_nothing_else(tmp_path):
    row = {
        "words": ["problem=x", "llm=litellm", "llm.model=m", "run_dir=a", "budget.usd=1"],
        "problem_path": str(tmp_path),
    }
    one = fork.Fork(ref=None, store=None, row=row, candidate=1, seq=1)  # type: ignore[arg-type]
    assert one.words(["llm=offline", "fork=a#1"]) == ["budget.usd=1", f"problem={tmp_path}", "llm=offline", "fork=a#1"]


def test_a_fork_has_no_fewer_islands_than_its_history():
    row = {"config": {"selection": {"islands": 4}}}
    one = fork.Fork(ref=read, store=None, row=row, candidate=1, seq=1)  # type: ignore[arg-type]
    assert one.config({"selection": {"islands": None}})["selection"]["islands"] == 4
