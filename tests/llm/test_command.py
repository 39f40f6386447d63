"""A program as the model: real processes."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from evolve.config import build, compose
from evolve.errors import FatalError, ProviderError, TransientError, UsageError
from evolve.llm.command import MOST_BYTES, Command
from evolve.types import Call, Completion, Prompt

PROMPT = Prompt(system="Improve.", user="Write a better program.")
CALL = Call(id=7, run="r", candidate=3)


async def ask(command: str | list[str], prompt: Prompt = PROMPT, **settings: float) -> Completion:
    return await Command(command, **settings).complete(prompt, call=CALL)


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


async def test_the_prompt_goes_in_and_the_answer_comes_out():
    answer = await ask("cat")
    assert answer.text == "Improve.\n---\nWrite a better program." and answer.model == "command"
    assert (answer.tokens_in, answer.tokens_out, answer.cost_usd) == (9, 9, None)


async def test_it_is_told_which_call_it_is():
    assert (await ask(shell("echo $EVOLVE_CALL $EVOLVE_CANDIDATE"))).text == "r/7 3\n"


async def test_a_failure_is_its_last_line_without_keys(monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "kx-93hf82hqwe7")
    with pytest.raises(TransientError) as caught:
        await ask(shell("echo one >&2; echo no such key kx-93hf82hqwe7 >&2; exit 3"))
    assert str(caught.value) == "llm.command: sh ended with 3: no such key ***"


async def test_saying_nothing_is_a_failure():
    with pytest.raises(TransientError, match=r"^llm\.command: true said nothing$"):
        await ask("true")


async def test_a_program_that_reads_nothing_and_one_that_floods_its_errors_don_t_block():
    large = Prompt(system="", user="x" * 1_000_000)
    assert (await ask("echo done", large)).text == "done\n"
    assert (await ask(shell("sleep 0.05; echo done"), large)).text == "done\n"
    flood = "import sys; sys.stderr.write('e' * 2_000_000); print(len(sys.stdin.read()))"
    assert (await ask([sys.executable, "-c", flood], large)).text == "1000005\n"


async def test_a_late_one_is_killed_with_its_children(tmp_path):
    pid = tmp_path / "pid"
    with pytest.raises(TransientError, match=r"no answer within llm\.timeout_s=0\.3"):
        await ask(shell(f"sleep 60 & echo $! > {pid}; wait"), timeout_s=0.3)
    assert gone(int(pid.read_text()))


async def test_a_cancelled_one_is_killed(tmp_path):
    pid = tmp_path / "pid"
    work = asyncio.create_task(ask(shell(f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 60")))
    while not pid.exists():
        await asyncio.sleep(0.005)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert gone(int(pid.read_text()))


def gone(pid: int) -> bool:
    """Waits for whoever reaps orphans."""
    for _ in range(400):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.005)
    return False


async def test_a_child_that_holds_the_output_open_keeps_nobody_waiting():
    began = time.monotonic()
    assert (await ask(shell("sleep 30 & echo done"))).text == "done\n"
    assert (await ask(shell("setsid sleep 2 & echo done"))).text == "done\n"  # nor one that has left its group
    assert time.monotonic() - began < 2


async def test_too_much_and_what_is_no_text():
    with pytest.raises(ProviderError, match="more than 4 MB"):
        await ask(shell(f"head -c {MOST_BYTES + 1} /dev/zero; sleep 60"))
    assert (await ask(shell("printf '\\377ok'"))).text == "\ufffdok"


async def test_a_program_that_is_not_there_is_told_at_the_start():
    with pytest.raises(FatalError, match=r"^llm\.command: no-such-agent: no such program; give its path"):
        await Command("no-such-agent --x").start()


async def test_a_file_that_can_t_be_run_is_fatal(tmp_path):
    (tmp_path / "agent").write_text("not a program")
    (tmp_path / "agent").chmod(0o755)
    with pytest.raises(FatalError, match="can't be run"):
        await ask([str(tmp_path / "agent")])


@pytest.mark.parametrize("command", ["", "'open", [], ["a", 3], 5, [""]])
def test_what_is_no_command_is_refused(command):
    with pytest.raises(UsageError, match=r"^llm\.command="):
        Command(command)


def test_the_command_line_splits_as_a_shell_does():
    made = build(compose(["llm=command", "llm.command=python 'my agent.py' --x=1", "llm.timeout_s=5"])).provider
    assert made._words == ["python", "my agent.py", "--x=1"] and made.ceiling_usd(PROMPT) is None


async def test_no_process_is_left_behind():
    before = set(os.listdir("/proc"))
    await asyncio.gather(*(ask(shlex.join(shell("sleep 0.01; echo x"))) for _ in range(8)))
    assert not [pid for pid in set(os.listdir("/proc")) - before if pid.isdigit() and _child(pid)]


def _child(pid: str) -> bool:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    except OSError:
        return False
