"""The problems that ask a model, through a model's server: better candidates come out, and the hold-out is in no prompt."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from evolve.folder import bundled_root
from evolve.lineage import Run
from evolve.problem import Stage
from tests.command import evolve_json, ok
from tests.llm_server import PARENT, LLMServer, Request

pytestmark = pytest.mark.integration


def referee(problem: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{problem}_evaluator", bundled_root() / problem / "evaluator.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def next_rule(request: Request) -> str:
    """Answers with the parent's prompt and the first rule of the feedback that it lacks."""
    parent = PARENT.search(request.user)["program"]
    told = [rule for rule in re.findall(r"The desk: (If .*)", request.user) if rule not in parent]
    return f"TITLE: one more rule\nHYPOTHESIS: It was missing.\n\n```markdown\n{parent}{told[0]}\n```\n"


def more_steps(request: Request) -> str:
    """Answers with a block that raises the limit of steps by one."""
    line = re.search(r"most_steps = (\d)(.*)", request.user)
    return (
        "TITLE: one more step\nHYPOTHESIS: Questions have up to four.\n\nagent.py\n<<<<<<< SEARCH\n"
        f"    {line[0]}\n=======\n    most_steps = {int(line[1]) + 1}{line[2]}\n>>>>>>> REPLACE\n"
    )


def phrases(judge: ModuleType, stage: str) -> set[str]:
    """Returns pairs of words that a stage's instances say, whatever their draw."""
    found = judge.instances(Stage(name=stage), np.random.Generator(np.random.PCG64(0)))
    return {pair for one in found for pair in re.findall(r"[a-z]{4,} [a-z]{4,}", one.input)}


@pytest.mark.parametrize(
    ("problem", "proposal", "words"),
    [
        ("prompt_triage", next_rule, ["budget.candidates=8", "stage.main.instances=26"]),
        ("agent_qa", more_steps, ["budget.candidates=1"]),
    ],
)
def test_a_model_proposes_and_is_asked(
    tmp_path: Path, problem: str, proposal: Callable[[Request], str], words: list[str]
) -> None:
    judge, prompts = referee(problem), list[str]()

    def script(index: int, request: Request) -> str:
        if "## Parent" in request.text:
            prompts.append(request.text)
            return proposal(request)
        system = "".join(m["content"] for m in request.body["messages"] if m["role"] == "system")
        return judge.model(request.user, system)

    with LLMServer(script) as server:
        model = ("llm=litellm", "llm.model=openai/test", f"llm.api_base={server.api_base}", "llm.concurrency=1")
        ok("run", f"problem={problem}", "selection=refinement", *model, *words, "run_dir=R", cwd=tmp_path)
    best, first = evolve_json("best", "R", cwd=tmp_path), evolve_json("show", "R", "1", cwd=tmp_path)
    assert best["score"] > first["score"] and best["parent"]
    assert evolve_json("status", "R", cwd=tmp_path)["holdout"]["status"] == "ok"

    run = Run.open(tmp_path / "R")
    purposes = Counter(row["purpose"] for row in run.store.call_rows(run.run_id) if row["state"] == "done")
    assert len(prompts) == purposes["propose"] and purposes["evaluate"] > 100
    held = phrases(judge, "holdout") - phrases(judge, "main")
    assert len(held) > 3 and not [pair for pair in held if any(pair in prompt for prompt in prompts)]
