"""The installed script, as a shell calls it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.command import environment, evolve, evolve_json, ok

pytestmark = pytest.mark.integration

SHORT = ("budget.candidates=4", "evaluator.workers=1")


def problem(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "initial.py").write_text("def f(x):\n    return 1.5 * x\n")
    (folder / "evaluator.py").write_text(
        "def instances(stage, rng):\n    return [1.0, 2.0]\n\n\n"
        "def score(instance, output):\n    return -abs(output - 2 * instance.input)\n"
    )
    return folder


def test_a_folder_works_wherever_a_name_does(tmp_path: Path) -> None:
    problem(tmp_path / "dir")
    ok("run", "problem=./dir", *SHORT, "run_dir=r", cwd=tmp_path)
    assert evolve_json("status", "r", cwd=tmp_path)["problem"] == "dir"


def test_a_sweep_gives_each_job_a_directory(tmp_path: Path) -> None:
    for name in ("a", "b"):
        problem(tmp_path / name)
    ok("run", "-m", "problem=./a,./b", "seed=1,2", *SHORT, "run_dir=s", cwd=tmp_path)
    found = [evolve_json("status", f"s/{job}", cwd=tmp_path) for job in range(4)]
    assert [(run["problem"], run["seed"]) for run in found] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert not (tmp_path / "outputs").exists() and not (tmp_path / "multirun").exists()


def test_a_sweep_is_checked_before_its_first_job(tmp_path: Path) -> None:
    problem(tmp_path / "a")
    done = evolve("run", "-m", "problem=./a,./missing", *SHORT, "run_dir=s", cwd=tmp_path)
    assert done.returncode == 2 and "./missing" in done.stderr and not (tmp_path / "s").exists()


@pytest.mark.parametrize("name", ["with#hash", "with=equals", "with {brace", "with,comma"])
def test_values_need_no_quoting(tmp_path: Path, name: str) -> None:
    problem(tmp_path / "p")
    word = f"run_dir={name}" if "," not in name else f"run_dir='{name}'"
    ok("run", "problem=./p", *SHORT, word, cwd=tmp_path)
    assert (tmp_path / name / "run.json").exists()


@pytest.mark.parametrize("word", ["sed=1", "+x=1"])
def test_a_key_that_is_none(tmp_path: Path, word: str) -> None:
    done = evolve("run", word, cwd=tmp_path)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and not done.stdout
    assert not list(tmp_path.iterdir())


def test_bash_completes(tmp_path: Path) -> None:
    script = """
    eval "$(evolve completion bash)"
    COMP_LINE="evolve run budget.cand"; COMP_POINT=${#COMP_LINE}
    COMP_WORDS=(evolve run budget.cand); COMP_CWORD=2
    _evolve 2>/dev/null; printf '%s\\n' "${COMPREPLY[@]}"
    """
    from tests.command import SCRIPT

    env = environment(PATH=f"{Path(SCRIPT).parent}:/usr/bin:/bin")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "budget.candidates=" in done.stdout.splitlines(), done.stderr


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    problem(tmp_path / "p")
    ok("run", "problem=./p", *SHORT, "run_dir=r", cwd=tmp_path)
    for words in (("status", "r"), ("best", "r"), ("runs", "."), ("check", "./p"), ("problems",), ("prompt", "./p")):
        json.loads(ok(*words, "--json", cwd=tmp_path))


def test_help_and_version(tmp_path: Path) -> None:
    assert "VERB" in ok("--help", cwd=tmp_path) and "0.1.0" in ok("--version", cwd=tmp_path)
    assert "budget.candidates" in ok("run", "--help", cwd=tmp_path)
    assert "problem: circle_packing" in ok("run", "--cfg", "job", cwd=tmp_path)
