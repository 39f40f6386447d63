"""The instances kept for the end: run once on the best of a run that has ended, and read by people alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.llm.scripted import Scripted
from evolve.runner.budget import Budget
from evolve.types import Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, answer, case, outcomes, rewrite, store_of

SPEC = "holdout: {instances: 9}"


async def test_a_finished_run_shows_what_its_best_came_to(tmp_path):
    run = case(tmp_path, 10, spec=SPEC)
    await run.start()
    best = run.run().best()
    assert run.evaluator.held_out == [(best.id, 0)]
    assert run.status()["holdout"] == {"candidate": best.id, "status": "ok", "metrics": best.metrics, "instances": 0}
    assert run.run().shown(best.id)["holdout"]["candidate"] == best.id and run.run().shown(1)["holdout"] is None
    assert {entry["stage"] for entry in run.run().shown(best.id)["stages"]} == {"small", "main"}


async def test_without_one_declared_nothing_is_run(tmp_path):
    run = case(tmp_path, 5)
    await run.start()
    assert run.evaluator.held_out == [] and run.status()["holdout"] is None


@pytest.mark.parametrize(("how", "times"), [("drain", 1), ("halt", 0)])
async def test_a_drained_run_has_one_and_a_halted_one_has_not(tmp_path, how, times):
    def script(prompt: Prompt, call: str) -> str:
        if call.endswith("/6"):
            getattr(run.screen.runner, how)()
        return answer(prompt, call)

    run = case(tmp_path, 20, script=script, spec=SPEC)
    assert (await run.start()).state == "interrupted"
    assert len(run.evaluator.held_out) == times


async def test_a_failing_run_has_none(tmp_path):
    def broken(text: str) -> list[StageOutcome]:
        found = outcomes(text)
        faulty = StageOutcome(stage="main", status=Status.EVALUATOR_ERROR, feedback="KeyError")
        return found if "return 0" in text else [found[0], faulty]

    run = case(tmp_path, 30, script=lambda p, c: rewrite(4.0 * p.seed[-1]), evaluator=Judging(1, broken), spec=SPEC)
    assert (await run.start()).state == "paused" and run.evaluator.held_out == []


async def test_the_same_best_is_not_held_out_again(tmp_path):
    run = case(tmp_path, 2, script=lambda prompt, call: rewrite(4.0), spec=SPEC)
    await run.start()
    await run.resume(budget=Budget(candidates=6), evaluator=Judging())
    assert run.evaluator.held_out == []
    await run.resume(budget=Budget(candidates=8), provider=Scripted(lambda p, c: rewrite(8.0)), evaluator=Judging())
    assert [candidate for candidate, _ in run.evaluator.held_out] == [run.run().best().id]
    assert len([row for row in store_of(run).evaluation_rows(RUN) if row["stage"] == "holdout"]) == 2


async def test_an_export_and_the_prompts_know_nothing_of_it(tmp_path):
    def kept_out(outcome: StageOutcome) -> StageOutcome:
        return replace(outcome, feedback="secret")

    class Telling(Judging):
        async def measure(self, *args: object, holdout: bool = False, **kwargs: object) -> StageOutcome:
            found = await super().measure(*args, holdout=holdout, **kwargs)
            return kept_out(found) if holdout else found

    exports = []
    for root, spec in (("with", SPEC), ("without", "")):
        run: Case = case(tmp_path / root, 20, evaluator=Telling(), window=4, spec=spec)
        await run.start()
        await run.resume(budget=Budget(candidates=30))
        exports.append(run.export())
        assert not any("secret" in prompt.user for prompt in run.provider.prompts)
    assert exports[0] == exports[1]
