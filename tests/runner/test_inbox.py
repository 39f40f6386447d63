"""Drafts that whoever answers a call tries before: run by the runner, counted, recorded, at most so many."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from evolve.llm.scripted import Scripted
from evolve.proposer import Proposing
from evolve.runner import inbox
from evolve.runner.pending import TRY
from evolve.types import Call, Completion, Prompt, Status
from tests.runner.driving import RUN, Case, Judging, case, rewrite, source, store_of


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
            message = store.put(RUN, "try", {"call": call.id, **draft})
            while (found := store.answered(message)) is None:
                await asyncio.sleep(0.001)
            self.told.append(found)
        return await super().complete(prompt, call=call)


async def tried(tmp_path, monkeypatch, *drafts: dict[str, Any]) -> Agent:
    monkeypatch.setattr(inbox, "EVERY_S", 0.001)
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


class Hasty(Scripted):
    """Asks for tries and does not wait for what they come to."""

    tries = 2

    def __init__(self, *drafts: dict[str, Any]):
        super().__init__(lambda prompt, call: "no edit" if prompt.seed[-1] == 2 else rewrite(5.0), concurrency=1)
        self.drafts, self.left = drafts, []
        self.run: Case | None = None

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        if not self.left:
            self.left = [store_of(self.run).put(RUN, "try", {"call": call.id, **draft}) for draft in self.drafts]
        await asyncio.sleep(0.05)
        return await super().complete(prompt, call=call)


class Busy(Judging):
    async def measure(self, *given: Any, stage: str = "", **how: Any) -> Any:
        await asyncio.sleep(0.1 if stage else 0.0)
        return await super().measure(*given, stage=stage, **how)


async def hurried(tmp_path, monkeypatch, *drafts: dict[str, Any]) -> tuple[Hasty, str]:
    monkeypatch.setattr(inbox, "EVERY_S", 0.001)
    agent = Hasty(*drafts)
    agent.run = case(tmp_path, 2, provider=agent, evaluator=Busy(1), proposing=Proposing(turns=1))
    return agent, (await agent.run.start()).state


async def test_a_try_may_end_after_its_candidate(tmp_path, monkeypatch):
    program = {"name": "initial.py", "text": source(4.0)}
    agent, state = await hurried(tmp_path, monkeypatch, program, program)
    assert state == "finished" and agent.run.run().candidate(2).status is Status.EDIT_FAILED
    store = store_of(agent.run)
    assert [store.answered(message)["status"] for message in agent.left] == ["ok", "ok"]
    assert agent.run.screen.runner.spent.evaluations == store.evaluations(RUN)


async def test_a_fault_in_reading_the_inbox_is_not_swallowed(tmp_path, monkeypatch):
    agent, state = await hurried(tmp_path, monkeypatch, {})
    assert state == "failed" and isinstance(agent.run.screen.runner.fault, KeyError)


async def test_a_try_saves_nothing_and_finds_nothing_saved(tmp_path, monkeypatch):
    class Saving(Judging):
        found: ClassVar[list[Any]] = []

        async def measure(self, *given: Any, stage: str = "", serve: Any, **how: Any) -> Any:
            place = {"stage": stage, "replicate": 0, "instance": 0}
            if stage:
                await serve({"kind": "checkpoint", "body": b"mine", **place})
                self.found.append(await serve({"kind": "checkpoint", "body": None, **place}))
            return await super().measure(*given, stage=stage, **how)

    monkeypatch.setattr(inbox, "EVERY_S", 0.001)
    agent = Agent({"name": "initial.py", "text": source(4.0)})
    agent.run = case(tmp_path, 1, provider=agent, evaluator=Saving(), proposing=Proposing(turns=2))
    await agent.run.start()
    assert Saving.found == [None, b"mine"]  # the try's, the answer's


async def test_a_try_that_a_kill_left_out_takes_no_number_twice(tmp_path, monkeypatch):
    monkeypatch.setattr(inbox, "EVERY_S", 0.001)
    copies: list[Case] = []

    class Dying(Agent):
        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            run = self.run.screen.runner
            nothing = {name: "" for name in ("reason", "title", "hypothesis")} | {"status": None, "duplicate_of": None}
            await run.writer.write(run.writer.draft(2, 1, TRY, {"initial.py": source(3.0)}, call=call.id, **nothing))
            copies.append(self.run.snapshot(tmp_path / "killed"))
            return await Scripted.complete(self, prompt, call=call)

    agent = Dying()
    agent.run = case(tmp_path / "whole", 1, provider=agent, proposing=Proposing(turns=1))
    await agent.run.start()
    [copy] = copies
    after = Agent({"name": "initial.py", "text": source(4.0)})
    after.tries, after.run = 3, copy
    assert (await copy.resume(provider=after)).state == "finished"
    assert after.told[0]["status"] == "ok"
