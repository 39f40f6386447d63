"""The verbs for those who write problems, on problems of their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from evaluators import gpu
from evaluators.isolation import plan
from evolve.cli import dispatch
from evolve.cli.authoring import described
from evolve.errors import UsageError
from evolve.finding import find_problem, problem_names
from evolve.loading import load_problem

NOISY = """
def instances(stage, rng): return [int(rng.integers(1, 100))]
def score(instance, output): return float(instance.input)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/initial.py").write_text("def f(x):\n    return 1.0\n")
    (tmp_path / "mine/evaluator.py").write_text(NOISY)
    return tmp_path / "mine"


def test_a_mean_is_shown_with_its_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "problem.yaml").write_text("stages: {main: {replicates: 3, draw: paired}}\n")
    assert dispatch(["check", "./mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    scores = [stage["score"] for stage in found["stages"]]
    assert [stage["replicate"] for stage in found["stages"]] == [0, 1, 2] and len(set(scores)) > 1
    assert found["n"] == 3 and found["score"] == pytest.approx(sum(scores) / 3) and found["stderr"] > 0
    assert dispatch(["check", "./mine"]) == 0
    assert f"score {found['score']:.10g} ± {found['stderr']:.2g} (n = 3)" in capsys.readouterr().out


UNSTEADY = """
import time
def score(instance, output): return output + time.time_ns() % 1_000_003
"""


@pytest.mark.parametrize("words", [[], ["--candidate", "mine/initial.py"]])
def test_what_scores_otherwise_each_time_is_told_with_the_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    (folder / "evaluator.py").write_text(UNSTEADY)
    (folder / "initial.py").write_text("def f():\n    return 1.0\n")
    assert dispatch(["check", "./mine", "--json", *words]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["score"], len(found["stages"])) == ("suspect", None, 1)
    assert "two evaluations disagree" in found["feedback"] and "deterministic: false" in found["feedback"]
    (folder / "problem.yaml").write_text("deterministic: false\n")
    assert dispatch(["check", "./mine", "--json", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["n"], found["score"]) == ("ok", 1, found["stages"][0]["score"])


def test_what_needs_more_than_is_here_is_skipped_and_never_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "problem.yaml").write_text("requires: [no-such-compiler]\n")
    assert dispatch(["check", "./mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["stages"]) == ("skipped", [])
    assert found["feedback"] == "needs no-such-compiler, not found here"
    assert dispatch(["run", "problem=./mine", "run_dir=r"]) == 1
    assert "problem=mine: needs no-such-compiler, not found here; install it" in capsys.readouterr().err
    assert not Path("r").exists()
    about = described(load_problem("./mine"))
    assert (about["runs_here"], about["missing"]) == (False, ["no-such-compiler"])


@pytest.mark.skipif(bool(gpu.devices()), reason="this machine has a GPU")
def test_without_a_gpu_the_stages_that_need_none_are_checked_and_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "problem.yaml").write_text("stages: {quick: {}, main: {profile: gpu}}\n")
    found = json.loads(shown(["check", "./mine", "--json"], capsys))
    assert (found["status"], [stage["status"] for stage in found["stages"]]) == ("skipped", ["ok", "skipped"])
    assert "needs a GPU" in found["feedback"]
    value = found["stages"][0]["metrics"]["score"]
    assert f"score = {value:g}" in json.loads(shown(["prompt", "./mine", "--json"], capsys))["user"]
    assert dispatch(["run", "problem=./mine", "run_dir=r"]) == 1
    assert "problem=mine: needs gpu, not found here" in capsys.readouterr().err


def test_a_run_says_how_it_isolates_and_what_the_hold_out_came_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "problem.yaml").write_text("holdout: {instances: 4}\n")
    assert dispatch(["run", "problem=./mine", "budget.candidates=3", "run_dir=r", "evaluator.workers=1"]) == 0
    out = capsys.readouterr().out
    level = json.loads(shown(["status", "r", "--json"], capsys))["isolation"]
    assert out.splitlines()[0] == f"isolation: {level}" and f"isolation: {level}" in Path("r/log.txt").read_text()
    best = json.loads(shown(["best", "r", "--json"], capsys))
    assert best["holdout"]["status"] == "ok" and {stage["isolation"] for stage in best["stages"]} == {level}
    line = f"score {best['holdout']['metrics']['score']:.10g}  (candidate {best['id']}, instances 1)"
    assert f"Hold-out: {line}" in out and f"hold-out: {line}" in shown(["best", "r"], capsys)


def shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert dispatch(words) == 0
    return capsys.readouterr().out


SEVERAL = """
from evolve.problem import Instance, Result
def instances(stage, rng): return [Instance(k, name=f"case {k}") for k in range(3)]
def score(instance, output):
    return Result({"score": output}, feedback=f"{instance.input} items left", artifacts={"log": "a line"})
"""


def test_the_feedback_and_texts_of_several_instances_reach_the_prompt(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "evaluator.py").write_text(SEVERAL)
    user = json.loads(shown(["prompt", "./mine", "--json"], capsys))["user"]
    assert "Feedback:\ncase 0: 0 items left\ncase 1: 1 items left\ncase 2: 2 items left" in user
    assert user.count("log (text, 6 bytes):\n```\na line\n```") == 3


def test_a_run_from_nothing_without_a_best_has_a_next_prompt(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "initial.py").unlink()
    (folder / "problem.yaml").write_text("entry: f\nedit: [initial.py]\n")
    words = ["problem=./mine", "llm=command", "llm.command=/bin/false", "llm.attempts=1", "budget.candidates=1"]
    dispatch(["run", *words, "run_dir=r", "evaluator.workers=1"])
    capsys.readouterr()
    assert "## Parent" not in json.loads(shown(["prompt", "r", "--json"], capsys))["user"]


# ---------------------------------------------------------------- new


def test_what_new_writes_is_checked_without_advice_and_improves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "evolve run problem=deep/jobs" in shown(["new", "deep/jobs"], capsys)
    checked = json.loads(shown(["check", "deep/jobs", "--json"], capsys))
    assert (checked["status"], checked["advice"]) == ("ok", [])
    words = ["problem=deep/jobs", "budget.candidates=10", "run_dir=r", "evaluator.workers=1", "selection.tuning=null"]
    assert "Hold-out: lateness" in shown(["run", *words], capsys)
    best = json.loads(shown(["best", "r", "--json"], capsys))
    assert best["metrics"]["lateness"] < checked["metrics"]["lateness"]


def test_new_writes_over_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "initial.py").read_text()
    for place in ("mine", "mine/initial.py"):
        assert dispatch(["new", place]) == 2
        assert f"evolve: {place}: is there already and not empty; name a new folder" in capsys.readouterr().err
    assert (folder / "initial.py").read_text() == before


# ---------------------------------------------------------------- problems


def test_problems_are_listed_with_kind_language_objectives_and_why_one_can_t_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, monkeypatch, good="mine = pack.inner", bad="none = nowhere", empty="bare = pack.empty")
    listed = {entry["name"]: entry for entry in json.loads(shown(["problems", "--json"], capsys))["problems"]}
    facts = [listed["circle_packing"][name] for name in ("kind", "language", "objectives", "runs_here", "reason")]
    assert facts == ["construction", "python", {"sum_radii": "maximize"}, True, ""]
    assert (listed["tiny"]["kind"], listed["tiny"]["runs_here"]) == ("prompt", False)
    assert (listed["tiny"]["language"], listed["tiny"]["reason"]) == ("text", "needs no-such-compiler, not found here")
    assert "objectives.score is maximize or minimize, not 'up'" in listed["broken"]["reason"]
    for name in ("none = nowhere", "bare = pack.empty"):
        assert listed[name]["runs_here"] is False and "names no package that is installed" in listed[name]["reason"]
    assert "runs here: no (needs no-such-compiler, not found here)" in shown(["problems"], capsys)


def install(place: Path, monkeypatch: pytest.MonkeyPatch, **entry_points: str) -> None:
    """Installs a package `pack` with two problems (one of them broken) into a folder that is on the path."""
    texts = {
        "pack/__init__.py": "raise RuntimeError('nobody imports this')\n",
        "pack/empty/__init__.py": "",
        "pack/inner/tiny/initial.txt": "Be brief.\n",
        "pack/inner/tiny/evaluator.py": "def score(instance, output): return len(output)\n",
        "pack/inner/tiny/problem.yaml": "kind: prompt\nentry: text\nrequires: [no-such-compiler]\n",
        "pack/inner/broken/initial.py": "def f(): return 1\n",
        "pack/inner/broken/evaluator.py": "def score(instance, output): return output\n",
        "pack/inner/broken/problem.yaml": "objectives: {score: up}\n",
        "pack-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: pack\nVersion: 1\n",
        "pack-1.dist-info/entry_points.txt": "\n".join(["[evolve.problems]", *entry_points.values(), ""]),
    }
    for name, text in texts.items():
        (place / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "site" / name).write_text(text)
    monkeypatch.syspath_prepend(place / "site")


def test_an_installed_problem_has_a_name_that_must_be_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, good="mine = pack.inner")
    inner = tmp_path / "site" / "pack" / "inner"
    assert find_problem("tiny") == inner / "tiny" and "tiny" in problem_names()
    reads_all = replace(load_problem("cap_set"), mounts=(str(tmp_path / "site"),))
    assert str(tmp_path / "site" / "pack") in plan("bare", reads_all, "")["hidden"]
    (inner / "broken").rename(inner / "cap_set")
    with pytest.raises(
        UsageError, match=r"problem=cap_set: 2 problems have that name; give a folder: \S+, \S+inner/cap_set"
    ):
        find_problem("cap_set")


# ---------------------------------------------------------------- advise

ECHO = ["llm=command", "llm.command=cat"]


def test_advice_is_asked_of_a_model_which_is_shown_the_folder_and_a_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hidden").mkdir()
    (folder / "hidden/labels.txt").write_text("the secret label\n")
    (folder / "problem.md").write_text("Write f." + " Do." * 10_000)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    advised = json.loads(shown(["advise", "mine", *ECHO, "--json"], capsys))
    system, user = advised["advice"].split("\n---\n", 1)
    assert "Missing feedback:" in system and "Leaks and holes:" in system
    assert f"=== evaluator.py ({len(NOISY)} bytes)\n{NOISY}" in user and "def f(x):\n    return 1.0\n" in user
    assert "=== problem.md (40,008 bytes, the first 20,000 characters)" in user
    assert "=== hidden/labels.txt (17 bytes, not shown)" in user and "the secret label" not in user
    assert '"status": "ok"' in user and "all score as it does" in user
    assert advised["cost_usd"] is None and advised["model"] == "command" and advised["tokens_in"] > 1000
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            [],
            2,
            "llm=offline: advice takes a language model ('evolve check mine' finds what needs none); choose one of",
        ),
        (["seed=1"], 2, "seed=1: not a key of this command"),
        ([*ECHO, "budget.usd=3"], 2, "budget.usd=3: command has no known price"),
        (["llm=command", "llm.command=sh -c 'exit 3'", "llm.attempts=1"], 1, "llm.command: sh ended with 3"),
    ],
)
def test_what_can_not_advise_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    (folder / "problem.yaml").write_text("requires: [no-such-compiler]\n")
    assert dispatch(["advise", "mine", *words]) == code
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_names_are_shown_as_they_are_and_can_be_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dispatch(["new", "./[b] x"]) == 0
    assert "\n    evolve check '[b] x'\n" in capsys.readouterr().out
    assert dispatch(["new", "cap_set"]) == 0
    assert "\n    evolve check ./cap_set\n" in capsys.readouterr().out  # which a problem that ships has for a name
    assert dispatch(["run", "problem=./[b] x", "budget.candidates=1", "evaluator.workers=1", "run_dir=[i] r"]) == 0
    out = capsys.readouterr().out
    assert "The run is [i] r\n" in out and "\n  evolve best '[i] r'  " in out
