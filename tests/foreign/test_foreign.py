"""Folders in the formats of OpenEvolve, SkyDiscover and ShinkaEvolve run without a change to them, nor by them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from evaluators import LocalPool, StageJob
from evolve.cli import dispatch
from evolve.errors import ProblemError, UsageError
from evolve.finding import find_problem
from evolve.loading import load_problem
from evolve.problem import Problem
from evolve.search.thresholds import rules
from evolve.types import StageOutcome

FOLDERS = Path(__file__).parent / "folders"
SCORES = {
    "openevolve/staircase": 0.75,
    "openevolve/line": 1.0,
    "openevolve/diary": 13.0,
    "skydiscover/slogan": 0.25,
    "skydiscover/child": 0.5,
    "skydiscover/keyed": 3.0,
    "shinka/product": 0.06,
    "shinka/tour": -2 - 2 * 2**0.5,
    "shinka/recorder": 2.0,
}
KEY = "KEYED_SCORE_KEY"
SLOGAN = "<<<<<<< SEARCH\nBuy our bread.\n=======\nFresh bread.\n>>>>>>> REPLACE"


FORGED = """import contextlib, os
    for place in range(3, 20):
        with contextlib.suppress(OSError):
            os.write(place, b'{"metrics": {"combined_score": 1}, "binary": {"picture": "x"}}')
    os._exit(0)"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalPool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        pool = LocalPool(1)
        await pool.start()
        yield pool
        await pool.close()


@pytest.fixture
def measure(pool: LocalPool) -> Callable[..., Awaitable[StageOutcome]]:
    """Runs one stage (the last) of a program in the sandbox; without a text, of the initial program."""

    async def measure(problem: Problem, text: str | None = None, stage: str = "") -> StageOutcome:
        files = problem.initials[0] if text is None else {problem.edit[0]: text}
        return await pool.run(StageJob(problem=problem, stage=stage or problem.stages[-1].name, files=files))

    return measure


def copied(name: str, to: Path) -> Path:
    return Path(shutil.copytree(FOLDERS / name, to / Path(name).name))


def made(to: Path, evaluator: str, program: str = "X = 1.0\n", **files: str) -> Path:
    """Writes an OpenEvolve folder."""
    folder = to / "made"
    folder.mkdir()
    for name, text in {"initial_program.py": program, "evaluator.py": evaluator, **files}.items():
        (folder / name).write_text(text)
    return folder


def content(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(
            f"{path.relative_to(folder)}{path.read_bytes() if path.is_file() else b''}".encode("latin-1", "replace")
        )
    return digest.hexdigest()


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert dispatch([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


# ---------------------------------------------------------------- they run


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", SCORES)
async def test_a_folder_scores_and_stays_as_it_was(name, measure, tmp_path):
    folder = copied(name, tmp_path)
    before = content(folder)
    problem = load_problem(str(folder))
    for stage in problem.stages:
        outcome = await measure(problem, stage=stage.name)
        assert outcome.status == "ok", outcome.feedback
    assert outcome.metrics["combined_score"] == pytest.approx(SCORES[name])
    assert (problem.name, problem.folder, problem.trust) == (folder.name, folder, "shared")
    assert content(folder) == before == content(FOLDERS / name)


@pytest.mark.parametrize("name", ["openevolve/staircase", "shinka/product"])
def test_a_run_improves_it_and_every_view_says_that_trust_is_shared(name, tmp_path, capsys):
    folder = copied(name, tmp_path)
    words = ["budget.candidates=6", "selection.tuning=null", "evaluator.workers=1", "schedule=ordered", "run_dir=a"]
    assert dispatch(["run", f"problem=./{folder.name}", *words]) == 0
    assert "trust: shared: evaluator and candidate are in one sandbox" in capsys.readouterr().out
    best = printed(capsys, "best", "a")
    assert best["metrics"]["combined_score"] > SCORES[name] and list(best["files"]) == [f"{_initial(folder)}"]
    for verb in (["status", "a"], ["best", "a"], ["show", "a", "1"]):
        assert printed(capsys, *verb)["trust"] == "shared"
        assert dispatch(verb) == 0 and "trust: shared" in capsys.readouterr().out
    assert dispatch(["runs"]) == 0 and "trust: shared" in capsys.readouterr().out
    assert dispatch(["prompt", "a"]) == 0
    assert f"Given to an evaluator: `{_initial(folder)}`" in capsys.readouterr().out
    (folder / "new.txt").write_text("another content")
    assert dispatch(["resume", "a", "budget.candidates=7"]) == 1
    assert f"restore {folder} as it was" in capsys.readouterr().err


def _initial(folder: Path) -> str:
    return next(folder.glob("initial*")).name


@pytest.mark.integration
@pytest.mark.parametrize("name", SCORES)
def test_every_folder_is_checked_and_run(name, tmp_path, capsys):
    folder = copied(name, tmp_path)
    found = printed(capsys, "check", str(folder))
    assert (found["status"], found["trust"], found["score"]) == ("ok", "shared", pytest.approx(SCORES[name]))
    words = ["budget.candidates=4", "selection.tuning=null", "run_dir=a"]
    if name == "skydiscover/slogan":  # the offline proposer changes Python alone
        (tmp_path / "answer.py").write_text(f"print({SLOGAN!r})")
        words += ["llm=command", f"llm.command=[{sys.executable}, answer.py]"]
    assert dispatch(["run", f"problem={folder}", *words]) == 0
    capsys.readouterr()
    assert printed(capsys, "best", "a")["score"] >= SCORES[name]
    assert content(folder) == content(FOLDERS / name)


def test_a_check_says_that_trust_is_shared(capsys):
    assert dispatch(["check", str(FOLDERS / "shinka/product")]) == 0
    told = capsys.readouterr()
    assert "product: ok  trust: shared" in told.out and "equal parts are best" in told.out
    assert "a candidate can forge its score" in told.err


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "evaluator",
    [
        "from helper import found as evaluate\n",
        "try:\n    from nowhere import evaluate\nexcept ImportError:\n    from helper import found as evaluate\n",
        "evaluate = lambda path: {'combined_score': 2.0}\n",
        "import helper\nevaluate = helper.found\nif __name__ == '__main__':\n    score = evaluate('x')\n",
        "import asyncio\nasync def evaluate(path):\n    await asyncio.sleep(0)\n    return {'combined_score': 2.0}\n",
        "from helper import later\ndef evaluate(path):\n    return later(path)\n",
    ],
)
async def test_an_evaluate_that_is_not_defined_in_place_is_called_too(evaluator, measure, tmp_path):
    helper = "def found(path):\n    return {'combined_score': 2.0}\nasync def later(path):\n    return found(path)\n"
    outcome = await measure(load_problem(str(made(tmp_path, evaluator, **{"helper.py": helper}))))
    assert (outcome.status, outcome.score) == ("ok", 2.0), outcome.feedback


@pytest.mark.asyncio(loop_scope="module")
async def test_stages_and_main_may_be_asynchronous_or_imported(measure, tmp_path):
    stages = "async def evaluate_stage1(path):\n    return {'a': 1}\nfrom helper import evaluate_stage2, evaluate\n"
    helper = "def evaluate(path): ...\nasync def evaluate_stage2(path):\n    return {'combined_score': 3.0}\n"
    problem = load_problem(str(made(tmp_path, stages, **{"helper.py": helper})))
    assert [stage.name for stage in problem.stages] == ["stage1", "stage2"]
    assert [(await measure(problem, stage=stage.name)).score for stage in problem.stages] == [1.0, 3.0]
    folder = copied("shinka/product", tmp_path)
    (folder / "evaluate.py").rename(folder / "old.py")
    (folder / "evaluate.py").write_text(
        "import old\nasync def main(program, results):\n    old.main(program, results)\n"
    )
    assert (await measure(load_problem(str(folder)))).score == pytest.approx(SCORES["shinka/product"])
    (folder / "evaluate.py").write_text("from old import main\n")
    assert (await measure(load_problem(str(folder)))).score == pytest.approx(SCORES["shinka/product"])


@pytest.mark.asyncio(loop_scope="module")
async def test_what_an_asynchronous_evaluator_raises_is_shown_with_its_own_frames(measure, tmp_path):
    problem = load_problem(str(made(tmp_path, "async def evaluate(path):\n    return 1 / 0\n")))
    outcome = await measure(problem)
    assert outcome.status == "crash" and "ZeroDivisionError" in outcome.feedback
    assert "asyncio" not in outcome.feedback and "runner.py" not in outcome.feedback


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "left",
    [
        "asyncio.create_task(stubborn())\n    await asyncio.sleep(0)",
        "asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)",
    ],
)
async def test_what_an_asynchronous_evaluator_left_is_not_waited_for(left, measure, tmp_path):
    evaluator = f"""import asyncio, threading

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def evaluate(path):
    {left}
    return {{"combined_score": 1.0}}
"""
    folder = made(tmp_path, evaluator, **{"config.yaml": "evaluator: {timeout: 5}\n"})
    outcome = await measure(load_problem(str(folder)))
    assert outcome.status == "ok", outcome.feedback


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return {'combined_score': float(os.path.getsize('large.bin') == len(open('large.bin', 'rb').read()))}", "ok"),
        ("print('x' * (70 << 20), flush=True)", "limit"),
    ],
)
async def test_large_files_are_read_and_not_made(body, status, measure, tmp_path):
    folder = made(tmp_path, f"import os\ndef evaluate(path):\n    {body}\n")
    with (folder / "large.bin").open("wb") as file:
        file.truncate(70 << 20)
    outcome = await measure(load_problem(str(folder)))
    assert outcome.status == status and outcome.score in (None, 1.0), outcome.feedback


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("evaluator", ["evaluate = 3\n", "if 0:\n    evaluate = print\n"])
async def test_an_evaluate_that_is_no_function_is_not_charged_to_the_candidate(evaluator, measure, tmp_path):
    outcome = await measure(load_problem(str(made(tmp_path, evaluator))))
    assert outcome.status == "evaluator_error" and "evaluator.py has no function evaluate" in outcome.feedback


@pytest.mark.parametrize("evaluator", ["def evaluate(path) ->\n", "\ufefffrom helper import evaluate\n"])
def test_a_folder_is_known_by_its_evaluator_though_it_be_unsound(evaluator, tmp_path):
    assert load_problem(str(made(tmp_path, evaluator))).trust == "shared"


@pytest.mark.parametrize("evaluator", ["", "import evaluate\n", "from helper import *\n"])
def test_an_evaluator_without_evaluate_is_told(evaluator, tmp_path):
    with pytest.raises(
        ProblemError, match=r"made/evaluator.py: has no function 'evaluate', which goes with initial_pro"
    ):
        load_problem(str(made(tmp_path, evaluator)))


def test_a_program_that_is_no_text_is_told_by_its_own_path(tmp_path):
    folder = made(tmp_path, "def evaluate(path): ...\n")
    (folder / "initial_program.py").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ProblemError, match=r"made/initial_program.py: must be UTF-8 text"):
        load_problem(str(folder))


# ---------------------------------------------------------------- what is read of them


def test_configuration_becomes_stages_and_description():
    problem = load_problem(str(FOLDERS / "openevolve/staircase"))
    assert [(s.name, s.timeout_s, s.pass_if) for s in problem.stages] == [
        ("stage1", 20, ">= 0.5"),
        ("stage2", 20, ">= 0.7"),
        ("stage3", 20, ""),
    ]
    assert problem.description == "Climb as many stairs as there are steps." and not problem.deterministic
    assert load_problem(str(FOLDERS / "shinka/product")).description.startswith("Choose two numbers")
    assert load_problem(str(FOLDERS / "openevolve/diary")).stages[0].timeout_s == 300
    assert load_problem(str(FOLDERS / "skydiscover/slogan")).edit == ("initial_prompt.txt",)


@pytest.mark.parametrize(
    ("evaluator", "stages"),
    [
        ("cascade_evaluation: false", ["main"]),
        ("cascade_thresholds: [0.5]", ["stage1", "stage2"]),
        ("timeout: 7", ["stage1", "stage2", "stage3"]),
    ],
)
def test_stages_are_those_that_the_other_engine_would_reach(evaluator, stages, tmp_path):
    folder = copied("openevolve/staircase", tmp_path)
    (folder / "config.yaml").write_text(f"evaluator: {{{evaluator}}}\n")
    assert [stage.name for stage in load_problem(str(folder)).stages] == stages


@pytest.mark.asyncio(loop_scope="module")
async def test_metrics_features_artifacts_and_feedback_are_kept(measure):
    first = await measure(problem := load_problem(str(FOLDERS / "openevolve/staircase")), stage="stage1")
    assert first.metrics == {"runs": 1.0, "near_1": 0.75, "combined_score": 0.875}  # a gate: the mean of the numbers
    last = await measure(problem)
    assert last.metrics == {"combined_score": 0.75, "rise": 75.0} and last.features == {"rise": 75.0}
    line = await measure(load_problem(str(FOLDERS / "openevolve/line")), "def predict(x):\n    return 2 * x + 1\n")
    assert line.metrics == {"combined_score": 2.0, "error": 0.0, "baseline": 1.0}  # the initial program lies beside it
    assert line.artifacts == {"worst": b"(2.0, 5.0)", "picture": b"\x89PNG\x00\xff", "note": b"all points"}
    product = await measure(load_problem(str(FOLDERS / "shinka/product")))
    assert product.metrics == {"combined_score": pytest.approx(0.06), "sum": 0.5} and product.artifacts == {
        "parts": b"[0.3, 0.2]"
    }
    assert product.feedback == "equal parts are best"


# ---------------------------------------------------------------- a failure is a status


@pytest.fixture(scope="module")
def obeying(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    """A folder whose evaluator returns what its program does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        evaluator = 'import runpy\n\ndef evaluate(path):\n    return runpy.run_path(path)["found"]()\n'
        return load_problem(str(made(tmp_path_factory.mktemp("folder"), evaluator)))


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ('return {"combined_score": 0}', "ok", ""),
        ('return {"combined_score": 0.9, "error": "too long"}', "invalid", "too long"),
        ('return {"combined_score": 0.9, "error": True}', "invalid", "True"),
        ('return {"accuracy": 0.9}', "invalid", "combined_score is missing"),
        ('return {"combined_score": float("nan")}', "invalid", "combined_score is nan, not a finite number"),
        ('return {"combined_score": 10**400}', "invalid", "not a finite number"),
        ('return {"combined_score": "0.9"}', "invalid", "combined_score is '0.9', not a finite number"),
        ("return None", "invalid", "returned no metrics"),
        ('raise KeyError("gone")', "crash", "KeyError: 'gone'"),
        ("import os; os._exit(0)", "invalid", "returned no metrics"),
        ("import sys; sys.exit(0)", "crash", "SystemExit"),
        ('print(\'{"metrics": {"combined_score": 9}}\'); return {"combined_score": 0.0}', "ok", ""),
        ('return {"combined_score": 1.0, "x": "y" * 9_000_000}', "invalid", "at most 8,388,608 are kept"),
        (FORGED, "invalid", "artifact picture: "),
        ("import threading, time; threading.Thread(target=time.sleep, args=[99]).start(); 1 / 0", "crash", "ZeroDiv"),
    ],
)
async def test_what_is_no_score_is_a_status(body, status, reason, measure, obeying):
    outcome = await measure(obeying, f"def found():\n    {body}\n")
    assert outcome.status == status and reason in outcome.feedback and "runner.py" not in outcome.feedback
    assert outcome.score == (0.0 if status == "ok" else None)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_shinka_calls_incorrect_is_a_status(measure, tmp_path):
    problem = load_problem(str(FOLDERS / "shinka/product"))
    outcome = await measure(problem, "def parts(seed):\n    return [0.9, 0.9]\n")
    assert (outcome.status, outcome.score) == ("invalid", None)
    assert outcome.feedback.startswith("the sum is 1.8\nequal parts are best")
    problem = load_problem(str(FOLDERS / "shinka/tour"))
    assert (await measure(problem, "def tour(towns):\n    return [0]\n")).status == "invalid"
    folder = copied("shinka/product", tmp_path)
    (folder / "evaluate.py").write_text("def main(program_path, results_dir): pass\n")
    assert "correct.json of results_dir can't be read" in (await measure(load_problem(str(folder)))).feedback


@pytest.mark.asyncio(loop_scope="module")
async def test_an_evaluator_that_can_not_be_imported_is_not_charged_to_the_candidate(measure):
    outcome = await measure(load_problem(str(FOLDERS / "shinka/helper")))
    assert outcome.status == "evaluator_error" and "evaluate.py can't be imported" in outcome.feedback
    assert "No module named 'shinka'" in outcome.feedback


# ---------------------------------------------------------------- keys


@pytest.mark.asyncio(loop_scope="module")
async def test_a_key_is_lent_only_where_that_is_written(measure, monkeypatch):
    monkeypatch.setenv(KEY, "123456")
    folder = str(FOLDERS / "skydiscover/keyed")
    without = await measure(load_problem(folder))
    lent = load_problem(folder, foreign={"allow": [f"env:{KEY}"]})
    assert (without.score, without.artifacts) == (3.0, {"way": b"no key, own rule"})
    assert (await measure(lent)).score == 9.0
    assert lent.hash != load_problem(folder).hash and "123456" not in repr(lent)
    assert f"both can read {KEY}" in lent.caution


def test_a_check_warns_of_a_lent_key(monkeypatch, capsys):
    monkeypatch.setenv(KEY, "123456")
    folder = str(FOLDERS / "skydiscover/keyed")
    assert dispatch(["check", folder, f"foreign.allow=[env:{KEY}]", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["score"] == 9.0 and f"both can read {KEY}" in told.err


@pytest.mark.parametrize(
    ("allow", "message"),
    [
        ("[network]", "no candidate has a network in this version; only env:NAME is lent"),
        ("[env:NOT_SET_ANYWHERE]", "NOT_SET_ANYWHERE is not set in this environment; export it"),
        ("[KEY]", "is a list of env:NAME, like [env:OPENAI_API_KEY], not 'KEY'"),
    ],
)
def test_what_can_not_be_allowed_is_refused_in_one_line(allow, message, capsys):
    assert dispatch(["check", str(FOLDERS / "skydiscover/keyed"), f"foreign.allow={allow}"]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    with pytest.raises(UsageError, match="is a problem of our own format"):
        load_problem("cap_set", foreign={"allow": ["env:HOME"]})


# ---------------------------------------------------------------- recognising, translating


def test_what_is_ours_stays_ours(tmp_path):
    ours = made(tmp_path, "def evaluate(path): ...\ndef score(instance, output): return 1.0\n")
    (ours / "initial.py").write_text("def f(): ...\n")
    assert load_problem(str(ours)).trust == "separate"
    (ours / "evaluator.py").write_text("def evaluate(path): ...\n")
    (ours / "problem.yaml").write_text("entry: f\n")
    assert load_problem(str(ours)).path == ours
    with pytest.raises(ProblemError, match=r"no evaluator.py"):
        find_problem(str(FOLDERS))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("evaluator: {timeout: soon}", r"config.yaml: evaluator.timeout is made of numbers, not 'soon'"),
        ("evaluator: {timeout: -1}", r"timeout_s must be a number, 0 or more, not -1"),
        (
            "evaluator: {cascade_thresholds: 0.5}",
            r"config.yaml: evaluator.cascade_thresholds is made of numbers, not 0.5",
        ),
        ("evaluator: {timeout: .nan}", r"config.yaml: evaluator.timeout is made of numbers, not nan"),
        ("evaluator: {evaluator_args: {day: 2024-01-01}}", r"config.yaml: evaluator.evaluator_args=.*; quote it"),
        ("database: {feature_dimensions: size}", r"config.yaml: database.feature_dimensions is a list of names"),
        ("evaluator: fast", r"config.yaml: evaluator must be a mapping of keys, not 'fast'"),
        ("prompt: [", r"config.yaml, line \d: not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_told_in_one_line(config, message, tmp_path):
    folder = made(tmp_path, "def evaluate(path): ...\n", **{"config.yaml": config})
    with pytest.raises(ProblemError, match=message):
        load_problem(str(folder))


def test_what_lies_in_a_folder_and_is_no_file_is_left_out(tmp_path):
    folder = made(tmp_path, "def evaluate(path): ...\n")
    before = load_problem(str(folder)).hash
    (folder / "dead").symlink_to("/nowhere")
    (folder / "round").symlink_to("round")
    os.mkfifo(folder / "pipe")
    assert load_problem(str(folder)).hash == before
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).touch()
    assert load_problem(str(folder)).hash != before


@pytest.mark.parametrize("threshold", [0.123456789, 1e20])
def test_a_threshold_is_the_number_that_is_written(threshold, tmp_path):
    both = "def evaluate_stage1(path): ...\ndef evaluate_stage2(path): ...\ndef evaluate(path): ...\n"
    config = f"evaluator: {{cascade_thresholds: [{threshold:.12e}]}}"
    problem = load_problem(str(made(tmp_path, both, **{"config.yaml": config})))
    assert rules(problem)["stage1"].score == threshold


def test_a_translation_is_made_once_for_each_content(tmp_path, cache):
    folder = made(tmp_path, "def evaluate(path): ...\n")
    (folder / "runs").mkdir()
    (folder / "runs/left.txt").write_text("of an earlier run")
    first, again = load_problem(str(folder)), load_problem(str(folder))
    assert first.path == again.path and first.path.parent == cache / "evolve" / "foreign"
    assert not list(first.path.rglob("left.txt")) and not list(first.path.parent.glob("part-*"))
    (folder / "more.txt").write_text("more")
    changed = load_problem(str(folder))
    assert changed.path != first.path and changed.hash != first.hash
    assert (changed.path / "data/folder/more.txt").read_text() == "more"


def test_what_a_killed_translation_left_is_removed_by_the_next(tmp_path, cache):
    part = cache / "evolve/foreign/part-of-one-that-was-killed"
    (part / "data").mkdir(parents=True)
    (part / "data/half.txt").write_text("ha")
    problem = load_problem(str(made(tmp_path, "def evaluate(path): ...\n")))
    assert not part.exists() and (problem.path / "data/folder/evaluator.py").is_file()


def test_translations_that_are_made_at_once_leave_each_other_alone(tmp_path, cache):
    folders = []
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        files = {f"{part}.txt": f"{number} " * 1000 for part in range(20)}
        folders.append(made(tmp_path / str(number), f"def evaluate(path): return {number}\n", **files))
    with ThreadPoolExecutor(8) as threads:
        paths = list(threads.map(lambda folder: load_problem(str(folder)).path, folders * 2))
    assert paths[:8] == paths[8:] and len(set(paths)) == 8
    assert {len(list((path / "data/folder").iterdir())) for path in paths} == {22}
    assert not list((cache / "evolve/foreign").glob("part-*"))
