"""The Python API: a problem of functions is checked, evaluated, searched and saved; also where an event loop is running."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evolve
from evolve.api import LiveRun
from evolve.cli import dispatch
from evolve.cli.screen import OneLine
from evolve.errors import ProblemError, RunError, UsageError

SOURCE = "def f(x):\n    return 1.5 + 0.25 * x\n"
POINTS = [0.0, 1.0, 2.0]
ARRAY = np.ones(2)


def wanted(x: float) -> float:
    return 3.0 * x + 2.0


def score(instance: evolve.Instance, output: float) -> float:
    return -abs(output - wanted(instance.input))


def f(x: float) -> float:
    return wanted(x) - 1.0


def reads_an_array(x: float) -> Any:
    return ARRAY.sum() + x


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> evolve.Problem:
    monkeypatch.chdir(tmp_path)
    return evolve.Problem(score=score, instances=POINTS, initial=SOURCE, description="Fit the line.", name="line")


def test_a_problem_is_checked_and_evaluated(problem):
    checked = problem.check()
    assert (checked["status"], checked["metrics"], checked["advice"]) == ("ok", {"score": -3.25}, [])
    assert problem.evaluate()["metrics"] == {"score": -3.25}
    assert problem.evaluate("def f(x):\n    return 3 * x + 2\n")["score"] == 0.0
    assert problem.evaluate(f)["score"] == -1.0  # a function, with the one that it uses
    failed = problem.evaluate({"initial.py": "def f(x):\n    return [][1]\n"})
    assert failed["status"] == "crash" and "IndexError" in failed["feedback"]


def test_debugging_is_in_this_process(problem, capsys, monkeypatch):
    stopped = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: stopped.append((os.getpid(), threading.current_thread())))
    found = problem.evaluate("def f(x):\n    breakpoint()\n    return 1 / x\n", debug=True)
    assert stopped == [(os.getpid(), threading.main_thread())]
    assert found["status"] == "crash" and found["unverified"] is True
    assert "return 1 / x" in capsys.readouterr().err
    assert not any("evolve-" in str(getattr(module, "__file__", "")) for module in sys.modules.values())


def test_a_function_that_is_none_is_not_given(problem):
    given = {"score": score, "instances": POINTS, "initial": SOURCE, "description": "Fit the line.", "name": "line"}
    assert evolve.Problem(**given, drive=None, model=None).files == problem.files


def test_a_saved_problem_is_a_folder_like_any_other(problem, tmp_path, capsys):
    assert problem.save("saved") == Path("saved") == problem.save("saved")
    assert dispatch(["run", "problem=./saved", "budget.candidates=2", "evaluator.workers=1", "run_dir=done"]) == 0
    assert "done" in capsys.readouterr().out
    (tmp_path / "saved" / "initial.py").write_text("def f(x): return 0")
    with pytest.raises(UsageError, match=r"initial.py: is there already, and not of this problem; name a new folder"):
        problem.save("saved")


async def test_a_run_in_the_background_beside_a_running_loop(problem, capsys):
    run = problem.run(["budget.candidates=8", "evaluator.workers=1"], seed=1)
    assert isinstance(run, LiveRun) and run.state() in ("running", "finished")
    assert run.wait() is run and run.state() == "finished" and run.best().score > -3.25
    assert run.status()["candidates"]["asked"] == 8 and run.status()["seed"] == 1
    assert "8/8 candidates" in capsys.readouterr().out
    assert evolve.open_run("latest").problem().path.is_relative_to(Path.cwd() / "runs" / "problems")
    assert problem.check()["status"] == "ok"


def test_a_run_is_stopped(problem):
    run = evolve.run(initial=SOURCE, score=score, instances=POINTS, seed=1, background=True)
    with pytest.raises(TimeoutError):
        run.wait(0)
    run.stop()
    assert run.wait().state() == "interrupted" and run.status()["candidates"]["in_flight"] == 0
    run.stop()  # it has ended: nothing happens
    more = evolve.run(problem, background=True)
    more.stop(now=True)
    assert more.wait().state() == "interrupted"


def test_one_live_line_on_a_terminal(problem, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(OneLine, "every_s", 0.0)  # it looks between the last candidate and the end as well
    problem.run(["budget.candidates=4", "evaluator.workers=1"], seed=1).wait()
    *notes, last, rest = sys.stdout.getvalue().split("\n")
    assert all("candidates" not in note.split("\r")[-1] for note in notes) and rest == ""
    assert "0/4 candidates" in last.split("\r")[1] and "4/4 candidates" in last.split("\r")[-1]


def test_an_interrupt_drains_the_run_that_is_waited_for(problem, monkeypatch):
    waits, wait = [KeyboardInterrupt], LiveRun.wait

    def interrupted(run: LiveRun, timeout_s: float | None = None) -> LiveRun:
        if waits:
            raise waits.pop()
        return wait(run, timeout_s)

    monkeypatch.setattr(LiveRun, "wait", interrupted)
    assert evolve.run(problem).state() == "interrupted"


def test_what_cannot_begin_or_go_on_is_raised(problem):
    with pytest.raises(UsageError, match="no such key"):
        problem.run(["budget.candidate=3"])
    with pytest.raises(UsageError, match="must be a list of KEY=VALUE"):
        evolve.run("circle_packing", "budget.candidates=3")
    with pytest.raises(RunError, match="no output is a number"):
        evolve.run(initial=SOURCE, score=lacking_a_number, instances=POINTS)
    with pytest.raises(UsageError, match="problem=line: is one already; leave it out, or score"):
        evolve.run("line", score=score)
    assert not list(Path("runs").glob("*/run.json"))


def lacking_a_number(instance: evolve.Instance, output: float) -> float:
    raise evolve.Invalid("no output is a number")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"score": score, "objective": {}}, "unknown key 'objective'; did you mean 'objectives'"),
        ({"score": score, "initial": "def f(:"}, "initial.py, line 1: invalid syntax"),
        (
            {"score": score, "initial": reads_an_array},
            "reads_an_array: uses hidden/ARRAY.npy, which no candidate can read",
        ),
        ({"score": score, "initial": SOURCE, "params": {"n": np.float64(1)}}, "problem.yaml can't hold .*1.0"),
        ({"score": score, "initial": SOURCE, "name": "a/b"}, "name='a/b': names a folder"),
        ({"score": 3, "initial": SOURCE}, "score: must be a function, not int"),
        ({"score": None, "initial": SOURCE}, "score: must be a function, not NoneType"),
        ({"score": score, "initial": Path("x.py")}, r"x.py'\): is no candidate; give its text"),
        ({"score": score, "initial": {"x.py": b""}}, "is no candidate; give its text"),
        ({"score": score, "initial": {"../../x.py": SOURCE}}, "x.py: is not in the problem's folder"),
        ({"score": score, "initial": SOURCE, "instances": 5}, "instances=5: must be a list of inputs or a function"),
    ],
)
def test_a_mistake_is_one_line(parts, said):
    with pytest.raises((ProblemError, UsageError), match=said) as raised:
        evolve.Problem(**parts)
    assert "\n" not in str(raised.value)
