"""What evaluations leave behind: kept within a run's budget, readable, and shown to the next proposal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evolve.llm.scripted import Scripted
from evolve.runner.artifacts import ArtifactSpace
from evolve.types import OUTPUT, Artifact, StageOutcome, Status
from tests.runner.driving import Case, Judging, answer, case, outcomes, rewrite

PNG = b"\x89PNG\r\n" + bytes(100)
LEFT = {"trace.txt": b"step 1: 3 bins\n", "plot.png": PNG, "raw": b"\0\1\2"}


def judge(text: str) -> list[StageOutcome]:
    *before, last = outcomes(text)
    return [*before, replace(last, artifacts=LEFT)]


async def finished(root: Any, **changes: Any) -> Case:
    run = case(
        root, 3, provider=Scripted(lambda p, c: rewrite(4.0 * p.seed[-1]), concurrency=1), evaluator=Judging(1, judge)
    )
    run.setup = lambda made=run.setup: replace(made(), **changes)
    await run.start()
    return run


async def test_they_are_read_by_stage_and_name(tmp_path):
    run = (await finished(tmp_path)).run()
    assert run.artifacts(2) == {f"main{again}/{name}": body for again in ("", ".1") for name, body in LEFT.items()}
    kinds = {one["name"]: (one["kind"], one["size"]) for one in run.shown(2)["artifacts"]}
    assert kinds["main/plot.png"] == ("image", 106) and kinds["main/raw"] == ("binary", 3)
    assert kinds["main/trace.txt"] == ("text", 15)


async def test_the_parents_are_in_the_next_prompt_before_and_after_a_resume(tmp_path):
    run = await finished(tmp_path)
    provider = Scripted(answer, concurrency=1)
    await run.resume(provider=provider, budget=replace(run.budget, candidates=4))
    for prompt in (*run.provider.prompts, *provider.prompts):
        assert "trace.txt (text, 15 bytes):\n```\nstep 1: 3 bins\n```" in prompt.user
        assert "plot.png (image, 106 bytes)\n" in prompt.user and "raw (binary, 3 bytes)\n" in prompt.user


@pytest.mark.parametrize(("limit_mb", "kept"), [(200.0, 6), (0.0, 0), (150e-6, 5)])
async def test_what_is_over_the_budget_is_dropped_and_said_once(tmp_path, limit_mb, kept):
    run = await finished(tmp_path, artifact_mb=limit_mb)
    assert len(run.run().artifacts(1)) == kept
    notes = [text for kind, text in run.screen.notes if kind == "artifacts"]
    assert notes == (
        [f"database.artifact_mb={limit_mb:g} is used up; what does not fit is dropped"] if kept < 6 else []
    )


async def test_a_resume_counts_what_is_there(tmp_path):
    run = await finished(tmp_path)
    used = sum(map(len, LEFT.values())) * 2 * 4
    assert run.run().store.artifact_bytes(run.run().run_id) == used
    space = ArtifactSpace(used / 1e6, used)
    assert space.fit(judge("return 0")[-1]).artifacts == {}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"plain", "text"), (b"", "text"), ("é".encode() * 5000, "text"), (b"a\0b", "binary"), (b"\xff\xfe", "binary"),
        (PNG, "image"), (b"\xff\xd8\xff\xe0", "image"), (b"GIF89a", "image"), (b"RIFF1234WEBPVP8 ", "image"),
    ],
)  # fmt: skip
def test_a_kind_is_seen_from_the_beginning(body, kind):
    found = Artifact.of("x", body)
    assert (found.kind, found.size) == (kind, len(body))
    assert Artifact.of("x", body[: Artifact.HEAD], len(body)) == found
    assert len(found.head.encode()) <= Artifact.HEAD and (found.head == "" or kind == "text")


def test_an_outcome_without_any_is_left_alone():
    outcome = StageOutcome(stage="main", status=Status.OK)
    assert ArtifactSpace(0.0).fit(outcome) is outcome


def test_outputs_are_kept_where_they_lead_whatever_room_there_is():
    outcome = StageOutcome(
        stage="main", status=Status.OK, artifacts={OUTPUT: b"12345", f"3/{OUTPUT}": b"1", "trace": b"1"}
    )
    assert set(ArtifactSpace(0.0).fit(outcome, leads=True).artifacts) == {OUTPUT, f"3/{OUTPUT}"}
    assert set(ArtifactSpace(1.0).fit(outcome).artifacts) == {"trace"}
