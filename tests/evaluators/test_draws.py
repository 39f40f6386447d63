"""Which instances a job gets: `draw`, the replicate and the hold-out decide, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from evaluators import StageJob
from evaluators.scoring import Scorer, unload
from evolve.errors import EvaluatorError
from evolve.problem import Problem

EVALUATOR = """
def score(instance, output): return 0.0
def instances(stage, rng): return [f"{stage.name} {rng.integers(10**9)}" for _ in range(100)]
"""


@pytest.fixture(params=["fixed", "paired", "fresh"])
def drawn(request: pytest.FixtureRequest, make_problem: Callable[..., Problem]) -> Iterator[Callable[..., list[str]]]:
    """Draws a job's inputs, by `key` with a hidden/key; `drawn.how` is the stage's draw."""
    spec = f"holdout: {{instances: 7}}\nstages: {{main: {{draw: {request.param}, instances: 3}}}}"
    problem = make_problem(EVALUATOR, yaml=spec)

    def draw(key: str = "", **job: object) -> list[str]:
        (problem.path / "hidden").mkdir(exist_ok=True)
        (problem.path / "hidden/key").unlink(missing_ok=True)
        if key:
            (problem.path / "hidden/key").write_text(key)
        drawn = Scorer(problem).instances(StageJob(problem=problem, stage="main", files={}, **job))
        return [instance.input for instance in drawn]

    draw.how = request.param
    yield draw
    unload(str(problem.path))


def test_the_draw_says_what_changes_the_instances(drawn: Callable[..., list[str]]) -> None:
    first = drawn(draw_seed=1)
    assert first == drawn(draw_seed=1, candidate=9) and len(first) == 3
    assert (drawn(draw_seed=2) == first) == (drawn.how != "fresh")
    assert (drawn(draw_seed=1, replicate=1) == first) == (drawn.how == "fixed")


def test_the_hold_out_is_one_draw_of_its_own(drawn: Callable[..., list[str]]) -> None:
    kept = drawn(holdout=True)
    assert kept == drawn(holdout=True, draw_seed=5, replicate=2) and not set(kept) & set(drawn())
    assert all(name.startswith("holdout ") for name in kept)


def test_a_hidden_key_changes_every_draw_and_nothing_else(drawn: Callable[..., list[str]]) -> None:
    for job in ({}, {"draw_seed": 3, "replicate": 1}, {"holdout": True}):
        draws = [drawn(key=key, **job) for key in ("", "one", "two")]
        assert len(set().union(*draws)) == sum(map(len, draws))
        assert draws[1] == drawn(key="one", **job) and draws[0] == drawn(**job)


def test_instances_without_end_are_the_evaluators_fault(make_problem: Callable[..., Problem]) -> None:
    endless = "def score(instance, output): ...\ndef instances(stage, rng):\n    while True: yield 1\n"
    problem = make_problem(endless)
    with pytest.raises(
        EvaluatorError, match=r"gave 1,000,000 for stage 'main', perhaps without end; .*'instances: 10'"
    ):
        Scorer(problem).instances(StageJob(problem=problem, stage="main", files={}))
    few = make_problem(endless, instances=5)
    assert len(Scorer(few).instances(StageJob(problem=few, stage="main", files={}))) == 5


@pytest.mark.parametrize("said", ["score = 3", "score = max", "score = print\ninstances = [1]"])
def test_what_is_no_function_is_the_evaluators_fault(said: str, make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(f"{said}\n")
    with pytest.raises(EvaluatorError, match=r"evaluator.py: \w+ is .*, whose parameters are unknown; write a def"):
        Scorer(problem).instances(StageJob(problem=problem, stage="main", files={}))


def test_draws_without_a_key_stay_what_they_were(drawn: Callable[..., list[str]]) -> None:
    first = {"fixed": "main 920927715", "paired": "main 298859384", "fresh": "main 48320805"}
    assert drawn(draw_seed=1)[0] == first[drawn.how] and drawn(holdout=True)[0] == "holdout 413535971"
