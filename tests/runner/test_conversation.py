"""A proposal's conversation: what failed is repaired, drafts are rows, the last valid one is the candidate."""

from __future__ import annotations

import asyncio

import pytest

from evolve.llm.scripted import Scripted
from evolve.population import Writer
from evolve.proposer import Draft, Proposing, chosen
from evolve.runner.budget import Budget
from evolve.search import Strategy
from evolve.search.inspirations import BetterAndComplementary
from evolve.search.operators import WeightedOperators
from evolve.search.selectors import PowerLaw
from evolve.types import Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, rewrite, store_of, value_of


def outcomes(text: str) -> list[StageOutcome]:
    """Returns what two stages make of a program; a negative value crashes in the first."""
    value = value_of(text)
    if value < 0:
        return [StageOutcome(stage="small", status=Status.CRASH, feedback="ValueError: negative")]
    small = StageOutcome(stage="small", status=Status.OK, score=value, metrics={"score": value})
    return [small, StageOutcome(stage="main", status=Status.OK, score=value, metrics={"score": value})]


def case(tmp_path, script, operator="diff", candidates=1, window=None, **proposing) -> Case:
    strategy = Strategy(
        parents=[PowerLaw()],
        inspirations=BetterAndComplementary(),
        operators=WeightedOperators(weights={operator: 1.0}),
    )
    return Case(
        tmp_path, Scripted(script, concurrency=2), Judging(judge=outcomes), Budget(candidates=candidates),
        window=window, proposing=Proposing(**proposing), strategy=strategy,
    )  # fmt: skip


def drafts(run: Case) -> list[tuple[int, str | None]]:
    return [(row["number"], row["status"]) for row in store_of(run).draft_rows(RUN)]


async def test_a_crash_is_sent_back_and_repaired_in_the_same_conversation(tmp_path):
    run = case(tmp_path, [rewrite(-1.0), rewrite(5.0)])
    assert (await run.start()).state == "finished"
    shown = run.run().shown(2)
    assert (shown["status"], shown["score"]) == ("ok", 5.0)
    first, second = run.provider.prompts
    assert first.turns == () and second.user == first.user
    [(said, reply)] = second.turns
    assert said == rewrite(-1.0) and "ValueError: negative" in reply
    assert run.evaluator.tested == [(2, "def f():\n    return -1.0\n")]
    assert run.status()["llm"]["calls"] == 2 and drafts(run) == [(0, None), (1, None)]


async def test_an_answer_that_is_no_edit_costs_no_evaluation_and_is_sent_back(tmp_path):
    run = case(tmp_path, ["I would rather not.", rewrite(5.0)])
    assert (await run.start()).state == "finished"
    assert run.run().shown(2)["score"] == 5.0 and run.evaluator.tested == []
    assert drafts(run) == [(0, "edit_failed"), (1, None)]
    assert "neither" in run.provider.prompts[1].turns[0][1]


async def test_a_valid_first_answer_is_the_candidate_and_its_first_stage_is_not_run_again(tmp_path):
    run = case(tmp_path, [rewrite(5.0)])
    assert (await run.start()).state == "finished"
    assert run.evaluator.tested == [(2, "def f():\n    return 5.0\n")]
    assert [stage for candidate, stage in run.evaluator.ran if candidate == 2] == ["main"]
    assert [row["stage"] for row in store_of(run).evaluation_rows(RUN, 2)][:2] == ["small", "main"]
    assert store_of(run).evaluation_rows(RUN, drafts=True) == []


async def test_refine_goes_on_with_what_was_measured_and_takes_the_last_valid_turn(tmp_path):
    run = case(tmp_path, [rewrite(5.0), rewrite(4.0)], operator="refine")
    assert (await run.start()).state == "finished"
    assert run.run().shown(2)["score"] == 4.0
    assert [row["draft"] for row in store_of(run).evaluation_rows(RUN, drafts=True)] == ["turn 0"]


async def test_refine_falls_back_on_the_turn_that_was_valid(tmp_path):
    run = case(tmp_path, [rewrite(5.0), rewrite(-4.0)], operator="refine")
    assert (await run.start()).state == "finished"
    assert run.run().shown(2)["score"] == 5.0


async def test_best_of_asks_alike_at_other_temperatures_and_takes_the_best(tmp_path):
    run = case(tmp_path, [rewrite(3.0), rewrite(6.0), rewrite(4.0)], operator="best_of", temperatures=(0.1, 0.9))
    assert (await run.start()).state == "finished"
    assert [prompt.temperature for prompt in run.provider.prompts] == [0.1, 0.9, 0.1]
    assert len({prompt.text for prompt in run.provider.prompts}) == 1
    assert run.run().shown(2)["score"] == 6.0 and run.status()["candidates"]["asked"] == 1


async def test_what_was_drafted_counts_as_evaluations(tmp_path):
    run = case(tmp_path, [rewrite(-1.0), rewrite(5.0)])
    await run.start()
    rows = store_of(run).evaluations(RUN)
    assert (
        run.screen.runner.spent.evaluations == rows == 2 * (2 + 1) + 1
    )  # two stages and a second look, twice, and one draft


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("moment", [1, 2, 3, 5, 8, 13])
async def test_killed_at_any_call_it_goes_on_to_the_same_run(tmp_path, moment, window):
    copies: list[Case] = []
    made: list[Prompt] = []

    def script(prompt: Prompt, call: str) -> str:
        made.append(prompt)
        if len(made) == moment:
            copies.append(run.snapshot(tmp_path / "killed"))
        return answer(prompt)

    def answer(prompt: Prompt) -> str:
        turn, value = len(prompt.turns), prompt.seed[-1]
        return rewrite(value + turn / 10 if turn or value % 3 else -value)

    whole = tmp_path / "whole"
    whole.mkdir()
    run = case(whole, script, operator="refine", candidates=8, window=window)
    assert (await run.start()).state == "finished"
    [copy] = copies
    copy.provider = Scripted(lambda prompt, call: answer(prompt), concurrency=2)
    assert (await copy.resume()).state == "finished"
    done = [(row["candidate"], row["number"]) for row in store_of(copy).call_rows(RUN) if row["state"] == "done"]
    assert len(done) == len(set(done)) == 16 and copy.status()["candidates"]["asked"] == 8
    if window is not None:
        assert copy.export() == run.export()


def draft(number: int, status: Status | None = None, score: float | None = None, files: bool = True) -> Draft:
    made = Draft(number=number, call=number + 1, answer="", files={"a": "b"} if files else {}, status=status)
    if status is None:
        found = Status.OK if score is not None else Status.CRASH
        made.outcome = StageOutcome(stage="small", status=found, score=score)
    return made


@pytest.mark.parametrize(
    ("operator", "made", "number"),
    [
        ("refine", [draft(0, score=5.0), draft(1, score=1.0)], 1),
        ("refine", [draft(0, score=5.0), draft(1)], 0),
        ("diff", [draft(0), draft(1, Status.EDIT_FAILED, files=False)], 0),
        ("diff", [draft(0, Status.EDIT_FAILED, files=False), draft(1, Status.EDIT_FAILED, files=False)], 1),
        ("best_of", [draft(0, score=1.0), draft(1, score=5.0), draft(2)], 1),
        ("best_of", [draft(0), draft(1)], 1),
    ],
)
def test_which_draft_becomes_the_candidate(operator, made, number):
    assert chosen(operator, made).number == number


async def test_drafts_that_wait_for_their_test_are_bounded_as_candidates_are(tmp_path):
    class Busy(Judging):
        async def measure(self, *given, **how):
            await asyncio.sleep(0.02)
            return await super().measure(*given, **how)

    open_at_once: list[int] = []

    def script(prompt: Prompt, call: str) -> str:
        open_at_once.append(len(run.screen.runner.search.open()))
        return rewrite(float(prompt.seed[-1]))

    run = case(tmp_path, script, candidates=16)
    run.evaluator = Busy(1, outcomes)
    await run.start()
    assert max(open_at_once) <= run.evaluator.queue + run.evaluator.slots + run.provider.concurrency + 1


@pytest.mark.parametrize("tokens", [780, 900, 1860, 2100])
@pytest.mark.parametrize("judge", [False, True])
async def test_a_budget_that_ends_in_a_conversation_settles_what_was_drafted(tmp_path, tokens, judge):
    def script(prompt: Prompt, call: str) -> str:
        value = float(prompt.seed[-1])
        return rewrite(value if prompt.turns or prompt.operator == "novelty" else -value)

    run = case(tmp_path, script, judge=judge, judge_from=0.78)
    run.budget, run.evaluator = Budget(candidates=None, tokens=tokens), Judging(1, outcomes, latency=lambda c: 7)
    assert (await run.start()).state == "finished"
    drafted = {row["candidate"] for row in store_of(run).draft_rows(RUN)}
    assert drafted <= {row["id"] for row in store_of(run).rows(RUN) if row["status"]}


async def test_a_draft_is_promoted_together_with_its_candidate(tmp_path, monkeypatch):
    together: list[bool] = []

    def write(writer: Writer, *changes):
        said = [str(statement) for change in changes for statement, _ in change]
        if any(text.startswith("UPDATE evaluations") for text in said):
            together.append(any(text.startswith("INSERT INTO events") for text in said))
        return real(writer, *changes)

    real = Writer.write
    monkeypatch.setattr(Writer, "write", write)
    await case(tmp_path, [rewrite(5.0)]).start()
    assert together == [True]
