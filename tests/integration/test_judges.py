"""Runs whose evaluations ask a model: through a server, with one of everything, and no key where candidates run."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evolve.lineage import Run
from tests.command import SCRIPT, environment, evolve_json, ok
from tests.llm_server import LLMServer, Reply, Request

pytestmark = pytest.mark.integration

EVALUATOR = """
def score(instance, output, lm):
    answers = lm(f"Rate {output!r}", system="You rate numbers.", n=2)
    return sum(map(float, answers)) + output

def model(prompt, system):
    return str(len(prompt))
"""
INITIAL = "def f():\n    return 1.5 + 0.25\n"
ONE_OF_EACH = ("llm.concurrency=1", "llm.evaluation_concurrency=1", "evaluator.workers=1", "evaluator.queue=1")


@pytest.fixture
def problem(tmp_path: Path) -> str:
    folder = tmp_path / "rated"
    folder.mkdir()
    (folder / "evaluator.py").write_text(EVALUATOR)
    (folder / "initial.py").write_text(INITIAL)
    (folder / "problem.yaml").write_text("stages: {judge: {timeout_s: 5}}\n")
    return f"problem={folder}"


def rating(index: int, request: Request) -> Reply | str:
    """Answers a judge's call with a number, a proposer's with an edit."""
    judging = any("You rate numbers." in str(message["content"]) for message in request.body["messages"])
    return Reply(text="0.5", latency_s=0.05) if judging else Reply(latency_s=0.01)


def model(server: LLMServer) -> tuple[str, ...]:
    return ("llm=litellm", "llm.model=openai/test", f"llm.api_base={server.api_base}")


def descendants(pid: int) -> list[int]:
    """Returns the processes below one, whatever sessions they made."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            child, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(child)
    found, queue = [], [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def holds(pid: int, key: bytes) -> bool | None:
    """Says whether a process has a text in its environment or its writable memory; None for one that is gone or shut."""
    try:
        if key in Path(f"/proc/{pid}/environ").read_bytes():
            return True
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for span, rights, *_ in (line.split() for line in maps):
                if not rights.startswith("rw"):
                    continue
                start, end = (int(at, 16) for at in span.split("-"))
                try:
                    memory.seek(start)
                    content = memory.read(end - start)
                except (OSError, OverflowError, ValueError):
                    continue  # unmapped since, or the kernel's own
                if key in content:
                    return True
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return False


def role(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return "worker" if b"evaluators.worker" in words else "harness" if b"harness" in words else "other"


def test_one_slot_of_everything_fifty_candidates_and_no_key_below_the_driver(tmp_path: Path, problem: str) -> None:
    key = f"sk-{secrets.token_hex(16)}"
    seen: Counter[tuple[str, bool]] = Counter()
    with LLMServer(rating) as server:
        words = [SCRIPT, "run", problem, "budget.candidates=50", "run_dir=R", *ONE_OF_EACH, *model(server)]
        run = subprocess.Popen(words, cwd=tmp_path, env=environment(OPENAI_API_KEY=key), stdout=subprocess.DEVNULL)
        try:
            for moment in (6, 30, 70):
                assert server.wait_requests(moment, 120)
                assert holds(run.pid, key.encode())  # the scan finds a key where there is one
                for pid in descendants(run.pid):
                    found = holds(pid, key.encode())
                    if found is not None:
                        seen[role(pid), found] += 1
            assert run.wait(300) == 0
        finally:
            run.kill()
            run.wait()
        assert any(f"Bearer {key}" in request.headers.get("authorization", "") for request in server.requests)
    assert not any(found for _, found in seen) and seen["worker", False] >= 3
    assert (
        seen["harness", False] >= 4 or os.geteuid()
    )  # as root all can be read: the zygote each time, and a candidate that waits for its judge
    status = evolve_json("status", "R", cwd=tmp_path)
    assert status["state"] == "finished" and status["candidates"]["asked"] == 50
    evaluated = sum(n for name, n in status["candidates"].items() if name in ("ok", "rejected"))
    assert evaluated > 25 and status["llm"]["evaluation"]["calls"] >= evaluated


def test_killed_between_judgements_it_buys_none_twice(tmp_path: Path, problem: str) -> None:
    with LLMServer(rating) as server:
        words: list[str] = ["run", problem, "budget.candidates=25", "run_dir=R", "llm.concurrency=2", *model(server)]
        for requests in (9, 22, 41):
            run = subprocess.Popen([SCRIPT, *words], cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL)
            assert server.wait_requests(requests, 120)
            run.kill()
            run.wait()
            time.sleep(0.1)
            words = ["resume", "R"]
        ok("resume", "R", cwd=tmp_path)
        assert len(server.calls) == len(set(server.calls))
    run_ = Run.open(tmp_path / "R")
    rows = [row for row in run_.store.call_rows(run_.run_id) if row["purpose"] == "evaluate"]
    done = Counter(
        (row["candidate"], row["stage"], row["replicate"], row["instance"], row["number"])
        for row in rows
        if row["state"] == "done"
    )
    assert max(done.values()) == 1 and sum(row["state"] == "lost" for row in rows) <= 3 * 2
    assert evolve_json("status", "R", cwd=tmp_path)["candidates"]["in_flight"] == 0


def test_offline_the_problems_model_answers_and_ordered_runs_are_equal(tmp_path: Path, problem: str) -> None:
    exports = set()
    for workers in (1, 2):
        words = ("schedule=ordered", "budget.candidates=30", f"evaluator.workers={workers}", f"run_dir=w{workers}")
        ok("run", problem, *words, cwd=tmp_path)
        exports.add(ok("export", f"w{workers}", "--to", "jsonl", "--no-measured", cwd=tmp_path))
    assert len(exports) == 1
    assert evolve_json("status", "w1", cwd=tmp_path)["llm"]["evaluation"]["calls"] == 0


def test_status_shows_judge_calls_and_what_they_cost(tmp_path: Path, problem: str) -> None:
    with LLMServer(rating) as server:
        price = "llm.price={input_usd_per_mtok: 1000, output_usd_per_mtok: 1000}"
        words: list[Any] = ["budget.candidates=5", "run_dir=R", price, "budget.usd=50", *model(server)]
        assert "judge calls" in ok("run", problem, *words, cwd=tmp_path)
    llm = evolve_json("status", "R", cwd=tmp_path)["llm"]
    assert 0 < llm["evaluation"]["cost_usd"] < llm["cost_usd"]
    assert "judge calls" in ok("status", "R", cwd=tmp_path)
    assert (
        json.loads(ok("lineage", "R", "2", "--json", cwd=tmp_path))["ancestors"][-1]["calls"][-1]["purpose"]
        == "evaluate"
    )
