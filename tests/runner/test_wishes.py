"""Drafts that whoever answers a call tries before: run by the runner, counted, recorded, at most so many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from evolve.llm.scripted import Scripted
from evolve.proposer import Proposing
from evolve.runner import wishes
from evolve.types import Call, Completion, Prompt
from tests.runner.driving import RUN, Case, case, rewrite, source, store_of


class Agent(Scripted):
    """Tries drafts by the inbox, then answers."""

    tries = 2

    def __init__(self, *drafts: dict[str, Any]):
        super().__init__([rewrite(5.0)] * 9, concurrency=1)
        self.drafts, self.told = drafts, []
        self.run: Case | None = None

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        store = store_of(self.run)
        for draft in self.drafts:
            wish = store.put(RUN, "try", {"call": call.id, **draft})
            while (found := store.answered(wish)) is None:
                await asyncio.sleep(0.001)
            self.told.append(found)
        return await super().complete(prompt, call=call)


async def tried(tmp_path, monkeypatch, *drafts: dict[str, Any]) -> Agent:
    monkeypatch.setattr(wishes, "EVERY_S", 0.001)
    agent = Agent(*drafts)
    agent.run = case(tmp_path, 1, provider=agent, proposing=Proposing(turns=1))
    assert (await agent.run.start()).state == "finished"
    return agent


async def test_a_draft_is_run_through_the_first_stage_counted_and_recorded(tmp_path, monkeypatch):
    program = {"name": "initial.py", "text": source(4.0)}
    agent = await tried(tmp_path, monkeypatch, program, {"name": "reply.md", "text": rewrite(6.0)})
    first, second = agent.told
    assert first == {"stage": "small", "status": "ok", "feedback": "", "metrics": {"score": 2.0}, "left": 1}
    assert (second["metrics"], second["left"]) == ({"score": 3.0}, 0)
    rows = store_of(agent.run).draft_rows(RUN, 2)
    assert [(row["origin"], row["number"], row["call"]) for row in rows] == [
        ("try", 0, 1),
        ("try", 1, 1),
        ("turn", 0, 1),
    ]
    assert [one["status"] for one in agent.run.run().shown(2)["drafts"]] == ["ok", "ok", None]
    assert agent.run.screen.runner.spent.evaluations == store_of(agent.run).evaluations(RUN)
    assert agent.run.run().shown(2)["score"] == 5.0


@pytest.mark.parametrize(
    ("draft", "message"),
    [
        ({"name": "reply.md", "text": "no edit"}, "reply.md: the answer holds neither"),
        ({"name": "initial.py", "text": source(1.0), "call": 77}, "call 77 is not one that waits for an answer"),
    ],
)
async def test_what_can_not_be_tried_is_refused_with_the_reason(tmp_path, monkeypatch, draft, message):
    agent = await tried(tmp_path, monkeypatch, draft)
    assert message in agent.told[0]["error"]
    assert [row["origin"] for row in store_of(agent.run).draft_rows(RUN)] == ["turn"]


async def test_there_are_only_so_many_tries(tmp_path, monkeypatch):
    draft = {"name": "initial.py", "text": source(4.0)}
    agent = await tried(tmp_path, monkeypatch, draft, draft, draft)
    assert agent.told[1]["left"] == 0 and "has had its 2 tries (llm.tries)" in agent.told[2]["error"]
