"""What is not new is not evaluated: a text that is all but a known one, or that a model judges to be no new idea."""

from __future__ import annotations

import base64

import numpy as np

from evolve.llm.scripted import Scripted
from evolve.proposer import Proposing
from evolve.runner import calls
from evolve.types import Prompt, StageOutcome, Status
from tests.runner.driving import RUN, Case, Judging, Slow, case, store_of

BODY = "\n".join(f"    x{i} = {i} + x{i - 1} * {i % 7}" for i in range(1, 60))


def program(value: float, body: str = BODY) -> str:
    return f"TITLE: t\n```python\ndef f():\n    x0 = 0\n{body}\n    return {value}\n```\n"


async def ended(tmp_path, answers, candidates, **proposing) -> Case:
    run = case(
        tmp_path,
        candidates,
        window=1,
        provider=Scripted(answers, concurrency=1),
        proposing=Proposing(turns=1, **proposing),
    )
    assert (await run.start()).state == "finished"
    return run


async def test_a_text_that_is_all_but_the_same_is_rejected_before_its_evaluation(tmp_path):
    run = await ended(tmp_path, [program(2.0), program(2.5), program(2.0, BODY.replace("+", "-"))], 3, similarity=0.95)
    second, third = run.run().candidate(3), run.run().candidate(4)
    assert second.status is Status.REJECTED and "of its tokens are those of candidate 2" in second.feedback
    assert 3 not in run.evaluator.evaluated and third.status is Status.OK


async def test_similarity_null_lets_it_pass(tmp_path):
    run = await ended(tmp_path, [program(2.0), program(2.5)], 2, similarity=None)
    assert run.status()["candidates"]["ok"] == 2


async def test_a_resumed_run_knows_the_texts_from_before(tmp_path):
    run = await ended(tmp_path, [program(2.0), program(2.5)], 1, similarity=0.95)
    run.budget = run.budget.__class__(candidates=2)
    assert (await run.resume(provider=Scripted([program(2.5)], concurrency=1))).state == "finished"
    assert run.run().candidate(3).status is Status.REJECTED


async def test_a_model_may_judge_what_is_new(tmp_path):
    def script(prompt: Prompt, call: str) -> str:
        if prompt.operator == "novelty":
            assert "return 2.0" in prompt.user and prompt.temperature == 0.0
            return "The first differs by a constant alone.\nNEW: no" if "return 2.5" in prompt.user else "NEW: yes"
        return program({2: 2.0, 3: 2.5, 4: 4.0}[prompt.seed[-1]])

    run = await ended(tmp_path, script, 3, similarity=0.999, judge=True, judge_from=0.8)
    second, third = run.run().candidate(3), run.run().candidate(4)
    assert second.status is Status.REJECTED and "no new idea beside candidate 2" in second.feedback
    assert third.status is Status.OK
    purposes = [row["purpose"] for row in store_of(run).call_rows(RUN)]
    assert purposes.count(calls.NOVELTY) == 2 and purposes.count(calls.PROPOSE) == 3


async def test_a_judgement_that_was_paid_for_is_not_bought_again(tmp_path):
    copies: list[Case] = []

    def script(prompt: Prompt, call: str) -> str:
        if prompt.operator == "novelty" and not copies and prompt.seed[-1] == 4:
            copies.append(run.snapshot(tmp_path / "killed"))
        return "NEW: no" if prompt.operator == "novelty" else program(float(prompt.seed[-1]))

    proposing = Proposing(turns=1, similarity=0.999, judge=True)
    run = case(tmp_path / "whole", 3, provider=Scripted(script, concurrency=1), proposing=proposing, window=1)
    await run.start()
    [copy] = copies
    await copy.resume(provider=Scripted(script, concurrency=1))
    bought = [
        row["candidate"]
        for row in store_of(copy).call_rows(RUN)
        if (row["purpose"], row["state"]) == (calls.NOVELTY, "done")
    ]
    assert len(bought) == len(set(bought)) and copy.export() == run.export()


async def test_programs_that_do_the_same_say_so(tmp_path):
    def judge(text: str) -> list[StageOutcome]:
        instances = tuple(
            {"name": n, "status": "ok", "metrics": {"score": v}, "feedback": ""} for n, v in (("a", 1.0), ("b", 2.0))
        )
        return [
            StageOutcome(stage=s, status=Status.OK, score=1.5, metrics={"score": 1.5}, instances=instances)
            for s in ("small", "main")
        ]

    run = case(
        tmp_path, 2, evaluator=Judging(judge=judge), provider=Scripted([program(2.0), program(3.0, "")], concurrency=1)
    )
    assert (await run.start()).state == "finished"
    assert [run.run().candidate(c).behaves_as for c in (1, 2, 3)] == [None, 1, 1]
    assert run.run().shown(3)["behaves_as"] == 1


class Vectors(Scripted):
    """An embedding model: the vector has how often a program says `+` and `-`."""

    def __init__(self) -> None:
        super().__init__(lambda prompt, call: self.vector(prompt.user), concurrency=1)

    @staticmethod
    def vector(text: str) -> str:
        return base64.b64encode(np.array([text.count("+"), text.count("-")], dtype="<f4").tobytes()).decode()


async def test_embeddings_reject_what_points_the_same_way(tmp_path):
    embedder, minus = Vectors(), BODY.replace("+", "-")
    answers = [program(2.0), program(3.0, BODY + "\n    y = 1 + 2"), program(4.0, minus)]
    run = case(
        tmp_path, 3, window=1, provider=Scripted(answers, concurrency=1), embedder=embedder,
        proposing=Proposing(turns=1, similarity=None, embedding={"model": "any"}),
    )  # fmt: skip
    assert (await run.start()).state == "finished"
    second = run.run().candidate(3)
    assert second.status is Status.REJECTED and "a cosine of 1.0000 with that of candidate 2" in second.feedback
    assert run.status()["candidates"]["ok"] == 2 and len(embedder.prompts) == 3
    run.budget = run.budget.__class__(candidates=4)
    run.provider = Scripted([program(5.0, minus + "\n    y = 1 - 2")], concurrency=1)
    assert (await run.resume()).state == "finished"
    assert run.run().candidate(5).status is Status.REJECTED  # the vectors from before are known


async def test_similarity_null_lets_the_same_shingles_pass_beside_a_judge(tmp_path):
    answers = [program(2.0, "    x0 = 1\n" * n) for n in (40, 41)]
    script = lambda prompt, call: "NEW: yes" if prompt.operator == "novelty" else answers[prompt.seed[-1] - 2]  # noqa: E731
    run = await ended(tmp_path, script, 2, similarity=None, judge=True)
    assert run.status()["candidates"]["ok"] == 2


async def test_no_judge_is_paid_for_a_program_that_has_failed(tmp_path):
    def script(prompt: Prompt, call: str) -> str:
        assert prompt.operator != "novelty"
        return program(float(prompt.seed[-1]) if prompt.seed[-1] == 2 else -1.0)

    def outcomes(text: str) -> list[StageOutcome]:
        status = Status.CRASH if "return -1.0" in text else Status.OK
        return [StageOutcome(stage="small", status=status, score=1.0 if status is Status.OK else None)]

    proposing = Proposing(turns=2, similarity=None, judge=True)
    parts = {"provider": Scripted(script, concurrency=1), "evaluator": Judging(judge=outcomes), "proposing": proposing}
    run = case(tmp_path, 3, window=1, **parts)
    assert (await run.start()).state == "finished"
    assert run.run().candidate(3).status is Status.CRASH


async def test_a_resume_knows_who_was_admitted_first_and_who_behaved_so_first(tmp_path):
    def outcomes(text: str) -> list[StageOutcome]:
        one = {"name": "", "status": "ok", "metrics": {"score": 1.0 if "return 0" in text else 2.0}}
        return [StageOutcome(stage="main", status=Status.OK, score=1.0, instances=(one,))]

    slow = Slow(lambda prompt, call: program(float(prompt.seed[-1]), BODY[: 300 * prompt.seed[-1]].rpartition("\n")[0]),
                lambda prompt: 3000 if prompt.seed[-1] == 2 else 1, 2)  # fmt: skip
    run = case(tmp_path, 2, provider=slow, evaluator=Judging(judge=outcomes))
    await run.start()
    store = store_of(run)
    assert [candidate for candidate, _ in store.sketches(RUN)] == [1, 3, 2]
    behaviour = store.rows(RUN, [2])[0]["behaviour"]
    assert store.first_behaviour(RUN).get(behaviour) == 3 == run.run().candidate(2).behaves_as
