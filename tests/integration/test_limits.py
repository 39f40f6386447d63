"""Whole runs through a model's server that is slow, refuses, stalls or breaks off: budgets hold, what passes is waited out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evolve.api import run
from evolve.lineage import Run
from tests.llm_server import LLMServer, Rate, Reply, Request, Storm

pytestmark = pytest.mark.integration

SLOTS = 8
BUDGET_USD = 0.5
PRICE = "llm.price={input_usd_per_mtok: 1.0, output_usd_per_mtok: 8.0}"
FAULTS = [Reply.parse(word) for word in ("429", "500", "empty", "malformed", "cut", "drop", "stall", "drip")]
FAULTS += [Reply(body=b'{"choices": []}'), Reply(status=502, body=b"<html>Bad gateway</html>"), Reply(text="No idea.")]
WITH_FAULTS = [reply for fault in FAULTS for reply in (fault, Reply(), Reply())]


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Run]:
    """Runs a problem that costs nearly nothing through the server; takes further words."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "evaluator.py").write_text("def score(instance, output):\n    return output\n")
    (folder / "initial.py").write_text("def f():\n    return 1.5 + 0.25\n")
    (folder / "problem.yaml").write_text("stages: {main: {timeout_s: 10}}\n")
    model = (
        "llm=litellm",
        "llm.model=openai/test",
        f"llm.concurrency={SLOTS}",
        "llm.max_tokens=1000",
        "selection.tuning=null",
    )

    def started(server: LLMServer, *words: str) -> Run:
        return run(folder, [*model, f"llm.api_base={server.api_base}", f"run_dir={tmp_path / 'run'}", *words])

    return started


def rows(run: Run) -> list[Any]:
    return run.store.call_rows(run.run_id)


def spent_usd(run: Run) -> float:
    """Returns what the answers cost, and what calls without one may have cost."""
    return sum(row["cost_usd"] if row["state"] == "done" else row["reserved_usd"] or 0.0 for row in rows(run))


def assert_used_up(run: Run) -> None:
    """Asserts that a run ended since the next call might have cost more than was left, and never had more out than that."""
    status, made = run.status(), rows(run)
    left = BUDGET_USD - spent_usd(run)
    assert status["state"] == "finished" and status["reason"].startswith("budget.usd"), status
    assert 0 <= left < max(row["reserved_usd"] for row in made if row["state"] == "done")
    assert most_held_usd(made) <= BUDGET_USD + 1e-9


def most_held_usd(made: list[Any]) -> float:
    """Returns the most that was spent and reserved at any time, by when each call was sent and ended."""
    changes = []
    for row in made:
        ends = row["sent_at"] + row["seconds"]
        kept = row["cost_usd"] if row["state"] == "done" else row["reserved_usd"] or 0.0
        reserved = row["reserved_usd"] or 0.0  # a failed call's is gone from its row, unless it may have been billed
        changes += [(row["sent_at"], 1, reserved), (ends, 0, kept - reserved)]
    held = most = 0.0
    for _, _, change in sorted(changes):
        held += change
        most = max(most, held)
    return most


def assert_complete(run: Run, candidates: int) -> dict[str, int]:
    """Asserts that a run finished with all its candidates, none lost to the model's faults; returns its counts."""
    counts = run.status()["candidates"]
    assert run.state() == "finished", (run.row()["reason"], counts)
    assert counts["asked"] == candidates and counts["in_flight"] == 0 and "infra" not in counts, counts
    return counts


def failed(run: Run) -> list[Any]:
    return [row for row in rows(run) if row["state"] == "failed"]


# ---------------------------------------------------------------- budgets


def test_dollars_are_used_up_and_never_exceeded(search: Callable[..., Run]) -> None:
    with LLMServer(
        lambda i, request: Reply(tokens_out=200 + i * 37 % 800), latency_s=0.02, latency_sigma=0.8
    ) as server:
        found = search(server, PRICE, f"budget.usd={BUDGET_USD}", "budget.candidates=100000")
    assert_used_up(found)
    assert len(rows(found)) > 50


def test_an_answer_that_costs_all_that_it_may_fits(search: Callable[..., Run]) -> None:
    """The tokens that a server says are at most the prompt's bytes and llm.max_tokens; here they are exactly that."""

    def greedy(index: int, request: Request) -> Reply:
        return Reply(tokens_in=len(request.text.encode()) + 250, tokens_out=1000, latency_s=0.01)

    with LLMServer(greedy) as server:
        found = search(server, PRICE, f"budget.usd={BUDGET_USD}", "budget.candidates=100000")
    assert_used_up(found)


def test_faults_count_what_they_may_have_cost(search: Callable[..., Run]) -> None:
    with LLMServer(WITH_FAULTS, cycle=True, latency_s=0.02, latency_sigma=0.8) as server:
        words = (PRICE, f"budget.usd={BUDGET_USD}", "budget.candidates=100000", "llm.timeout_s=1")
        found = search(server, *words)
    assert_used_up(found)
    assert any(row["reserved_usd"] for row in failed(found)) and any(not row["reserved_usd"] for row in failed(found))


def test_faults_change_nothing_about_how_many_candidates_are_asked(search: Callable[..., Run]) -> None:
    with LLMServer(WITH_FAULTS, cycle=True, latency_s=0.02) as server:
        found = search(server, "budget.candidates=60", "proposer.turns=1", "llm.timeout_s=1", "llm.attempts=50")
    assert_complete(found, 60)
    done = [row["candidate"] for row in rows(found) if row["state"] == "done"]
    assert len(done) == len(set(done)) == 60


def test_tokens_end_a_run_within_what_was_in_flight(search: Callable[..., Run]) -> None:
    budget, each = 20_000, 500
    with LLMServer(lambda index, request: Reply(tokens_in=400, tokens_out=100, latency_s=0.01)) as server:
        found = search(server, f"budget.tokens={budget}", "budget.candidates=100000")
    used = found.status()["llm"]["tokens_in"] + found.status()["llm"]["tokens_out"]
    assert budget <= used < budget + SLOTS * each


# ---------------------------------------------------------------- stalls


@pytest.mark.parametrize("fault", ["stall", "drip"])
def test_a_stalled_call_ends_at_its_deadline_and_the_run_goes_on(search: Callable[..., Run], fault: str) -> None:
    replies = [Reply(fault=fault) if index in (2, 9, 10) else Reply() for index in range(12)]
    with LLMServer(replies) as server:
        found = search(server, "budget.candidates=20", "proposer.turns=1", "llm.timeout_s=1.5")
    assert assert_complete(found, 20)["ok"] == 20
    assert len(failed(found)) == 3 and len(rows(found)) == 23
    for row in failed(found):
        assert "llm.timeout_s=1.5" in row["error"] and 1.4 < row["seconds"] < 3


def test_a_stall_in_every_slot_is_waited_out(search: Callable[..., Run]) -> None:
    with LLMServer([Reply(fault="stall")] * SLOTS) as server:
        found = search(server, "budget.candidates=20", "llm.timeout_s=4")
    assert_complete(found, 20)
    assert len(failed(found)) == SLOTS


# ---------------------------------------------------------------- storms


def test_storms_of_429_and_500_are_waited_out(search: Callable[..., Run]) -> None:
    """Longer than all attempts at one call take."""
    refused, broken = Reply(status=429, retry_after_s=0.5), Reply(status=500)
    storms = [Storm(reply=refused, seconds=(0.0, 4.0)), Storm(reply=broken, seconds=(4.0, 25.0))]
    with LLMServer(storms=storms, latency_s=0.02) as server:
        found = search(server, "budget.candidates=40")
    assert assert_complete(found, 40)["ok"] == 40
    assert failed(found)


def test_the_first_requests_are_refused_and_the_next_fail(search: Callable[..., Run]) -> None:
    refused, broken = Reply(status=429, retry_after_s=0.5), Reply(status=500)
    storms = [Storm(reply=refused, calls=range(SLOTS)), Storm(reply=broken, calls=range(SLOTS, SLOTS + 2))]
    with LLMServer(storms=storms, latency_s=0.02) as server:
        found = search(server, "budget.candidates=40")
    assert assert_complete(found, 40)["ok"] == 40
    assert len(failed(found)) == SLOTS + 2


@pytest.mark.parametrize("status", [429, 503])
def test_an_outage_in_the_middle_is_waited_out(search: Callable[..., Run], status: int) -> None:
    outage = Storm(reply=Reply(status=status, retry_after_s=1.0 if status == 429 else None), seconds=(1.0, 9.0))
    with LLMServer(storms=[outage], latency_s=0.2) as server:
        found = search(server, "budget.candidates=60")
    assert assert_complete(found, 60)["ok"] == 60
    assert failed(found)


def test_a_rate_that_the_slots_exceed_loses_no_candidate(search: Callable[..., Run]) -> None:
    with LLMServer(rate=Rate(requests=6, window_s=1.0)) as server:
        found = search(server, "budget.candidates=40")
    assert assert_complete(found, 40)["ok"] == 40
    assert all("429" in row["error"] for row in failed(found))
