"""The spool: real files, answered by the test."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.config import build, compose
from evolve.errors import FatalError, ProviderError, UsageError
from evolve.llm import spool
from evolve.llm.spool import Spool
from evolve.types import Call, Completion, Prompt

PROMPT = Prompt(system="Improve.", user="Write\n---\na better program.", turns=(("a first", "try again"),))
CALL = Call(id=41, run="pack-1", where="runs/a b", candidate=3)


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(spool, "POLL_S", 0.002)


async def asked(folder: Path, call: Call = CALL, **settings: int) -> tuple[asyncio.Task[Completion], Path]:
    """Returns the call that waits, and its prompt's file once it is there."""
    made = Spool(str(folder), **settings)
    await made.start()
    waiting = asyncio.create_task(made.complete(PROMPT, call=call))
    path = folder / f"{call.id:06}.prompt.md"
    while not path.exists() and not waiting.done():
        await asyncio.sleep(0.002)
    return waiting, path


async def test_a_call_is_a_file_and_so_is_its_answer(tmp_path):
    waiting, path = await asked(tmp_path / "new" / "spool")
    assert path.read_text().startswith(PROMPT.text + "\n---\n# Try a draft\n")
    assert "    evolve try 'runs/a b' FILE --call 41\n" in path.read_text() and "at most 5 times" in path.read_text()
    spool.put(path.with_name("000041.reply.md"), "a better one")
    answer = await waiting
    assert (answer.text, answer.model, answer.cost_usd, answer.tokens_out) == ("a better one", "spool", None, 3)
    assert answer.tokens_in == len(PROMPT.text) // 4
    assert sorted(found.name for found in path.parent.iterdir()) == ["000041.prompt.md", "000041.reply.md", "run.txt"]


@pytest.mark.parametrize(
    ("call", "tries"), [(CALL, 0), (replace(CALL, where=""), 5), (replace(CALL, purpose="evaluate"), 5)]
)
async def test_trying_is_not_offered_where_there_is_nothing_to_try(tmp_path, call, tries):
    waiting, path = await asked(tmp_path, call, tries=tries)
    assert path.read_text() == PROMPT.text
    waiting.cancel()


async def test_what_says_nothing_yet_is_no_answer(tmp_path):
    waiting, path = await asked(tmp_path)
    reply = path.with_name("000041.reply.md")
    reply.write_text(" \n\t\n")
    await asyncio.sleep(0.03)
    assert not waiting.done()
    reply.write_bytes(b"\xff an answer")
    assert (await waiting).text == "\ufffd an answer"


async def test_a_reply_that_still_grows_is_waited_for(tmp_path, monkeypatch):
    waiting, path = await asked(tmp_path)
    seen = threading.Event()
    look = spool._looked_at

    def looked(path: Path) -> str | None:
        found = look(path)
        if found == "half":
            seen.set()
        return found

    monkeypatch.setattr(spool, "_looked_at", looked)
    reply = path.with_name("000041.reply.md")
    monkeypatch.setattr(spool, "POLL_S", 0.05)
    await asyncio.sleep(0.01)
    reply.write_text("half")
    await asyncio.to_thread(seen.wait)
    reply.write_text("half and the rest")
    assert (await waiting).text == "half and the rest"


async def test_a_call_that_is_asked_again_takes_the_reply_that_is_there(tmp_path):
    waiting, path = await asked(tmp_path)
    waiting.cancel()
    path.write_text("as it was read by somebody")
    spool.put(path.with_name("000041.reply.md"), "meanwhile")
    again, _ = await asked(tmp_path)
    assert (await again).text == "meanwhile" and path.read_text() == "as it was read by somebody"


async def test_the_file_beside_says_what_it_cost(tmp_path):
    waiting, path = await asked(tmp_path)
    told = {"model": "gpt-x", "tokens_in": 900, "tokens_out": 80, "cost_usd": 0.25, "more": 1}
    spool.put(path.with_name("000041.reply.json"), json.dumps(told))
    spool.put(path.with_name("000041.reply.md"), "x")
    assert await waiting == Completion(text="x", model="gpt-x", tokens_in=900, tokens_out=80, cost_usd=0.25)


@pytest.mark.parametrize(
    "told",
    ["", "[]", "{", '{"tokens_in": -1, "cost_usd": "much", "model": 3, "tokens_out": true}', '{"cost_usd": NaN}'],
)
async def test_what_can_t_be_is_left_out(tmp_path, told):
    waiting, path = await asked(tmp_path)
    path.with_name("000041.reply.json").write_text(told)
    spool.put(path.with_name("000041.reply.md"), "four")
    answer = await waiting
    assert (answer.model, answer.tokens_in, answer.tokens_out, answer.cost_usd) == (
        "spool",
        len(PROMPT.text) // 4,
        1,
        None,
    )


async def test_who_can_t_answer_says_so(tmp_path):
    waiting, path = await asked(tmp_path)
    path.with_name("000041.reply.json").write_text('{"error": "refused by\\na policy"}')
    spool.put(path.with_name("000041.reply.md"), "refused")
    with pytest.raises(ProviderError, match=r"^call 41: refused by a policy$"):
        await waiting


async def test_too_large_a_reply_is_none(tmp_path):
    waiting, path = await asked(tmp_path)
    spool.put(path.with_name("000041.reply.md"), "x" * (spool.MOST_BYTES + 1))
    with pytest.raises(ProviderError, match="more than 4 MB"):
        await waiting
    assert list(spool.pending(tmp_path)) == []


async def test_what_is_no_file_is_no_reply(tmp_path):
    waiting, path = await asked(tmp_path)
    os.mkfifo(path.with_name("000041.reply.md"))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    waiting.cancel()


async def test_a_folder_belongs_to_one_run(tmp_path):
    waiting, _ = await asked(tmp_path)
    waiting.cancel()
    other, _ = await asked(tmp_path, replace(CALL, run="pack-2"))
    with pytest.raises(FatalError, match=r"holds the calls of run pack-1, not of pack-2; choose another folder$"):
        await other


async def test_a_folder_that_can_t_be_written_is_told_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalError, match=r"^llm\.dir=.*file/x: can't be written \(Not a directory\); choose another$"):
        await Spool(str(tmp_path / "file" / "x")).start()


@pytest.mark.parametrize(("setting", "message"), [({"dir": ""}, "llm.dir=: must be"), ({"tries": -1}, "llm.tries=-1")])
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(UsageError, match=message):
        Spool(**{"dir": "x"} | setting)


def test_the_command_line_makes_one_whose_price_is_not_known():
    made = build(compose(["llm=spool", "llm.dir=./x", "llm.tries=0"])).provider
    assert made.outlives and made.converses and made.ceiling_usd(PROMPT) is None and made.tries == 0


async def test_a_file_is_read_back_into_the_prompt_that_it_was_made_of(tmp_path):
    waiting, _ = await asked(tmp_path)
    waiting.cancel()
    back = spool.asked(tmp_path, 41)
    assert back.system == "Improve." and back.text == PROMPT.text
    assert list(spool.pending(tmp_path)) == [41] and list(spool.pending(tmp_path, {41})) == []
    (tmp_path / "000042.prompt.md").write_text("nothing but this")
    assert spool.asked(tmp_path, 42) == Prompt(system="", user="nothing but this")


async def test_calls_that_claim_a_folder_at_once_are_of_one_run(tmp_path):
    """The first one's mark was once seen by the others before its name was in it, and taken for another run's."""
    made = Spool(str(tmp_path))
    await made.start()
    waiting = [asyncio.create_task(made.complete(PROMPT, call=replace(CALL, id=i))) for i in range(20)]
    while len(list(tmp_path.glob("*.prompt.md"))) < 20 and not any(task.done() for task in waiting):
        await asyncio.sleep(0.002)
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()


async def test_a_mark_without_a_name_is_nobody_s(tmp_path):
    (tmp_path / spool.MARK).touch()
    waiting, path = await asked(tmp_path)
    assert path.exists() and (tmp_path / spool.MARK).read_text() == "pack-1"
    waiting.cancel()
