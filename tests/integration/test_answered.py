"""Programs of several files and in C++, written by a program and by whoever answers a folder, killed on the way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from evolve.lineage import Run
from tests.command import SCRIPT, environment, evolve, evolve_json, ok

pytestmark = pytest.mark.integration

PRIMES = Path(__file__).parents[1] / "evaluators" / "worlds" / "primes"
AGENT = """
import os, re, sys
prompt, candidate = sys.stdin.read(), int(os.environ["EVOLVE_CANDIDATE"])
print(f"TITLE: answer {candidate}")
if "int main" in prompt:
    line = re.findall(r"    long count = .*", prompt)[-1]
    print(f"<<<<<<< SEARCH\\n{line}\\n=======\\n    long count = {candidate} - {candidate};\\n>>>>>>> REPLACE")
else:
    print(f"shape.py\\n```python\\ndef area(a, b):\\n    return a * b * {candidate}.0\\n```")
    print("sizes.py\\n<<<<<<< SEARCH\\nA = 2.0\\n=======\\n" + f"A = 2.0 + {candidate}\\n>>>>>>> REPLACE")
"""


def several(folder: Path) -> str:
    """Makes a problem whose candidates have three files, two of which may change."""
    (folder / "initial").mkdir(parents=True)
    (folder / "initial" / "main.py").write_text(
        "from shape import area\nfrom sizes import A\n\ndef f():\n    return area(A, 1.0)\n"
    )
    (folder / "initial" / "shape.py").write_text("def area(a, b):\n    return a * b\n")
    (folder / "initial" / "sizes.py").write_text("A = 2.0\nB = 1.0\n")
    (folder / "evaluator.py").write_text("def score(instance, output):\n    return output\n")
    (folder / "problem.yaml").write_text("entry: f\nedit: [shape.py, sizes.py]\n")
    return f"problem={folder}"


def command(folder: Path) -> list[str]:
    (folder / "agent.py").write_text(AGENT)
    return ["llm=command", f"llm.command={sys.executable} agent.py", "llm.concurrency=2"]


def test_a_candidate_of_several_files_is_changed_evaluated_and_shown(tmp_path):
    words = ["budget.candidates=4", "run_dir=R", "selection.parents.0.exponent=0", "selection.tuning=null", "seed=1"]
    ok("run", several(tmp_path / "several"), *command(tmp_path), *words, cwd=tmp_path)
    shown = evolve_json("show", "R", "2", cwd=tmp_path)
    assert shown["status"] == "ok" and shown["score"] == 2 * (2.0 + 2)
    assert set(shown["files"]) == {"main.py", "shape.py", "sizes.py"}
    assert "A = 2.0 + 2" in shown["files"]["sizes.py"] and "* 2.0" in shown["files"]["shape.py"]
    difference = ok("diff", "R", "1", "2", cwd=tmp_path)
    assert "1/shape.py" in difference and "2/sizes.py" in difference and "main.py" not in difference


@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_a_candidate_in_cpp_is_changed_built_evaluated_and_shown(tmp_path):
    words = ["budget.candidates=3", "run_dir=R", "seed=1"]
    ok("run", f"problem={PRIMES}", *command(tmp_path), *words, cwd=tmp_path)
    status = evolve_json("status", "R", cwd=tmp_path)
    assert status["candidates"]["ok"] == 3
    shown = evolve_json("show", "R", "2", cwd=tmp_path)
    assert shown["score"] == 1.0 and "long count = 2 - 2;" in shown["files"]["initial.cpp"]
    assert "int main" in ok("best", "R", cwd=tmp_path)


class Answering:
    """Answers a folder as long as it lives, each call once, after at least so many are pending."""

    def __init__(self, folder: Path):
        self.folder, self.answered, self.ended = folder, [], threading.Event()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while not self.ended.wait(0.02):
            for prompt in sorted(self.folder.glob("*.prompt.md")):
                reply = prompt.with_name(prompt.name.replace(".prompt.", ".reply."))
                if not reply.exists():
                    number = int(prompt.name[:6])
                    text = f"shape.py\n```python\ndef area(a, b):\n    return a * b + {number}\n```\n"
                    part = reply.with_suffix(".part")
                    part.write_text(f"TITLE: {number}\n{text}")
                    part.rename(reply)
                    self.answered.append(number)

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()


def calls(folder: Path) -> list[dict]:
    run = Run.open(folder / "R")
    rows = run.store.call_rows(run.run_id)
    run.store.close()
    return rows


def killed_when(words: list[str], cwd: Path, condition) -> None:
    """Starts a run and kills it with all that it started as soon as the condition holds."""
    running = subprocess.Popen(
        [SCRIPT, *words], cwd=cwd, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not condition():
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def test_a_folder_is_answered_although_the_run_was_killed_and_no_answer_is_lost(tmp_path):
    box = tmp_path / "box"
    box.mkdir()
    words = [several(tmp_path / "several"), "llm=spool", f"llm.dir={box}", "budget.candidates=12", "run_dir=R"]
    answering = Answering(box)
    killed_when(["run", *words], tmp_path, lambda: len(answering.answered) >= 4)
    answering.stop()
    pending = [row["id"] for row in calls(tmp_path) if row["state"] == "sent"]
    answering = Answering(box)  # answers while nobody runs
    deadline = time.monotonic() + 60
    while any(not (box / f"{call:06}.reply.md").exists() for call in pending) and time.monotonic() < deadline:
        time.sleep(0.01)
    ok("resume", "R", cwd=tmp_path)
    answering.stop()
    status = evolve_json("status", "R", cwd=tmp_path)
    assert (
        status["state"] == "finished" and status["candidates"]["asked"] == 12 and status["candidates"]["in_flight"] == 0
    )
    rows = calls(tmp_path)
    assert status["llm"]["lost"] == 0 and {row["state"] for row in rows} == {"done"}
    assert set(pending) <= {row["id"] for row in rows} and len(rows) == len(set(answering_ids(box)))


def answering_ids(box: Path) -> list[int]:
    return [int(path.name[:6]) for path in box.glob("*.prompt.md")]


def test_a_draft_can_be_tried_before_it_is_the_answer(tmp_path):
    words = [
        several(tmp_path / "several"),
        "llm=spool",
        "llm.dir=box",
        "llm.tries=1",
        "proposer.turns=1",
        "budget.candidates=1",
        "run_dir=R",
    ]
    running = subprocess.Popen([SCRIPT, "run", *words], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
    try:
        box = tmp_path / "box"
        while not list(box.glob("*.prompt.md")):
            assert running.poll() is None
            time.sleep(0.02)
        [prompt] = box.glob("*.prompt.md")
        call = str(int(prompt.name[:6]))
        assert "evolve try" in prompt.read_text() and f"--call {call}" in prompt.read_text()
        (tmp_path / "draft.md").write_text("shape.py\n```python\ndef area(a, b):\n    return a + b\n```\n")
        tried = evolve_json("try", "R", "draft.md", "--call", call, cwd=tmp_path)
        assert (tried["status"], tried["metrics"], tried["left"]) == ("ok", {"score": 3.0}, 0)
        again = evolve("try", "R", "draft.md", "--call", call, cwd=tmp_path)
        assert again.returncode == 1 and "has had its 1 tries" in again.stderr
        (box / "part").write_text((tmp_path / "draft.md").read_text())
        (box / "part").rename(box / prompt.name.replace(".prompt.", ".reply."))
        assert running.wait(60) == 0
    finally:
        running.kill()
    late = evolve("try", "R", "draft.md", "--call", call, cwd=tmp_path)
    assert late.returncode == 1 and "is finished: nobody is there to try it" in late.stderr
    assert [one["origin"] for one in evolve_json("show", "R", "2", cwd=tmp_path)["drafts"]] == ["try", "turn"]


def test_a_program_that_answers_goes_on_after_a_kill(tmp_path):
    (tmp_path / "agent.py").write_text("import time\ntime.sleep(0.1)\n" + AGENT)
    words = [several(tmp_path / "several"), *command(tmp_path)[:0], "budget.candidates=14", "run_dir=R"]
    words += ["llm=command", f"llm.command={sys.executable} agent.py", "llm.concurrency=2"]

    def done() -> int:
        if not (tmp_path / "R" / "run.json").exists():
            return 0
        return Counter(row["state"] for row in calls(tmp_path))["done"]

    killed_when(["run", *words], tmp_path, lambda: done() >= 4)
    ok("resume", "R", cwd=tmp_path)
    status = evolve_json("status", "R", cwd=tmp_path)
    assert (
        status["state"] == "finished" and status["candidates"]["asked"] == 14 and status["candidates"]["in_flight"] == 0
    )
    rows = [row for row in calls(tmp_path) if row["state"] == "done"]
    assert len({(row["candidate"], row["number"]) for row in rows}) == len(rows) and status["llm"]["lost"] <= 2
