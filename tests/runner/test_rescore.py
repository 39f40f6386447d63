"""Rescoring: the same candidates by another evaluator, without a call; old scores stay, what is cut short is gone on with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evolve.errors import RunError
from evolve.llm.scripted import Scripted
from evolve.runner import launch, rundir
from evolve.runner.budget import Budget
from evolve.runner.replay import Record
from evolve.runner.rescore import unfinished
from evolve.search import Search
from evolve.types import StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, answer, case, outcomes, store_of, tiny


def reversed_(text: str) -> list[StageOutcome]:
    """Judges by the negative value, and refuses nothing."""
    small, main = outcomes(text)
    value = -2 * (small.score or 0.0)
    return [small, replace(main, status=Status.OK, score=value, metrics={"score": value}, feedback="")]


async def rescored(run: Case, judge: Any = reversed_, top: int | None = None, slots: int = 2) -> Judging:
    """Changes the problem and rescores; returns the evaluator."""
    run.problem = tiny(run.root / "tiny", "params: {changed: 1}")
    run.evaluator = Judging(slots, judge)
    ref = rundir.read(run.folder)
    await launch.rescore(run.setup(), ref, ref.open(), run.screen, top)
    return run.evaluator


async def finished(root: Path, **changes: Any) -> Case:
    run = case(root, 20, **changes)
    assert (await run.start()).state == "finished"
    return run


def scores(run: Case) -> dict[int, float]:
    return {row["id"]: row["score"] for row in store_of(run).rows(RUN) if row["score"] is not None}


def loaded(run: Case) -> Search:
    return Search.load(store_of(run).events(RUN), **run.setup().search_settings)


async def test_scores_are_those_of_the_changed_problem_and_old_ones_are_kept(tmp_path):
    run = await finished(tmp_path)
    old, calls = scores(run), len(store_of(run).call_rows(RUN))
    evaluator = await rescored(run)
    assert scores(run) == {candidate: -score for candidate, score in old.items()} and set(evaluator.evaluated) == set(
        old
    )
    assert len(store_of(run).call_rows(RUN)) == calls
    shown = run.run().shown(run.status()["best"]["id"])
    assert (shown["revision"], shown["score"]) == (1, -min(old.values())) == (1, run.status()["best"]["score"])
    assert [one["score"] for one in shown["earlier"]][-1] == min(old.values())
    assert store_of(run).run(RUN)["problem_hash"] == run.problem.hash and run.run().state() == "finished"


async def test_the_search_goes_on_from_the_new_scores_and_loads_alike(tmp_path):
    run = await finished(tmp_path)
    await rescored(run)
    search = loaded(run)
    assert {c: search.score(c) for c in scores(run)} == scores(run) and search.best == run.status()["best"]["id"]
    for island in search.islands:
        assert list(island) == sorted(island, key=lambda c: (-search.score(c), c)) != []
    await run.resume(budget=Budget(candidates=30), provider=Scripted(answer, concurrency=3))
    assert run.status()["candidates"]["asked"] == 30
    assert {row["revision"] for row in store_of(run).evaluation_rows(RUN) if row["candidate"] > 21} == {1}


async def test_beyond_the_best_k_candidates_lose_their_place(tmp_path):
    run = await finished(tmp_path)
    old = scores(run)
    kept = {1, *sorted(old, key=lambda c: (-old[c], c))[:3]}
    assert set((await rescored(run, top=3)).evaluated) == set(scores(run)) == kept
    assert ("rescore", f"{len(old) - len(kept)} are not, can't be compared and are ranked no more") in run.screen.notes
    assert {candidate for island in loaded(run).islands for candidate in island} <= kept
    counts = run.status()["candidates"]
    await run.resume(budget=Budget(candidates=30), provider=Scripted(answer, concurrency=3))
    parents = {row["parent"] for row in store_of(run).rows(RUN) if row["id"] > 21}
    assert parents <= kept | set(range(22, 52)) and counts["ok"] == len(old) - 1


@pytest.mark.parametrize("moment", [0, 3, 11])
async def test_what_was_cut_short_is_gone_on_with_and_no_resume_before(tmp_path, moment):
    copies: list[Case] = []
    run = await finished(tmp_path / "whole")
    begun = iter(range(10_000))

    def dying(text: str) -> list[StageOutcome]:
        if next(begun) == moment:
            copies.append(run.snapshot(tmp_path / "killed"))
        return reversed_(text)

    await rescored(run, dying)
    [copy] = copies
    done = {event.candidate for event in store_of(copy).events_of(RUN, ["reevaluated"])}
    assert unfinished(store_of(copy), RUN) is not None and store_of(copy).run(RUN)["problem_hash"] != run.problem.hash
    evaluator = await rescored(copy, reversed_)
    assert set(evaluator.evaluated) == set(scores(run)) - done and unfinished(store_of(copy), RUN) is None
    assert scores(copy) == scores(run) and store_of(copy).revision(RUN) == 1


async def test_what_was_in_flight_is_evaluated_whole_by_the_changed_problem(tmp_path):
    copies: list[Case] = []

    def dying(text: str) -> list[StageOutcome]:
        if len(run.evaluator.evaluated) == 8:
            copies.append(run.snapshot(tmp_path / "killed"))
        return outcomes(text)

    run = case(tmp_path / "whole", 20, evaluator=Judging(1, dying))
    await run.start()
    await rescored(copies[0])
    waited = loaded(copies[0]).open()
    await copies[0].resume(provider=Scripted(answer, concurrency=3), evaluator=Judging(2, reversed_))
    rows = [row for row in store_of(copies[0]).evaluation_rows(RUN) if row["candidate"] in waited]
    assert rows and {row["revision"] for row in rows} == {1}
    assert copies[0].status()["candidates"]["asked"] == 20


async def test_ordered_runs_are_equal_after_it_at_any_number_of_slots(tmp_path):
    exports = []
    for slots in (1, 3):
        run = await finished(tmp_path / str(slots), window=4, evaluator=Judging(slots))
        await rescored(run, slots=slots)
        await run.resume(budget=Budget(candidates=26), provider=Scripted(answer, concurrency=3))
        exports.append(run.export())
    assert exports[0] == exports[1]
    assert sum('"kind": "reevaluated"' in line for line in exports[0]) > 5


async def test_a_faulty_evaluator_ends_it_and_takes_no_score(tmp_path):
    run = await finished(tmp_path)
    old = scores(run)
    faulty = StageOutcome(stage="small", status=Status.EVALUATOR_ERROR, feedback="NameError: x")
    with pytest.raises(RunError, match="ended as evaluator_error: NameError: x; mend it, and 'evolve rescore tiny-1'"):
        await rescored(run, lambda text: [faulty])
    assert run.run().state() == "finished"
    await rescored(run)
    assert set(scores(run)) == set(old)  # those of the four that were told so, too


async def test_where_nothing_is_ok_any_more_it_does_not_end(tmp_path):
    run = await finished(tmp_path)
    with pytest.raises(RunError, match="no candidate is ok with the problem as it is now"):
        await rescored(run, lambda text: [StageOutcome(stage="small", status=Status.INVALID, feedback="no")])
    assert unfinished(store_of(run), RUN) is not None


async def test_it_can_be_done_again(tmp_path):
    run = await finished(tmp_path)
    old = scores(run)
    await rescored(run, top=2)
    await rescored(run, outcomes)
    assert scores(run) == old and store_of(run).revision(RUN) == 2


async def test_a_rescored_run_is_not_replayed(tmp_path):
    run = await finished(tmp_path)
    await rescored(run)
    with pytest.raises(Exception, match="was rescored on its way"):
        Record(store_of(run), RUN)


async def test_a_live_run_is_left_alone(tmp_path):
    seen: list[str] = []

    class Meddled(Scripted):
        async def complete(self, prompt: Any, *, call: Any) -> Any:
            if call.candidate == 5:
                with pytest.raises(RunError, match="is being run by process") as caught:
                    await launch.rescore(run.setup(), rundir.read(run.folder), store_of(run), run.screen, None)
                seen.append(str(caught.value))
            return await super().complete(prompt, call=call)

    run = case(tmp_path, 6, provider=Meddled(answer, concurrency=1))
    assert (await run.start()).state == "finished" and seen
