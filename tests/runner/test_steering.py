"""What a person wants of a search: an event with its answer, kept by resumes, repeated by replays, refused in one line."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch
from evolve.llm.scripted import Scripted
from evolve.runner import inbox
from evolve.runner.budget import Budget
from evolve.types import Call, Completion, Prompt, Status
from tests.runner.driving import RUN, Case, answer, case, rewrite, source, store_of
from tests.runner.test_replay import replayed

HINT = {"do": "hint", "text": "use a lattice"}


class Person(Scripted):
    """A model beside which a person speaks: `words` maps the candidate whose call is out to messages, answered before it is."""

    def __init__(self, words: dict[int, list[dict[str, Any]]], concurrency: int = 1):
        super().__init__(answer, concurrency=concurrency)
        self.words, self.told, self.shown = dict(words), [], {}
        self.run: Case | None = None

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        self.shown[call.candidate] = prompt.text
        for due in [candidate for candidate in self.words if candidate <= call.candidate]:
            for body in self.words.pop(due):
                self.told.append(await self.say(body))
        return await super().complete(prompt, call=call)

    async def say(self, body: dict[str, Any]) -> Any:
        store = store_of(self.run)
        message = store.put(RUN, "steer", body)
        async with asyncio.timeout(20):
            while (found := store.answered(message)) is None:
                await asyncio.sleep(0.001)
        return found


async def idle(person: Person) -> None:
    async with asyncio.timeout(20):
        while len(person.calls) < 3:  # the call during which the word was said has ended
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "EVERY_S", 0.001)


async def steered(root: Path, words: dict[int, list[dict[str, Any]]], candidates: int = 12, **changes: Any) -> Person:
    person = Person(words, concurrency=changes.pop("concurrency", 1))
    person.run = case(root, candidates, provider=person, **changes)
    assert (await person.run.start()).state == "finished"
    return person


def events(run: Case) -> list[dict[str, Any]]:
    return [dict(event.data) for event in store_of(run).events_of(RUN, ["steered"])]


async def test_a_hint_is_in_the_prompts_of_what_is_asked_afterwards_until_it_is_cleared(tmp_path):
    person = await steered(tmp_path, {4: [HINT], 8: [{"do": "clear"}]})
    assert person.told[0] == {"done": "shown in prompts from candidate 5 on"}
    assert [c for c, text in person.shown.items() if "- use a lattice" in text] == [5, 6, 7, 8]
    assert events(person.run) == [HINT, {"do": "clear"}] and person.run.status()["steered"]["hints"] == []
    assert [line for line in person.run.export() if "use a lattice" in line]


async def test_a_banned_line_is_said_in_the_prompt_and_fails_the_answer_that_has_it(tmp_path):
    ban = {"do": "ban", "line": "/return .*[13579]$/"}
    person = await steered(tmp_path, {4: [ban], 14: [{**ban, "do": "unban"}]}, candidates=16)
    after = [person.run.run().candidate(c) for c in range(5, 15)]
    failed = [one for one in after if one.status is Status.EDIT_FAILED and "is banned (/return" in one.feedback]
    assert failed and not any(one.files.get("initial.py", "").rstrip()[-1:] in tuple("13579") for one in after)
    assert [c for c, text in person.shown.items() if "may match `/return .*[13579]$/`." in text] == list(range(5, 15))


async def test_a_banned_whole_line_is_no_part_of_a_line(tmp_path):
    person = await steered(tmp_path, {3: [{"do": "ban", "line": "return"}]}, candidates=6)
    assert not [1 for c in range(2, 8) if "banned" in person.run.run().candidate(c).feedback]
    assert "No line of the program may be `return`." in person.shown[4]


async def test_a_budget_is_changed_and_a_resume_keeps_it(tmp_path):
    person = await steered(tmp_path, {4: [{"do": "budget", "name": "candidates", "value": 9}]}, candidates=30)
    status = person.run.status()
    assert (status["candidates"]["asked"], status["budget"]["candidates"]) == (9, 9)
    assert person.told == [{"done": "budget.candidates is 9, was 30"}]


async def test_a_weight_decides_how_is_proposed_and_a_resume_keeps_it(tmp_path):
    weights = [
        {"do": "weight", "name": name, "value": value}
        for name, value in [("rewrite", 1), ("diff", 0), ("crossover", 0)]
    ]
    person = await steered(tmp_path, {4: weights})
    await person.run.resume(provider=Scripted(answer, concurrency=1), budget=Budget(candidates=20))
    operators = {row["operator"] for row in store_of(person.run).rows(RUN) if row["id"] > 4}
    assert operators == {"rewrite"}


async def test_a_persons_candidate_is_evaluated_and_is_none_of_the_asked(tmp_path):
    add = {"do": "add", "files": {"mine.py": source(50.0)}, "title": "mine.py", "island": 1}
    person = await steered(tmp_path, {4: [add, {**add, "island": None}]})
    found = person.run.run().candidate(5)
    assert (found.origin, found.score, found.island, found.title) == ("human", 50.0, 1, "mine.py")
    assert person.run.run().candidate(6).status is Status.DUPLICATE
    counts = person.run.status()["candidates"]
    assert counts["asked"] == 12 == sum(n for name, n in counts.items() if name != "asked")
    assert person.run.status()["best"]["score"] >= 50.0


async def test_a_paused_run_keeps_its_lease_asks_nothing_and_goes_on(tmp_path):
    person = Person({4: [{"do": "pause"}]})
    person.run = case(tmp_path, 12, provider=person)
    run = asyncio.create_task(person.run.start())
    await idle(person)
    await asyncio.sleep(0.02)
    status = person.run.status()
    assert (status["state"], status["candidates"]["asked"], len(person.calls)) == ("paused", 3, 3)
    assert await person.say({"do": "pause"}) == {"error": "the run is paused"}
    assert await person.say({"do": "go"}) == {"done": "goes on"}
    assert (await run).state == "finished" and person.run.status()["candidates"]["asked"] == 12


async def test_a_paused_run_can_be_stopped_and_resumed(tmp_path):
    person = Person({4: [{"do": "pause"}]})
    person.run = case(tmp_path, 12, provider=person)
    run = asyncio.create_task(person.run.start())
    await idle(person)
    person.run.screen.runner.drain()
    assert (await run).state == "interrupted"
    assert (await person.run.resume()).state == "finished"


@pytest.mark.parametrize("window", [None, 4])
async def test_killed_between_message_and_answer_it_is_done_once(tmp_path, window):
    copies: list[Case] = []

    class Dying(Person):
        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            if call.candidate == 6:
                store_of(self.run).put(RUN, "steer", HINT)
                copies.append(self.run.snapshot(tmp_path / "before"))
            if call.candidate == 12:
                copies.append(self.run.snapshot(tmp_path / "after"))
            return await super().complete(prompt, call=call)

    person = Dying({})
    person.run = case(tmp_path / "whole", 14, provider=person, window=window)
    await person.run.start()
    for copy in copies:
        goes_on = Person({})
        assert (await copy.resume(provider=goes_on)).state == "finished"
        assert events(copy) == [HINT] and store_of(copy).inbox(RUN) == []
        assert HINT["text"] in goes_on.shown[max(goes_on.shown)]


async def test_of_two_runners_the_one_without_the_lease_steers_nothing(tmp_path):
    person = Person({})
    person.run = case(tmp_path, 12, provider=person)

    async def taken_over(prompt: Prompt, *, call: Call) -> Completion:
        with sqlite3.connect(person.run.database) as other:
            other.execute("UPDATE runs SET lease_epoch = lease_epoch + 1")
        other.close()
        return Completion(text=(await person.say(HINT))["done"])

    person.complete = taken_over  # type: ignore[method-assign]
    ended = await person.run.start()
    assert ended.state == "failed" and "taken over by another runner" in ended.reason
    assert events(person.run) == [] and len(store_of(person.run).inbox(RUN)) == 1


@pytest.mark.parametrize("window", [None, 4])
async def test_a_replay_repeats_the_steering_at_its_place(tmp_path, window):
    words = {
        4: [HINT, {"do": "add", "files": {"initial.py": source(9.5)}, "title": "mine", "island": 0}],
        8: [
            {"do": "pause"},
            {"do": "go"},
            {"do": "weight", "name": "rewrite", "value": 3},
            {"do": "ban", "line": "/1.5/"},
        ],
        10: [{"do": "budget", "name": "candidates", "value": 20}, {"do": "clear"}],
    }
    person = await steered(tmp_path / "first", words, window=window, concurrency=3)
    again = replayed(tmp_path / "again", person.run)
    assert (await again.start()).state == "finished"
    assert again.export() == person.run.export() and len(person.told) == 8
    assert not [told for told in person.told if "error" in told]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"do": "go"}, "the run is not paused"),
        ({"do": "budget", "name": "candidates", "value": -1}, "budget.candidates=-1: must be a whole number"),
        ({"do": "weight", "name": "refine", "value": 1}, "weight refine: not an operator of this run"),
        ({"do": "weight", "name": "diff", "value": "much"}, "weight diff=much: must be a number"),
        ({"do": "ban", "line": "/(/"}, "ban /(/: not a regular expression"),
        ({"do": "unban", "line": "x"}, "unban x: banned are no lines"),
        ({"do": "add", "files": {"a.py": "", "b.py": ""}, "title": "", "island": 0}, "a.py, b.py: not of the files"),
        ({"do": "add", "files": {"a.py": ""}, "title": "", "island": 7}, "--island 7: the run has the islands 0 to 1"),
    ],
)
async def test_what_can_not_be_done_is_refused_and_leaves_nothing(tmp_path, body, message):
    person = await steered(tmp_path, {3: [body]}, candidates=4)
    assert message in person.told[0]["error"]
    assert events(person.run) == [] and person.run.run().store.size(RUN) == 5


async def test_an_ordered_run_takes_no_budget_that_measures_the_machine(tmp_path):
    person = await steered(tmp_path, {3: [{"do": "budget", "name": "seconds", "value": 9}]}, candidates=4, window=2)
    assert "schedule=ordered refuses it" in person.told[0]["error"]


async def test_the_command_waits_for_a_live_run_and_leaves_its_word_to_a_stopped_one(tmp_path, capsys):
    class Speaking(Scripted):
        async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
            if call.candidate == 3:
                assert await asyncio.to_thread(dispatch, ["steer", str(run.folder), "hint", "use", "a lattice"]) == 0
            return Completion(text=rewrite(call.candidate))

    run = case(tmp_path, 4, provider=Speaking([], concurrency=1))
    await run.start()
    assert capsys.readouterr().out == "shown in prompts from candidate 4 on\n"
    assert dispatch(["steer", str(run.folder), "budget.candidates=6"]) == 0
    assert f"run {RUN} is finished: done when 'evolve resume {run.folder}' goes on" in capsys.readouterr().out
    assert (await run.resume(provider=Scripted(answer, concurrency=1))).state == "finished"
    assert run.status()["candidates"]["asked"] == 6
    assert dispatch(["status", str(run.folder)]) == 0
    shown = capsys.readouterr().out
    assert "hints       use a lattice" in shown and "budget candidates=6" in shown
