"""A run whose model is down says that it is paused, and goes on when it is back."""

from __future__ import annotations

from evolve.errors import TransientError
from evolve.llm.scripted import Scripted
from evolve.runner import calls, lanes
from evolve.types import Call, Completion, Prompt
from tests.runner.driving import RUN, answer, case, store_of


async def test_the_state_is_paused_as_long_as_no_model_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes, "COOL_DOWN_S", 0.01)
    monkeypatch.setattr(calls, "BACKOFF_S", 0.0)

    class Down(Scripted):
        seen: tuple[str, str] | None = None

        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            row = store_of(run).run(RUN)
            if row["state"] == "paused":
                self.seen = (run.run().state(), row["reason"])
            if self.seen is None:
                raise TransientError("503: overloaded")
            return await super().complete(prompt, call=call)

    run = case(tmp_path, 8, provider=Down(answer, concurrency=3))
    ended = await run.start()
    assert ended.state == "finished" and run.run().state() == "finished"
    state, reason = run.provider.seen
    assert state == "paused" and "no model answers" in reason and "503: overloaded" in reason
    assert "infra" not in run.status()["candidates"] and run.status()["candidates"]["asked"] == 8
