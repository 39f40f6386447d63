"""A stored run as the model: the same run again, or the difference said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.errors import FatalError, ProviderError
from evolve.llm.scripted import Scripted
from evolve.proposer import Proposing
from evolve.runner.budget import Budget
from evolve.runner.replay import RECORDED, Record, Recorded, Replay
from evolve.types import SEPARATOR, Call, Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, Slow, answer, case, outcomes, rewrite, store_of, value_of


def replayed(root, run: Case, evaluations: str = "run", strict: bool = True, **changes) -> Case:
    record = Record(store_of(run), RUN, strict=strict, evaluations=evaluations)
    provider = Replay(record, run.provider)
    evaluator = Recorded(Chain(), record) if evaluations == RECORDED else Judging()
    return replace(run, root=root, **{"provider": provider, "evaluator": evaluator, "record": record, **changes})


class Chain(Judging):
    """Has the outcomes that it is given stand, and can run nothing itself."""

    def __init__(self) -> None:
        super().__init__(judge=lambda text: pytest.fail("an evaluation was run"))

    async def evaluate(self, problem, files, *, done, **how):
        self._judge = lambda text: list(done)
        return await super().evaluate(problem, files, done=done, on_stage=pytest.fail, **how)


@pytest.mark.parametrize("evaluations", ["run", RECORDED])
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("proposing", [Proposing(turns=1), Proposing(turns=2)])
async def test_a_replay_is_the_same_run(tmp_path, evaluations, window, proposing):
    latency = lambda prompt: prompt.seed[-1] * 7 % 5  # noqa: E731
    run = case(
        tmp_path / "first", 40, window=window, proposing=proposing, provider=Slow(answer, latency, 3),
        evaluator=Judging(slots=3, latency=lambda candidate: candidate * 5 % 4),
    )  # fmt: skip
    assert (await run.start()).state == "finished"
    again = replayed(tmp_path / "again", run, evaluations)
    assert (await again.start()).state == "finished"
    assert again.export() == run.export()
    assert again.status()["llm"]["cost_usd"] == 0.0


@pytest.mark.parametrize("window", [None, 4])
async def test_a_run_that_went_on_with_a_larger_budget_is_repeated(tmp_path, window):
    run = case(tmp_path / "first", 9, window=window)
    await run.start()
    run = replace(run, budget=Budget(candidates=20))
    assert (await run.resume()).state == "finished"
    again = replayed(tmp_path / "again", run)
    assert (await again.start()).state == "finished"
    assert again.export() == run.export()


async def test_a_replay_that_was_killed_goes_on_with_the_record(tmp_path):
    copies: list[Case] = []
    run = case(tmp_path / "first", 30, provider=Slow(answer, lambda prompt: prompt.seed[-1] % 3, 3))
    await run.start()
    again = replayed(tmp_path / "again", run)

    class Dying(Replay):
        async def complete(self, prompt: Prompt, *, call: Call):
            if call.candidate == 17:
                copies.append(again.snapshot(tmp_path / "killed"))
            return await super().complete(prompt, call=call)

    again.provider = Dying(again.record, run.provider)
    await again.start()
    [copy] = copies
    copy.record, copy.provider = again.record, Replay(again.record, run.provider)
    assert (await copy.resume()).state == "finished"
    assert copy.export() == again.export() == run.export()


async def test_another_prompt_stops_the_run_and_shows_the_difference(tmp_path):
    run = case(tmp_path / "first", 5, window=1)
    await run.start()
    again = replayed(tmp_path / "again", run, spec="description: another task altogether")
    ended = await again.start()
    assert ended.state == "failed"
    assert "prompt of the call (candidate 2, propose, number 0) is not the recorded one" in ended.reason
    assert "+another task altogether" in ended.reason


async def test_without_strictness_it_goes_on_and_counts_what_it_missed(tmp_path):
    run = case(tmp_path / "first", 5, window=1)
    await run.start()
    again = replayed(tmp_path / "again", run, strict=False, spec="description: another task altogether")
    assert (await again.start()).state == "finished"
    assert again.provider.misses == 5 and again.status()["candidates"]["asked"] == 5


async def test_a_record_that_ends_early_is_replayed_as_far_as_it_goes(tmp_path):
    run = case(tmp_path / "first", 12, provider=Slow(answer, lambda prompt: 2, 3))
    copies: list[Case] = []
    script, made = run.provider._answers, []

    def dying(prompt: Prompt, call: str) -> str:
        made.append(call)
        if len(made) == 9:
            copies.append(run.snapshot(tmp_path / "killed"))
        return script(prompt, call)

    run.provider._answers = dying
    await run.start()
    [killed] = copies
    again = replayed(tmp_path / "again", killed)
    ended = await again.start()
    assert (ended.state, ended.reason) == ("finished", "all of the record is replayed")
    told = [row["id"] for row in store_of(killed).rows(RUN) if row["status"]]
    assert [row["id"] for row in store_of(again).rows(RUN) if row["status"]] == told


async def test_a_call_that_failed_fails_again(tmp_path):
    run = case(
        tmp_path / "first", 3, window=1, provider=Scripted([ProviderError("too long"), "no", "no"], concurrency=1)
    )
    await run.start()
    again = replayed(tmp_path / "again", run)
    assert (await again.start()).state == "finished"
    assert again.export() == run.export() and again.status()["candidates"]["infra"] == 1


async def test_a_call_that_is_not_recorded_is_fatal(tmp_path):
    run = case(tmp_path / "first", 2, window=1)
    await run.start()
    provider = Replay(Record(store_of(run), RUN), run.provider)
    await provider.start()
    with pytest.raises(FatalError, match=r"has no call \(candidate 99, propose, number 0\)"):
        await provider.complete(Prompt(system="", user=""), call=Call(id=1, candidate=99))


@pytest.mark.parametrize("tokens", [500, 700, 1100, 1500])
async def test_a_proposal_that_a_budget_cut_short_is_replayed_as_it_was(tmp_path, tokens):
    crash = [StageOutcome(stage="small", status=Status.CRASH, feedback="no")]
    judge = lambda text: crash if value_of(text) else outcomes(text)  # noqa: E731
    run = case(
        tmp_path / "first", provider=Scripted(lambda prompt, call: rewrite(float(prompt.seed[-1])), concurrency=1),
        budget=Budget(candidates=None, tokens=tokens), proposing=Proposing(turns=4), evaluator=Judging(judge=judge),
    )  # fmt: skip
    assert (await run.start()).state == "finished"
    again = replayed(tmp_path / "again", run, evaluator=Judging(judge=judge))
    ended = await again.start()
    assert (ended.state, ended.reason) == ("finished", "all of the record is replayed")
    assert again.export() == run.export()


async def test_a_replay_is_asked_for_the_edits_that_the_record_was_asked_for(tmp_path):
    run = case(tmp_path, 1)
    await run.start()
    run.provider.edits = "functions"  # as of a small local model
    replay = Replay(Record(store_of(run), RUN), run.provider)
    assert replay.edits == "functions"


async def test_times_that_were_measured_are_no_difference(tmp_path):
    run = case(tmp_path / "first", 5)
    await run.start()
    replay = Replay(Record(store_of(run), RUN), run.provider)
    await replay.start()
    row = next(row for row in store_of(run).call_rows(RUN) if row["candidate"] == 2)
    text = replay._prompt(row)
    recorded = f"{text}\nTime used: main: 0.2 s of 5 s.\n"
    replay._prompt = lambda row: recorded
    call = Call(id=9, candidate=2)
    now = Prompt(system="", user=recorded.replace("0.2 s", "0.3 s"))
    system, _, user = now.user.partition(SEPARATOR)
    assert await replay.complete(Prompt(system=system, user=user), call=call)
    with pytest.raises(FatalError, match="is not the recorded one"):
        await replay.complete(Prompt(system=system, user=user.replace("5 s", "5 s!") + "?"), call=call)
