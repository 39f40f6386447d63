"""What an evaluation asks while it runs: a model through `lm`, and whether to go on through `report`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from evaluators import LocalPool, StageJob
from evaluators.harness import wire
from evolve.errors import EvolveError, ProviderError
from evolve.problem import Problem
from evolve.types import OUTPUT, StageOutcome, Status

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def local() -> AsyncIterator[LocalPool]:
    pool = LocalPool(1)
    await pool.start()
    yield pool
    await pool.close()


class Answers:
    """Answers llm questions with their prompts in capitals, report questions with None; keeps all of them."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any] | None = None):
        self.questions: list[dict[str, Any]] = []
        self._answer = answer

    async def __call__(self, question: Any) -> Any:
        self.questions.append(dict(question))
        if self._answer is not None:
            return self._answer(dict(question))
        if question["kind"] == "report":
            return None
        return [prompt.upper() for prompt in question["prompts"] for _ in range(question["n"])]


@pytest.fixture
def ask(local: LocalPool, make_problem: Callable[..., Problem]) -> Callable[..., Any]:
    async def ask(
        evaluator: str, serve: Any, candidate: str = "def f():\n    return 7", **stage: object
    ) -> StageOutcome:
        problem = make_problem(evaluator, **{"timeout_s": 20.0, **stage})
        job = StageJob(problem=problem, stage="main", files={"initial.py": candidate}, candidate=3)
        return await local.run(job, serve)

    return ask


LENGTH = "def score(instance, output, lm):\n    return len(lm('abc', system='s'))\n"
RAISES = lambda error: Answers(lambda question: (_ for _ in ()).throw(error))  # noqa: E731


@pytest.mark.asyncio(loop_scope="session")
class TestLm:
    async def test_a_function_that_names_lm_gets_it(self, ask):
        serve = Answers()
        assert (await ask(LENGTH, serve)).score == 3
        assert serve.questions == [
            {
                "kind": "llm", "stage": "main", "replicate": 0, "instance": 0, "number": 0, "prompts": ["abc"], "system": "s",
                "n": 1, "temperature": None, "max_tokens": None,
            }
        ]  # fmt: skip

    async def test_all_functions_get_it_and_texts_are_numbered_in_their_place(self, ask):
        source = """
def instances(stage, rng, lm):
    return [lm("one"), lm("two")]
def drive(instance, candidate, lm):
    return lm.many([instance.input, "x"], n=2)
def score(instance, output, lm):
    assert output == [[instance.input] * 2, ["X", "X"]], output
    return len(lm("again"))
def aggregate(results, lm):
    return {"score": len(lm("sum"))}
"""
        serve = Answers()
        outcome = await ask(source, serve)
        assert (outcome.status, outcome.score) == (Status.OK, 3), outcome.feedback
        places = [(q["instance"], q["number"], len(q["prompts"]) * q["n"]) for q in serve.questions]
        assert places == [(-1, 0, 1), (-1, 1, 1), (0, 0, 4), (0, 4, 1), (1, 0, 4), (1, 4, 1), (1, 5, 1)]

    async def test_a_wait_counts_against_no_limit(self, ask):
        async def slow(question: Any) -> list[str]:
            await asyncio.sleep(1.2)
            return ["abc"]

        outcome = await ask(LENGTH, slow, timeout_s=0.5, wall_s=0.6)
        assert (outcome.status, outcome.score) == (Status.OK, 3)

    async def test_services_lend_it_to_the_candidate(self, ask):
        source = "def services(instance, lm): return {'lm': lm}\ndef score(instance, output): return len(output)\n"
        candidate = "def f(lm):\n    return lm('hello', temperature=0.5) + lm(prompt='you')"
        assert (await ask(source, Answers(), candidate)).score == 8

    @pytest.mark.parametrize("call", ["lm(5)", "lm('a', n=0)", "lm('a', n=10**9)", "lm('a', other=1)", "lm()"])
    async def test_what_a_candidate_asks_wrongly_is_raised_in_the_candidate(self, ask, call):
        source = "def services(instance, lm): return {'lm': lm}\ndef score(instance, output): return len(output)\n"
        outcome = await ask(source, Answers(), f"def f(lm):\n    return {call}")
        assert outcome.status is Status.CRASH and "lm" in outcome.feedback

    @pytest.mark.parametrize("call", ["many('abc')", "many(5)", "many([5])", "many(['a'], n=1001)"])
    async def test_so_is_what_it_asks_wrongly_of_several(self, ask, call):
        source = (
            "def services(instance, lm): return {'many': lm.many}\ndef score(instance, output): return len(output)\n"
        )
        outcome = await ask(source, Answers(), f"def f(many):\n    return {call}")
        assert outcome.status is Status.CRASH and "ServiceError: many: lm: " in outcome.feedback

    async def test_what_evaluator_py_asks_wrongly_is_its_fault(self, ask):
        outcome = await ask("def score(instance, output, lm): return lm('a', n=0)", Answers())
        assert outcome.status is Status.EVALUATOR_ERROR and "n=0: must be a whole number" in outcome.feedback

    async def test_half_characters_are_no_reason_to_fail(self, ask):
        serve = Answers()
        assert (await ask(r"def score(instance, output, lm): return len(lm('\ud800\0'))", serve)).score == 1
        assert serve.questions[0]["prompts"] == ["?"]

    async def test_threads_of_evaluator_py_may_ask(self, ask):
        source = """
from concurrent.futures import ThreadPoolExecutor
def score(instance, output, lm):
    with ThreadPoolExecutor(4) as threads:
        return sum(map(len, threads.map(lm, ["a", "bb", "ccc", "dddd"])))
"""
        assert (await ask(source, Answers())).score == 10

    async def test_a_providers_error_is_infra(self, ask):
        outcome = await ask(LENGTH, RAISES(ProviderError("529 after five tries")))
        assert (outcome.status, outcome.feedback) == (Status.INFRA, "529 after five tries")

    async def test_infra_stands_whatever_evaluator_py_makes_of_it(self, ask):
        source = """
def score(instance, output, lm):
    try:
        return len(lm("a"))
    except BaseException:
        return 100.0
"""
        outcome = await ask(source, RAISES(ProviderError("no money")), partial=True, failure_value=0.0)
        assert (outcome.status, outcome.score, outcome.feedback) == (Status.INFRA, None, "no money")

    async def test_infra_stands_whatever_a_candidate_makes_of_it(self, ask):
        source = "def services(instance, lm): return {'lm': lm}\ndef score(instance, output): return output\n"
        candidate = "def f(lm):\n    try:\n        lm('a')\n    except BaseException:\n        pass\n    return 9"
        outcome = await ask(source, RAISES(ProviderError("no money")), candidate)
        assert (outcome.status, outcome.feedback) == (Status.INFRA, "no money")

    async def test_another_refusal_is_evaluator_pys_fault(self, ask):
        outcome = await ask(LENGTH, RAISES(EvolveError("nobody answers")))
        assert outcome.status is Status.EVALUATOR_ERROR and "nobody answers" in outcome.feedback

    async def test_without_a_model_evaluator_pys_own_answers(self, ask):
        model = "def model(prompt, system): return prompt * 2 + system\n"
        assert (await ask(LENGTH + model, Answers(lambda question: None))).score == 7

    @pytest.mark.parametrize(
        ("model", "says"),
        [
            ("", "define model(prompt, system)"),
            ("def model(prompt, system): return 5", "model() returned int, not text"),
        ],
    )
    async def test_without_any_model_the_error_names_the_remedy(self, ask, model, says):
        outcome = await ask(LENGTH + model, Answers(lambda question: None))
        assert outcome.status is Status.EVALUATOR_ERROR and says in outcome.feedback

    async def test_the_next_evaluation_is_in_order_after_a_refusal(self, ask):
        await ask(LENGTH, RAISES(ProviderError("no")))
        assert (await ask(LENGTH, Answers())).score == 3


REPORTS = """
def score(instance, output, report):
    for step in range(1, 31):
        report(step, step / 10)
    return 3.0
"""


@pytest.mark.asyncio(loop_scope="session")
class TestReport:
    async def test_it_asks_at_rungs_only_and_keeps_the_curve(self, ask):
        serve = Answers()
        outcome = await ask(REPORTS, serve, report=True)
        assert [(q["step"], q["value"]) for q in serve.questions] == [(1, 0.1), (3, 0.3), (9, 0.9), (27, 2.7)]
        assert outcome.score == 3.0 and outcome.curve[-1] == (30.0, 3.0) and len(outcome.curve) == 30

    async def test_without_the_key_it_never_asks(self, ask):
        serve = Answers()
        assert len((await ask(REPORTS, serve)).curve) == 30 and serve.questions == []

    async def test_a_stop_is_a_rejection_with_what_was_measured(self, ask):
        serve = Answers(lambda question: "too low" if question["step"] == 9 else None)
        outcome = await ask(REPORTS, serve, report=True)
        assert (outcome.status, outcome.score, outcome.feedback) == (Status.REJECTED, None, "stage 'main': too low")
        assert outcome.metrics == {"score": 0.9} and outcome.curve[-1] == (9.0, 0.9)

    async def test_a_stop_stands_whatever_evaluator_py_makes_of_it(self, ask):
        source = REPORTS.replace(
            "        report(step, step / 10)", "        try: report(step, 1)\n        except BaseException: pass"
        )
        outcome = await ask(source, Answers(lambda question: "too low"), report=True)
        assert (outcome.status, outcome.curve) == (Status.REJECTED, ((1.0, 1.0),))

    async def test_a_long_curve_is_thinned_but_keeps_its_rungs_and_its_end(self, ask):
        from evolve.rungs import rungs

        serve = Answers()
        outcome = await ask(REPORTS.replace("31", "50001"), serve, report=True, wall_s=60.0)
        assert len(outcome.curve) <= 1000 and outcome.curve[-1][0] == 50_000
        assert [value for _, value in rungs(outcome.curve)] == [q["value"] for q in serve.questions]

    @pytest.mark.parametrize(
        ("call", "status", "says"),
        [
            ("report(1, 2); report(1, 3)", Status.EVALUATOR_ERROR, "step 1 came after step 1"),
            ("report('one', 2)", Status.EVALUATOR_ERROR, "both must be numbers"),
            ("report(1, float('nan'))", Status.INVALID, "score was nan at step 1"),
        ],
    )
    async def test_what_is_no_report(self, ask, call, status, says):
        outcome = await ask(f"def score(instance, output, report):\n    {call}\n    return 1.0", Answers())
        assert outcome.status is status and says in outcome.feedback


LENDS = {"yaml": "incumbent: true\nstages: {main: {}, alone: {}}\n"}
TWO = "def instances(stage, rng):\n    return [10, 20]\n"
SUMS = TWO + "def score(instance, output):\n    return sum(output) + len(output) / 8\n"


@pytest.mark.asyncio(loop_scope="session")
class TestIncumbent:
    async def run(
        self, local, make_problem, candidate: str, serve: Any, stage: str = "main", evaluator: str = SUMS
    ) -> StageOutcome:
        problem = make_problem(evaluator, **LENDS)
        return await local.run(StageJob(problem=problem, stage=stage, files={"initial.py": candidate}), serve)

    async def test_each_instance_has_its_own_and_it_is_asked_for_once(self, local, make_problem):
        lent = {0: wire.encode([1, 2]), 1: None}
        serve = Answers(lambda question: lent[question["instance"]])
        often = (
            "def f(x, *, incumbent):\n    return [x] + [incumbent() for _ in range(50)][-1] if incumbent() else [x]\n"
        )
        outcome = await self.run(local, make_problem, often, serve)
        assert [case["metrics"]["score"] for case in outcome.instances] == [13.375, 20.125], outcome.feedback
        assert [(q["kind"], q["instance"]) for q in serve.questions] == [("incumbent", 0), ("incumbent", 1)]
        assert {name: wire.decode(body) for name, body in outcome.artifacts.items()} == {
            f"0/{OUTPUT}": [10, 1, 2],
            f"1/{OUTPUT}": [20],
        }

    @pytest.mark.parametrize(
        "candidate",
        [
            "def f(x):\n    return [x]\n",
            "def f(x, **more):\n    return [x, *more]\n",
            "import functools\ndef g(y, x):\n    return [x]\nf = functools.partial(g, 0)\n",
            "class F:\n    def __call__(self, x):\n        return [x]\nf = F()\n",
        ],
    )
    async def test_who_does_not_name_it_is_not_given_it(self, local, make_problem, candidate):
        outcome = await self.run(local, make_problem, candidate, Answers())
        assert (outcome.status, outcome.score) == (Status.OK, 15.125), outcome.feedback

    async def test_the_last_stage_lends_and_keeps_nothing(self, local, make_problem):
        outcome = await self.run(
            local, make_problem, "def f(x, incumbent=3):\n    return [incumbent]\n", Answers(), "alone"
        )
        assert (outcome.score, outcome.artifacts) == (3.125, {})

    async def test_what_score_does_to_an_output_is_not_lent(self, local, make_problem):
        evaluator = "def score(instance, output):\n    output.sort()\n    return output.pop()\n"
        outcome = await self.run(local, make_problem, "def f():\n    return [2, 1]\n", Answers(), evaluator=evaluator)
        assert wire.decode(outcome.artifacts[OUTPUT]) == [2, 1]

    async def test_an_output_too_large_to_be_lent_is_the_candidate_s_limit(self, local, make_problem):
        evaluator = "def score(instance, output):\n    return len(output)\n"
        outcome = await self.run(
            local, make_problem, "def f():\n    return bytes(17 << 20)\n", Answers(), evaluator=evaluator
        )
        assert (outcome.status, outcome.score) == (Status.LIMIT, None) and "too large to be lent" in outcome.feedback

    async def test_what_drive_makes_of_it_must_be_data(self, local, make_problem):
        evaluator = (
            "def drive(instance, candidate):\n    return {candidate.f()}\n"
            + "def score(instance, output):\n    return 1\n"
        )
        outcome = await self.run(local, make_problem, "def f():\n    return 1\n", Answers(), evaluator=evaluator)
        assert outcome.status is Status.EVALUATOR_ERROR and "that is no data: set" in outcome.feedback
