"""Whole runs through the installed command with each way to a model: an ensemble in a storm, a program, a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evolve.lineage import Run
from tests.command import SCRIPT, environment, evolve, evolve_json, ok
from tests.llm_server import LLMServer, Reply, Request

pytestmark = pytest.mark.integration

PLAIN = ["problem=circle_packing", "seed=1", "selection.tuning=null", "proposer.turns=1"]
RUN = ["run", *PLAIN, "run_dir=R", "evaluator=local"]
AGENT = "import sys; from tests.llm_server import edit; print(edit(sys.stdin.read(), __import__('os').environ['EVOLVE_CALL']))"
KEY = "kx-93hf82hqwe7"


def rows(folder: Path) -> list[dict]:
    run = Run.open(folder / "R")
    found = run.store.call_rows(run.run_id)
    run.store.close()
    return found


def finished(folder: Path, candidates: int) -> dict[str, int]:
    status = evolve_json("status", "R", cwd=folder)
    assert status["state"] == "finished" and status["candidates"]["asked"] == candidates
    assert status["candidates"]["in_flight"] == 0 and "infra" not in status["candidates"]
    return status


def test_an_ensemble_goes_on_while_one_of_its_models_is_down_and_one_is_locked(tmp_path):
    def stormy(index: int, request: Request) -> Reply:
        return Reply(status=429, retry_after_s=0.2) if index % 3 == 0 else Reply()

    refused = Reply(status=401, message=f"Incorrect API key provided: {KEY}")
    with LLMServer(stormy) as one, LLMServer([refused], cycle=True) as two, LLMServer() as three:
        models = ", ".join(
            f"{{model: openai/{name}, api_base: {server.api_base}, weight: {weight}}}"
            for name, server, weight in (("stormy", one, 0.6), ("locked", two, 0.2), ("calm", three, 0.2))
        )
        said = ok(
            *RUN, "llm=ensemble", f"llm.models=[{models}]", "budget.candidates=30", cwd=tmp_path, OPENAI_API_KEY=KEY
        )
    finished(tmp_path, 30)
    done = [row["model"] for row in rows(tmp_path) if row["state"] == "done"]
    assert len(done) == 30 and set(done) == {"openai/stormy", "openai/calm"}
    assert said.count("it is asked no more") == 1
    kept = said + "".join(row["error"] for row in rows(tmp_path)) + (tmp_path / "R" / "log.txt").read_text()
    assert KEY not in kept and "***" in kept


def test_a_storm_that_hits_the_only_model_costs_no_candidate(tmp_path):
    def stormy(index: int, request: Request) -> Reply:
        return Reply(status=500) if 8 <= index < 15 else Reply()

    with LLMServer(stormy) as server:
        words = ["llm=litellm", "llm.model=openai/test", f"llm.api_base={server.api_base}", "llm.concurrency=4"]
        said = ok(*RUN, *words, "budget.candidates=20", cwd=tmp_path)
    finished(tmp_path, 20)
    assert said.count("no model answers; the next try is in 5 s") == 1


def test_requests_per_minute_are_kept(tmp_path):
    with LLMServer() as server:
        words = [
            "llm=litellm",
            "llm.model=openai/test",
            f"llm.api_base={server.api_base}",
            "llm.requests_per_minute=120",
        ]
        ok(*RUN, *words, "budget.candidates=8", cwd=tmp_path)
    sent = sorted(row["sent_at"] for row in rows(tmp_path))  # litellm's first call takes its time to arrive
    assert len(sent) == len(server.requests) == 8 and sent[-1] - sent[0] > 0.45 * 7


def test_a_program_of_ones_own_is_a_model(tmp_path):
    (tmp_path / "agent.py").write_text(AGENT)
    root = str(Path(__file__).parents[2])
    ok(
        *RUN,
        "llm=command",
        f"llm.command={sys.executable} agent.py",
        "budget.candidates=6",
        cwd=tmp_path,
        PYTHONPATH=root,
    )
    assert finished(tmp_path, 6)["llm"]["cost_usd"] is None
    refused = evolve(*RUN[:-2], "run_dir=S", "llm=command", "llm.command=cat", "budget.usd=1", cwd=tmp_path)
    assert refused.returncode == 2 and "command has no known price" in refused.stderr


def test_a_folder_is_answered_from_elsewhere_and_its_cost_is_the_runs(tmp_path):
    words = [SCRIPT, *RUN, "llm=spool", "llm.dir=box", "budget.candidates=8"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        price = "llm.price={input_usd_per_mtok: 1.0, output_usd_per_mtok: 1.0}"
        with LLMServer() as server:
            while not list(tmp_path.glob("box/*.prompt.md")):
                assert running.poll() is None
            model = ["llm=litellm", "llm.model=openai/test", f"llm.api_base={server.api_base}", price]
            serving = subprocess.Popen([SCRIPT, "answer", "box", *model], cwd=tmp_path, env=environment())
            assert running.wait(120) == 0
            serving.terminate()
            assert serving.wait(30) == 0
    finally:
        running.kill()
        running.stdout.close()
    status = finished(tmp_path, 8)
    assert status["llm"]["calls"] == 8 and status["llm"]["cost_usd"] > 0
    assert {row["model"] for row in rows(tmp_path)} == {"spool"}
    again = evolve(*RUN[:-2], "run_dir=S", "llm=spool", "llm.dir=box", "budget.candidates=2", cwd=tmp_path)
    assert again.returncode == 1 and "holds the calls of run" in again.stderr + again.stdout
