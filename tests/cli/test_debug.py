"""`evolve check --debug`: one process, in the foreground; and the words that repeat what failed."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from evolve.cli import dispatch
from tests.command import SCRIPT, environment, evolve

pytestmark = pytest.mark.integration

EVALUATOR = """
import os
from evolve.problem import Instance, Invalid
def instances(stage, rng, n): return [Instance(k, name=f"case {k}") for k in range(n)]
def services(instance): return {"ask": lambda x: {"x": x}, "broken": lambda: [][1], "refuse": refuse}
def refuse(): raise Invalid("not twice")
def drive(instance, candidate): return candidate.f(instance.input, **candidate.services)
def score(instance, output): return float(output)
"""
GOOD = "def f(x, ask, **more):\n    return ask(x)['x']\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    (mine / "data").mkdir(parents=True)
    (mine / "data/table.txt").write_text("0.5")
    (mine / "initial.py").write_text(GOOD)
    (mine / "evaluator.py").write_text(EVALUATOR)
    (mine / "problem.yaml").write_text("params: {n: 3}\nentry: f\nstages: {main: {timeout_s: 10}}\n")
    return tmp_path


def candidate(text: str) -> list[str]:
    Path("it is.py").write_text(text)
    return ["--candidate", "it is.py"]


def debugged(text: str, capsys: pytest.CaptureFixture[str], *words: str, code: int = 1) -> tuple[dict[str, Any], str]:
    assert dispatch(["check", "./mine", *candidate(text), "--debug", "--json", *words]) == code
    told = capsys.readouterr()
    return json.loads(told.out), told.err


def test_the_score_is_the_same_and_marked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, err = debugged(GOOD, capsys, code=0)
    assert (found["status"], found["score"], found["unverified"]) == ("ok", 1.0, True)
    assert err == (
        "unverified: evaluator.py and the candidate run in this process, without a sandbox; no limit is enforced\n"
    )
    assert dispatch(["check", "./mine", "--debug"]) == 0
    assert capsys.readouterr().out.startswith("mine: ok (unverified)\n")
    assert dispatch(["check", "./mine", "--json"]) == 0
    assert not {"unverified", "repeat"} & set(json.loads(capsys.readouterr().out))


def test_a_traceback_goes_from_the_evaluator_into_the_candidate(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, err = debugged("def g(x): return 1 / x\n\ndef f(x, **more):\n    return g(x)\n", capsys)
    assert found["status"] == "crash" and "ZeroDivisionError" in found["feedback"]
    frames = [line.split(", ")[-1].removeprefix("in ") for line in err.splitlines() if line.startswith("  File")]
    assert frames == ["drive", "f", "g"] and err.count("ZeroDivisionError: division by zero") == 1
    assert f'File "{folder}/mine/evaluator.py"' in err


def test_a_fault_in_a_service_is_the_evaluators(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "def f(x, broken, **more):\n    try:\n        broken()\n    except Exception:\n        return 1\n"
    found, err = debugged(text, capsys)
    assert found["status"] == "evaluator_error" and "IndexError" in found["feedback"]
    assert err.count("Traceback") == 1 and err.strip().endswith("IndexError: list index out of range")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("return {1, 2}", "invalid", "what it returned can't be sent: set at [1] is not data"),
        ("return ask(f)", "crash", "function at [2][0] is not data"),
        ("return h", "invalid", "function at [1] is not data"),
        ("raise SystemExit(0)", "crash", "SystemExit: 0"),
        ("raise MemoryError", "memory", "MemoryError"),
        ("more['refuse']()", "crash", "session.ServiceError: not twice"),
    ],
)
def test_what_can_not_cross_fails_as_it_does_in_the_sandbox(
    folder: Path, capsys: pytest.CaptureFixture[str], body: str, status: str, says: str
) -> None:
    text = f"def h(): pass\n\ndef f(x, ask, **more):\n    {body}\n"
    found, _ = debugged(text, capsys)
    assert found["status"] == status
    assert dispatch(["check", "./mine", "--candidate", "it is.py", "--json"]) == 1
    real = json.loads(capsys.readouterr().out)
    ends = [each["feedback"].splitlines()[-1].replace("evaluators.harness", "harness") for each in (real, found)]
    assert real["status"] == status and ends[0] == ends[1] and says in ends[0]


def test_nothing_but_json_is_on_standard_output_and_nothing_stays(folder: Path) -> None:
    text = (
        "import os, subprocess\nassert open('data/table.txt').read() == '0.5'\nopen('left', 'w').close()\n"
        "def f(x, **more):\n    print('one'); os.write(1, b'two'); subprocess.run(['echo', 'three']); return x\n"
    )
    (folder / "tmp").mkdir()
    before = sorted(folder.rglob("*"))
    done = evolve("check", "./mine", *candidate(text), "--debug", "--json", cwd=folder, TMPDIR=str(folder / "tmp"))
    assert done.returncode == 0 and json.loads(done.stdout)["score"] == 1.0 and len(done.stdout.splitlines()) == 1
    assert all(word in done.stderr for word in ("one", "two", "three"))
    left = {path for path in folder.rglob("*") if "__pycache__" not in str(path)}
    assert left - set(before) == {folder / "it is.py"}


def test_a_model_is_evaluators_own_and_reports_are_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine/evaluator.py").write_text(
        "def model(prompt, system): return prompt.upper()\n"
        "def services(instance, lm): return {'lm': lm}\n"
        "def drive(instance, candidate, report):\n    report(1, 0.5)\n    return candidate.f(1, **candidate.services)\n"
        "def score(instance, output, lm): return float(output == 'ASKED' and lm('b') == 'B')\n"
    )
    found, _ = debugged("def f(x, lm): return lm('asked')\n", capsys, code=0)
    assert found["score"] == 1.0


def test_only_the_word_takes_the_sandbox_away(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOLVE_DEBUG", "1")
    assert dispatch(["check", "./mine", "--json"]) == 0
    assert "unverified" not in json.loads(capsys.readouterr().out)


def test_a_command_has_no_place_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine/problem.yaml").write_text("entry: [cat]\nparams: {n: 3}\n")
    found, _ = debugged("", capsys)
    assert found["status"] == "evaluator_error" and "--debug: the candidate is a command" in found["feedback"]


@pytest.mark.parametrize("where", ["candidate", "evaluator"])
def test_a_breakpoint_has_the_terminal(folder: Path, where: str) -> None:
    if where == "evaluator":
        path = folder / "mine/evaluator.py"
        path.write_text(
            path.read_text().replace("score(instance, output): ", "score(instance, output): breakpoint(); ")
        )
    text = "def f(x, **more):\n    secret = 40 + x\n    breakpoint()\n    return x\n" if where == "candidate" else GOOD
    words = ["check", "./mine", *candidate(text), "--debug", "--instance", "case 2"]
    shown = Terminal([SCRIPT, *words], folder)
    shown.expect("(Pdb) ")
    shown.type("p secret\n" if where == "candidate" else "p 40 + output\n")
    shown.expect("42")
    shown.expect("(Pdb) ")
    shown.type("c\n")
    shown.expect("mine: ok (unverified)")
    assert shown.ended() == 0


def test_leaving_the_debugger_ends_the_command(folder: Path) -> None:
    shown = Terminal(
        [SCRIPT, "check", "./mine", *candidate("def f(x, **more):\n    breakpoint()\n"), "--debug"], folder
    )
    shown.expect("(Pdb) ")
    shown.type("q\n")
    assert shown.ended() == 1 and "Traceback" not in shown.text


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, words: list[str], cwd: Path):
        self._fd, theirs = pty.openpty()
        self._process = subprocess.Popen(
            words, cwd=cwd, env=environment(TERM="dumb"), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        self.text, self._seen = "", 0

    def expect(self, text: str, within_s: float = 60.0) -> None:
        until = time.monotonic() + within_s
        while text not in self.text[self._seen :]:
            assert self._read(until), self.text
        self._seen = self.text.index(text, self._seen) + len(text)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def ended(self) -> int:
        while self._read(time.monotonic() + 60):
            pass
        os.close(self._fd)
        return self._process.wait(60)

    def _read(self, until: float) -> bool:
        if not select.select([self._fd], [], [], max(0.0, until - time.monotonic()))[0]:
            self._process.kill()
            return False
        try:
            chunk = os.read(self._fd, 4096)
        except OSError:  # the other end is closed
            return False
        self.text += chunk.decode()
        return bool(chunk)


# ---------------------------------------------------------------- repeating


def test_what_failed_is_repeated_by_the_words_that_are_printed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine/problem.yaml").write_text(
        "params: {n: 3}\nentry: f\nstages: {first: {timeout_s: 10}, main: {timeout_s: 10}}\n"
    )
    text = "def f(x, ask, **more):\n    assert x < 3, f'x is {x}'\n    return x\n"
    words = ["check", "./mine", "param.n=5", "stage.main.timeout_s=9", *candidate(text)]
    assert dispatch(words) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    repeat = (
        "evolve check ./mine param.n=5 stage.main.timeout_s=9 --candidate 'it is.py' "
        "--stage first --instance 'case 3' --debug"
    )
    assert line == f"repeat: {repeat}"
    assert dispatch([*words, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["repeat"] == repeat
    assert dispatch([*shlex.split(repeat)[1:], "--json"]) == 1
    told = capsys.readouterr()
    again = json.loads(told.out)
    assert [stage["name"] for stage in again["stages"]] == ["first"] and again["status"] == "crash"
    assert "x is 3" in again["feedback"] and "case" not in again["feedback"] and "AssertionError: x is 3" in told.err


def test_a_replicate_is_repeated_on_its_own_instances(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine/evaluator.py").write_text(
        "def instances(stage, rng): return [int(rng.integers(1, 10**6))]\n"
        "def score(instance, output):\n    assert instance.input == 0, instance.input\n    return 1.0\n"
    )
    (folder / "mine/initial.py").write_text("def f(x):\n    return 1.0\n")
    (folder / "mine/problem.yaml").write_text("stages: {main: {replicates: 3, draw: paired}}\n")
    drawn = []
    for number in range(2):
        for more in ([], ["--debug"]):
            words = ["check", "./mine", "--stage", "main", "--replicate", str(number), "--json", *more]
            assert dispatch(words) == 1
            drawn.append(json.loads(capsys.readouterr().out)["feedback"].splitlines()[-1])
    assert drawn[0] == drawn[1] != drawn[2] == drawn[3]


def test_one_instance_is_chosen_by_name_or_place_in_the_sandbox_too(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("case 2", "2"):
        assert dispatch(["check", "./mine", "--instance", word, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["score"] == 2.0
    assert dispatch(["check", "./mine", "--instance", "7", "--json"]) == 1
    assert "stage 'main' has no instance '7', only 0 to 2; some names: case 0" in capsys.readouterr().out
    assert dispatch(["check", "./mine", "--stage", "other"]) == 2
    assert "mine has the stages main" in capsys.readouterr().err
