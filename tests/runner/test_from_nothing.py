"""A problem without an initial program begins with one asked of the model."""

from __future__ import annotations

import pytest

from evolve.errors import UsageError
from evolve.llm.offline import Offline
from evolve.llm.scripted import Scripted
from evolve.loading import load_problem
from evolve.types import Prompt
from tests.runner.driving import RUN, Case, case, rewrite, store_of


def empty(tmp_path, script, candidates: int, **changes) -> Case:
    run = case(
        tmp_path, candidates, provider=Scripted(script, concurrency=1), spec="entry: f\nedit: [initial.py]", **changes
    )
    (run.root / "tiny" / "initial.py").unlink()
    run.problem = load_problem(str(run.root / "tiny"))
    return run


async def test_the_first_programs_are_written_from_nothing_one_for_each_island(tmp_path):
    asked: list[Prompt] = []

    def script(prompt: Prompt, call: str) -> str:
        asked.append(prompt)
        return rewrite(prompt.seed[-1] + 3.5)

    run = empty(tmp_path, script, 6)
    assert (await run.start()).state == "finished"
    shown = [run.run().candidate(candidate) for candidate in range(1, 7)]
    assert [c.origin for c in shown] == ["asked"] * 6 and run.status()["candidates"]["asked"] == 6
    assert [(c.operator, c.parent) for c in shown[:2]] == [("initial", None)] * 2
    assert all(c.parent for c in shown[3:]) and "`f`" in asked[0].user and "initial.py" in asked[0].user
    assert asked[0].parent == {} and "## Parent" not in asked[0].user


async def test_a_run_killed_before_it_had_a_program_goes_on(tmp_path):
    copies: list[Case] = []

    def script(prompt: Prompt, call: str) -> str:
        if not copies:
            copies.append(run.snapshot(tmp_path / "killed"))
        return rewrite(prompt.seed[-1] + 3.5)

    run = empty(tmp_path / "whole", script, 3, window=2)
    await run.start()
    [copy] = copies
    assert (await copy.resume(provider=Scripted(script, concurrency=1))).state == "finished"
    assert copy.export() == run.export() and store_of(copy).size(RUN) == 3


async def test_genetic_programming_can_not_write_one(tmp_path):
    run = empty(tmp_path, [], 1)
    run.provider = Offline()
    with pytest.raises(UsageError, match="has no initial program, and llm=offline can"):
        await run.start()
    assert not run.folder.exists()
