from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evolve.loading import load_problem
from evolve.search import Search
from evolve.types import Status
from tests.benchmarks.search_quality.__main__ import kept, wanted
from tests.benchmarks.search_quality.cases import Simulated
from tests.benchmarks.search_quality.course import Course
from tests.benchmarks.search_quality.inside import Evaluations
from tests.benchmarks.search_quality.landscapes import NK, Landscape, RoyalRoad
from tests.benchmarks.search_quality.model import Model
from tests.benchmarks.search_quality.runs import Space, one
from tests.benchmarks.search_quality.table import Difference, rows
from tests.search.driving import settings


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


# ---------------------------------------------------------------- landscapes


@pytest.mark.parametrize(
    "landscape", [NK(rng(), bits=12, k=3), NK(rng(2), bits=9, k=0), RoyalRoad(rng(), bits=12, block=4)]
)
def test_no_genome_beats_the_optimum_and_one_has_it(landscape: Landscape):
    assert max(map(landscape.score, range(2**landscape.bits))) == pytest.approx(1.0)


def neutral(landscape: Landscape, genome: int) -> float:
    score = landscape.score(genome)
    return sum(landscape.score(genome ^ 1 << bit) == score for bit in range(landscape.bits)) / landscape.bits


def test_the_royal_road_is_neutral_and_nk_is_not():
    assert neutral(RoyalRoad(rng(), bits=64, block=4), 0) > 0.5
    assert neutral(NK(rng(), bits=64, k=5), 0) == 0


def test_parts_say_what_the_score_is_made_of():
    nk, road = NK(rng(), bits=48, k=5), RoyalRoad(rng(), bits=64, block=4)
    assert sum(nk.parts(12345)) / nk.optimum == pytest.approx(nk.score(12345))
    assert road.parts(road.target ^ 0b10001) == [0, 0, *[1] * 14]


# ---------------------------------------------------------------- the model

PLAIN = {"failures": 0.0, "copies": 0.0}
LANDSCAPE = NK(rng(), bits=48, k=5)


def children(
    model: Model, operator: str = "diff", parent: int = 0, others: tuple[int, ...] = ()
) -> list[tuple[int, bool]]:
    drawn = rng()
    return [model.propose(LANDSCAPE, operator, parent, others, drawn) for _ in range(500)]


def test_skill_is_a_better_child():
    scores = {
        skill: np.mean([LANDSCAPE.score(child) for child, _ in children(Model(skill=skill, **PLAIN))])
        for skill in (0.0, 1.0)
    }
    assert scores[1.0] > scores[0.0] + 0.02


def test_failures_repairs_and_copies_have_their_shares():
    assert np.mean([runs for _, runs in children(Model(failures=0.2, copies=0.0))]) == pytest.approx(0.8, abs=0.05)
    assert np.mean([runs for _, runs in children(Model(mends=0.3), "fix")]) == pytest.approx(0.3, abs=0.05)
    assert {child for child, _ in children(Model(mends=0.3), "fix", parent=7)} == {7}
    assert np.mean([child == 7 for child, _ in children(Model(copies=0.5), parent=7)]) == pytest.approx(0.5, abs=0.1)


def test_a_crossover_takes_every_bit_from_one_of_the_two():
    found = {child for child, _ in children(Model(**PLAIN), "crossover", parent=0b1100, others=(0b0110,))}
    assert {0b1110, 0b0100} <= found
    assert all(child & ~0b1110 == 0 and child & 0b0100 for child in found)


# ---------------------------------------------------------------- a run


def course(slots: int = 8, **changes: Any) -> Course:
    found = Course(Simulated(NK(rng(), bits=48, k=5), Model(), rng()), Search(**settings(**changes)), slots)
    found.run(100, 120)
    return found


def test_a_run_goes_on_until_both_budgets_are_used_up_and_says_each_new_best():
    found = course()
    assert found.evaluations >= 120
    assert sum(found.statuses.values()) >= 121
    assert {"ok", "crash", "duplicate"} <= set(found.statuses)
    scores = [best.score for best in found.curve]
    assert scores == sorted(set(scores))


def test_equal_seeds_give_equal_runs_and_slots_matter_to_async_alone():
    assert course().curve == course().curve != course(slots=1).curve
    assert course(window=16).curve == course(window=16, slots=1).curve


def test_a_variant_runs_on_a_landscape():
    found = one("nk", "selection.islands=4 schedule.window=4 schedule=ordered", 1, 10)
    assert 0.5 < found["scores"]["evaluations"] <= found["scores"]["candidates"] <= 1.0
    assert found["told"] == 200
    json.dumps(found)


# ---------------------------------------------------------------- evaluations in a process of ours

BODIES = {
    "return [[0.5, 0.5, 0.5]] + [[0.0, 0.0, 0.0]] * 9": Status.OK,
    "return [[0.5, 0.5, 0.6]] * 10": Status.INVALID,
    "raise ValueError(n)": Status.CRASH,
    "while True: pass": Status.TIMEOUT,
    "import os; os._exit(0)": Status.CRASH,
    "return bytearray(1 << 40)": Status.MEMORY,
}


def test_programs_end_as_they_would_in_a_sandbox():
    evaluations = Evaluations(load_problem("circle_packing", {"n": 10}, {}), "main", holdout=2)
    found = {body: evaluations.run({"initial.py": f"def pack(n):\n    {body}\n"}) for body in BODIES}
    assert {body: outcome.status for body, outcome in found.items()} == BODIES
    first = evaluations.run(load_problem("circle_packing", {"n": 10}, {}).initials[0])
    assert first.score == pytest.approx(0.7419, abs=1e-4)
    kept_out = evaluations.run(load_problem("circle_packing", {"n": 10}, {}).initials[0], holdout=True)
    assert [one["name"] for one in kept_out.instances] == ["n=11", "n=14"]


# ---------------------------------------------------------------- the table


def result(variant: str, seed: int, score: float, space: str = "a") -> dict[str, Any]:
    scores = {"candidates": score, "evaluations": score - 1}
    none = dict.fromkeys(scores)
    return {
        "space": space,
        "variant": variant,
        "seed": seed,
        "budget": 1,
        "scores": scores,
        "holdout": none,
        "code": "x",
    }


def test_an_interval_is_that_of_the_paired_differences():
    assert str(Difference.of([np.full(5, 0.25)])) == "+0.25 [+0.25, +0.25] +"
    both = Difference.of([rng().normal(0.0, 1.0, 400)])
    assert both is not None and both.high - both.low == pytest.approx(4 * 0.05, rel=0.15)


def test_a_row_has_the_objective_in_its_own_unit_and_gains_above_0():
    runs = [result(variant, seed, -seed + gain) for variant, gain in (("", 0.0), ("x=1", 0.5)) for seed in (1, 2, 3)]
    default, better, over_all = rows(runs, {"a": Space(unit=-1)})
    assert (default["equal candidates"]["mean"], better["equal candidates"]["mean"]) == (2.0, 1.5)
    assert better["equal evaluations"]["gain"].low == 0.5
    assert over_all["equal candidates"]["gain"].mean == pytest.approx(0.5 / np.std([1, 2, 3]))
    assert default["hold-out"] == {"mean": None, "gain": None}


# ---------------------------------------------------------------- going on


def test_what_is_kept_is_of_the_same_code_and_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = [json.dumps(result("", 1, 0.0)), json.dumps({**result("", 2, 0.0), "code": "old"}), '{"space": "a", "va']
    (tmp_path / "results.jsonl").write_text("\n".join(lines))
    assert list(kept(tmp_path / "results.jsonl", "x")) == [("a", "", 1, 1)]
    assert "1 results of other code" in capsys.readouterr().err


def test_a_pattern_chooses_and_the_default_is_there():
    assert wanted("^nk selection.islands=8$", 1, 1.5) == [("nk", "", 1, 300), ("nk", "selection.islands=8", 1, 300)]
