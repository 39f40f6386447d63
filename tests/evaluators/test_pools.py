"""The contract of a pool: what each kind of candidate and evaluator comes to, and that nothing outlives its time."""

from __future__ import annotations

import asyncio
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from evaluators import Pool, StageJob
from evaluators.harness import tree
from evolve.problem import Problem
from evolve.types import StageOutcome, Status
from tests.levels import granted

pytestmark = pytest.mark.asyncio(loop_scope="session")
Run = Callable[..., Awaitable[StageOutcome]]
Make = Callable[..., Problem]

DAEMON = """
import os, time
def daemon(path):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(path, "w") as file:
                file.write(str(os.getpid()))
            time.sleep(1000)
        os._exit(0)
    os.wait()
    while not os.path.exists(path) or not open(path).read():
        pass
"""
WORKER = """
import os
def parent(pid):
    return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
worker = parent(os.getppid())
"""


def gone(pid: int, within_s: float = 5.0) -> bool:
    """Tells whether a process ends within a time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    ended = bool(poller.poll(1000 * within_s))
    os.close(descriptor)
    return ended


# ---------------------------------------------------------------- what works


async def test_batch(run: Run) -> None:
    outcome = await run("def f():\n    return [7, 8]")
    assert (outcome.status, outcome.score, outcome.metrics) == (Status.OK, 7.0, {"score": 7.0})
    assert (outcome.feedback, outcome.features, outcome.artifacts) == ("first of several", {"many": 1.0}, {"a": b"b"})
    assert outcome.seconds > outcome.turn_s > 0 and outcome.memory_mb > 1 and outcome.node


async def test_several_files(run: Run) -> None:
    outcome = await run("from pack.helper import x\ndef f():\n    return x", **{"pack/helper.py": "x = 5"})
    assert outcome.score == 5


async def test_own_modules_hide_the_harness(run: Run) -> None:
    assert (await run("from wire import x\ndef f():\n    return x", **{"wire.py": "x = 5"})).score == 5


SESSION = """
from evolve.problem import Instance
def instances(stage, rng, n):
    return (Instance({"start": 10 * k}, secret=k, name=f"case {k}", weight=k) for k in range(1, n))
def drive(instance, candidate):
    state = instance.input["start"]
    for item in range(3):
        state = candidate.f(state, item=item)
    return state
def score(instance, output, n):
    return {"score": output, "secret": instance.secret, "n": n}
"""


async def test_session_over_weighted_instances(run: Run, make_problem: Make) -> None:
    problem = make_problem(SESSION, "params: {n: 9}\nobjectives: {score: minimize}", instances=2)
    outcome = await run("def f(state, item):\n    return state + item", problem)
    assert [row["metrics"]["score"] for row in outcome.instances] == [13, 23]
    assert outcome.metrics == pytest.approx({"score": (13 + 2 * 23) / 3, "secret": 5 / 3, "n": 9})
    assert outcome.score == -outcome.metrics["score"]


SERVICES = """
from evolve.problem import Invalid
def services(instance):
    calls = []
    def tool(x):
        calls.append(x)
        if len(calls) > 8:
            raise Invalid("at most 8 tool calls")
        if x == "bug":
            raise KeyError(x)
        return {"sum": sum(calls)}
    return {"tool": tool}
def score(instance, output):
    return output
"""


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("def f(tool):\n    return [tool(k)['sum'] for k in range(8)][-1]", Status.OK, ""),
        ("def f(tool):\n    return [tool(k)['sum'] for k in range(9)][-1]", Status.CRASH, "ServiceError: at most 8"),
        ("def f(tool):\n    try:\n        tool()\n    except Exception:\n        return 28", Status.OK, ""),
        ("def f(tool):\n    return tool('bug')", Status.EVALUATOR_ERROR, "evaluator.py\", line 10.*KeyError: 'bug'"),
    ],
)
async def test_services(run: Run, make_problem: Make, source: str, status: Status, says: str) -> None:
    outcome = await run(source, make_problem(SERVICES))
    assert outcome.status == status
    assert outcome.score == 28 if status is Status.OK else _matches(says, outcome.feedback)


async def test_a_service_that_the_candidate_invents_raises_there(run: Run, make_problem: Make) -> None:
    invented = (
        "def f(tool):\n    import gc\n    stub = next(s for s in gc.get_objects() if type(s).__name__ == 'Session')"
    )
    outcome = await run(f"{invented}\n    return stub._stub('rm')()", make_problem(SERVICES))
    assert outcome.status == Status.CRASH and "no service 'rm'" in outcome.feedback


# ---------------------------------------------------------------- what fails

STACK = "import sys\nsys.setrecursionlimit(10**9)\ndef g(x):\n    return [*map(g, [x])]\ndef f():\n    return g(1)"
FAILURES = {
    "raises": ("def g(): 1/0\ndef f(): g()", Status.CRASH, r'File "initial.py", line 1, in g.*ZeroDivision'),
    "syntax": ("def f(:", Status.CRASH, "SyntaxError"),
    "no entry": ("def g(): pass", Status.CRASH, "no 'f'"),
    "prints and raises": ("def f():\n    print('see me')\n    1/0", Status.CRASH, "see me"),
    "memory": ("def f():\n    return len(bytearray(4 << 30))", Status.MEMORY, "MemoryError"),
    "os._exit": ("import os\ndef f():\n    os._exit(0)", Status.CRASH, "exited with code 0"),
    "sys.exit": ("import sys\ndef f():\n    sys.exit(0)", Status.CRASH, "SystemExit"),
    "segfault": ("import ctypes\ndef f():\n    ctypes.string_at(0)", Status.CRASH, "SIGSEGV"),
    "kills itself": ("import os\ndef f():\n    os.kill(os.getpid(), 9)", Status.CRASH, "SIGKILL"),
    "kills its parent": ("import os\ndef f():\n    os.kill(os.getppid(), 9)\n    return 7", Status.CRASH, "took down"),
    "stops its parent": ("import os\ndef f():\n    os.kill(os.getppid(), 19)\n    1/0", Status.CRASH, "ZeroDivision"),
    "stack": (STACK, Status.CRASH, ""),
    "prints for ever": ("def f():\n    while True: print('x' * 100000)", Status.LIMIT, "64 MB"),
    "huge result": ("def f():\n    return b'x' * (65 << 20)", Status.LIMIT, "over the limit"),
    "no data": ("def f():\n    return {'a': [{1}]}", Status.INVALID, r"set at .*\['a'\]\[0\]"),
    "closes its channel": (
        "import os\ndef f():\n    os.closerange(3, 9)\n    while True: pass",
        Status.CRASH,
        "closed its channel",
    ),
    "garbage": ("import os\ndef f():\n    os.write(3, b'\\0\\0\\0\\1\\xc1')", Status.CRASH, "malformed"),
    "speaks out of turn": ("import os\ndef f():\n    os.write(3, b'\\0\\0\\0\\1\\xc0')", Status.CRASH, "no answer"),
    "announces much": ("import os\ndef f():\n    os.write(3, b'\\xff' * 9)", Status.LIMIT, "too large"),
    "invalid": ("def f():\n    return 'invalid'", Status.INVALID, "discs 3 and 7 overlap"),
    "nan": ("def f():\n    return 'nan'", Status.INVALID, "score was nan"),
    "evaluator raises": ("def f():\n    return 'raise'", Status.EVALUATOR_ERROR, r"evaluator.py\", line 11.*"),
    "evaluator exits": ("def f():\n    return 'exit'", Status.EVALUATOR_ERROR, "SystemExit: 3"),
    "no number": ("def f():\n    return 'text'", Status.EVALUATOR_ERROR, "score is str, not a number"),
    "no objective": ("def f():\n    return 'other'", Status.EVALUATOR_ERROR, "gave no 'score'"),
    "not utf-8": ("'\ud800'", Status.INVALID, "can't be written"),
    "outside": ("", Status.INVALID, "leaves the candidate's folder"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failures_have_a_status_and_the_next_candidate_is_served(run: Run, name: str) -> None:
    source, status, says = FAILURES[name]
    outcome = await run(source, **({"../x.py": ""} if name == "outside" else {}))
    assert outcome.status == status, outcome.feedback
    assert outcome.score is None and _matches(says, outcome.feedback)
    assert (await run()).score == 7


LOOPS = ("def f():\n    while True: pass", "import time\ndef f():\n    time.sleep(100)", "while True: pass")


@pytest.mark.parametrize("source", LOOPS)
async def test_a_candidate_is_ended_when_its_time_is_up(run: Run, hasty: Problem, source: str) -> None:
    outcome = await run(source, hasty)
    assert outcome.status == Status.TIMEOUT and _matches("timeout_s=0.5", outcome.feedback)
    assert 0.5 <= outcome.turn_s < 5


async def test_a_candidate_may_use_up_wall_s(run: Run, make_problem: Make) -> None:
    outcome = await run(LOOPS[0], make_problem(timeout_s=100.0, wall_s=2.0))
    assert outcome.status == Status.TIMEOUT and _matches("wall_s=2", outcome.feedback)


SLOW_SERVICE = """
import time
def services(instance):
    return {"wait": time.sleep}
def score(instance, output):
    return output
"""


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        (
            "def f(wait):\n    while True:\n        wait(0.01)",
            Status.TIMEOUT,
            "wall_s=1, most of it in .* calls of services",
        ),
        ("def f(wait):\n    wait(1.5)\n    wait(0)", Status.EVALUATOR_ERROR, "most of it in evaluator.py"),
    ],
)
async def test_who_calls_services_without_end_is_at_fault(
    run: Run, make_problem: Make, source: str, status: Status, says: str
) -> None:
    outcome = await run(source, make_problem(SLOW_SERVICE, timeout_s=100.0, wall_s=1.0))
    assert outcome.status == status and _matches(says, outcome.feedback)


async def test_a_hanging_evaluator_is_replaced(run: Run, make_problem: Make) -> None:
    outcome = await run("def f():\n    return 'hang'", make_problem(timeout_s=100.0, wall_s=1.5))
    assert outcome.status == Status.EVALUATOR_ERROR
    assert _matches("longer than wall_s=1.5\nscoring hang", outcome.feedback)
    assert (await run()).score == 7


@pytest.mark.parametrize(
    ("evaluator", "yaml", "says"),
    [
        ("def score(:", "", 'evaluator.py", line 1.*SyntaxError'),
        ("", "", "no function 'score'"),
        ("def score(i, o): return 1", "preload: [no_such_module]", "preload: no_such_module: ModuleNotFoundError"),
        ("def score(i, o): return 1\ndef instances(s, r): return []", "", "gave none"),
        ("def score(i, o): return 1\ndef instances(s, r): return [{1}]", "", "set at"),
    ],
)
async def test_broken_problems_are_the_evaluators_fault(
    run: Run, make_problem: Make, evaluator: str, yaml: str, says: str
) -> None:
    outcome = await run(problem=make_problem(evaluator, yaml))
    assert outcome.status == Status.EVALUATOR_ERROR and _matches(says, outcome.feedback)


PARTIAL = """
def instances(stage, rng):
    return [1, 2, 3]
def score(instance, output):
    return {"score": output, "extra": 1}
"""


async def test_partial_counts_failures_and_goes_on_in_a_new_process(run: Run, make_problem: Make) -> None:
    source = "import os\ndef f(x):\n    return os._exit(1) if x == 2 else x"
    outcome = await run(source, make_problem(PARTIAL, partial=True, failure_value=-100))
    assert outcome.metrics == pytest.approx({"score": (1 - 100 + 3) / 3, "extra": 1})
    assert [row["status"] for row in outcome.instances] == ["ok", "crash", "ok"]
    whole = await run(source, make_problem(PARTIAL))
    assert (whole.status, whole.metrics, len(whole.instances)) == (Status.CRASH, {"score": 1, "extra": 1}, 2)


# ---------------------------------------------------------------- what is left over


async def test_a_daemon_is_dead_when_the_outcome_is_there(run: Run, tmp_path: Path) -> None:
    outcome = await run(f"{DAEMON}\ndef f():\n    daemon({str(tmp_path / 'pid')!r})\n    return 7")
    assert outcome.score == 7
    assert gone(int((tmp_path / "pid").read_text()), 0)


async def test_a_timeout_ends_children_that_ignore_signals(run: Run, make_problem: Make, tmp_path: Path) -> None:
    child = "trap '' TERM INT HUP; echo $$ > {0}.part; mv {0}.part {0}; while :; do sleep 1; done".format(
        tmp_path / "pid"
    )
    source = f"import subprocess, os\ndef f():\n    subprocess.run(['setsid', 'sh', '-c', {child!r}])"
    outcome = await run(source, make_problem(timeout_s=2.0))
    assert outcome.status == Status.TIMEOUT
    assert gone(int((tmp_path / "pid").read_text()), 0)


async def test_no_scratch_folder_and_no_secret(run: Run) -> None:
    source = "import os\nassert os.listdir('.') == ['initial.py']\nraise Exception(os.getcwd(), dict(os.environ))"
    outcome = await run(source)
    assert outcome.status == Status.CRASH and "OMP_NUM_THREADS" in outcome.feedback
    assert "FAKE_API_KEY" not in outcome.feedback and "sk-secret" not in outcome.feedback
    assert not Path(outcome.feedback.split("'")[1]).exists()


async def test_patching_everything_does_not_reach_the_scorer(run: Run) -> None:
    source = """
import builtins, json, msgpack, sys
for module in list(sys.modules.values()):
    for name in ("score", "aggregate", "isfinite", "fsum", "Result", "_number", "mean"):
        setattr(module, name, lambda *a, **k: 1e9)
builtins.float = json.dumps = msgpack.loads = lambda *a, **k: 1e9
def f():
    return 7
"""
    assert (await run(source)).score == 7
    assert (await run()).score == 7


async def test_candidates_start_alike(run: Run) -> None:
    source = "import random\ndef f():\n    return random.random() + hash('text')"
    assert (await run(source)).score == (await run(source)).score


# ---------------------------------------------------------------- workers that die


async def test_a_lost_worker_is_replaced_and_its_job_run_again(run: Run, tmp_path: Path) -> None:
    fifo, mark, daemon = tmp_path / "fifo", tmp_path / "mark", tmp_path / "daemon"
    os.mkfifo(fifo)
    source = f"""{WORKER}{DAEMON}
def f():
    if os.path.exists({str(mark)!r}):
        return 7
    open({str(mark)!r}, "w").close()
    daemon({str(daemon)!r})
    with open({str(fifo)!r}, "w") as file:
        file.write(str(worker))
    time.sleep(100)
"""
    task = asyncio.ensure_future(run(source))
    worker = int(await asyncio.to_thread(fifo.read_text))
    os.kill(worker, signal.SIGKILL)
    assert (await task).score == 7
    assert gone(int(daemon.read_text()))


@pytest.mark.parametrize("level", ["strict", "guarded"])
async def test_no_folder_of_a_killed_runner_stays(level: str, make_problem: Make, tmp_path: Path) -> None:
    if not granted(level):
        pytest.skip(f"the kernel grants nobody here what {level} is made of")
    program = f"""
import asyncio, evaluators, sys
from evolve.loading import load_problem
async def main():
    cascade = evaluators.local(1, {level!r})
    await cascade.start()
    await cascade.evaluate(load_problem({str(make_problem().path)!r}), {{"initial.py": "def f(): return 7"}})
    print("ready", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""
    (home := tmp_path / "t").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(home)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, **pipes) as runner:
        assert runner.stdout.readline() == b"ready\n" and os.listdir(home)
        processes = tree.descendants(runner.pid)
        runner.kill()
    assert len(processes) >= 2 and all(gone(process) for process in processes)
    assert not os.listdir(home)


async def test_nothing_outlives_a_killed_runner(make_problem: Make, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    source = f"""{DAEMON}
def f():
    daemon({str(tmp_path / "daemon")!r})
    with open({str(tmp_path / "fifo")!r}, "w") as file:
        file.write(f"{{os.getpid()}} {{os.getppid()}} {{os.getcwd()}}")
    time.sleep(100)
"""
    program = f"""
import asyncio, evaluators
from evolve.loading import load_problem
async def main():
    cascade = evaluators.local(1, "bare")
    await cascade.start()
    await cascade.evaluate(load_problem({str(make_problem(timeout_s=100.0).path)!r}), {{"initial.py": {source!r}}})
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    runner = subprocess.Popen([sys.executable, "-c", program], env=environment)
    candidate, zygote, folder = (await asyncio.to_thread((tmp_path / "fifo").read_text)).split()
    runner.kill()
    runner.wait()
    assert gone(int(candidate)) and gone(int((tmp_path / "daemon").read_text())) and gone(int(zygote))
    assert not Path(folder).parent.exists()


async def test_a_candidate_that_takes_down_its_worker_twice_is_quarantined(run: Run) -> None:
    outcome = await run(f"{WORKER}\ndef f():\n    os.kill(worker, 9)\n    while True: pass")
    assert outcome.status == Status.CRASH and "took down the worker" in outcome.feedback
    assert (await run()).score == 7


async def test_cancelling_ends_the_candidate(pool: Pool, make_problem: Make, run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    source = f"{DAEMON}\ndef f():\n    daemon({str(tmp_path / 'fifo')!r})\n    while True: pass"
    source = source.replace("while not os.path.exists(path) or not open(path).read():\n        pass", "pass")
    problem = make_problem(timeout_s=100.0)
    task = asyncio.ensure_future(pool.run(StageJob(problem=problem, stage="main", files={"initial.py": source})))
    daemon = int(await asyncio.to_thread((tmp_path / "fifo").read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(daemon)
    assert (await run()).score == 7


# ---------------------------------------------------------------- randomness

DRAWN = """
def instances(stage, rng):
    return [float(rng.random())]
def score(instance, output):
    return instance.input
"""


@pytest.mark.parametrize(("draw", "same"), [("fixed", True), ("fresh", False)])
async def test_draws_depend_on_the_jobs_seed_only_where_declared(
    run: Run, make_problem: Make, draw: str, same: bool
) -> None:
    problem = make_problem(DRAWN, draw=draw)
    scores = [(await run("def f(x): return x", problem, draw_seed=seed)).score for seed in (1, 2, 1)]
    assert (scores[0] == scores[1]) is same and scores[0] == scores[2]


def _matches(pattern: str, text: str) -> bool:
    assert re.search(pattern, text, re.DOTALL), text
    return True


SWALLOWS = """
def drive(instance, candidate):
    try:
        found = candidate.f()
    except Exception:
        found = None
    return found + 1

def score(instance, output):
    return output
"""


async def test_a_drive_that_swallows_a_crash_does_not_take_the_blame(run: Run, make_problem: Make) -> None:
    outcome = await run("def f():\n    return 1 / 0", make_problem(SWALLOWS))
    assert outcome.status == Status.CRASH and "ZeroDivisionError" in outcome.feedback


HUGE = """
from evolve.problem import Instance

def instances(stage, rng):
    return [Instance(weight=4.0), Instance(weight=4.0)]

def score(instance, output):
    return 1e308
"""


async def test_a_mean_beyond_all_numbers_is_no_score(run: Run, make_problem: Make) -> None:
    outcome = await run(problem=make_problem(HUGE))
    assert (outcome.status, outcome.score) == (Status.INVALID, None)


async def test_feedback_names_no_place_that_is_another_each_time(run: Run) -> None:
    source = "import warnings\ndef f():\n    warnings.warn('odd')\n    return 1 / 0"
    first, second = await run(source), await run(source)
    assert first.feedback == second.feedback and "odd" in first.feedback


async def test_a_flood_of_messages_does_not_stop_the_clock(run: Run, hasty: Problem) -> None:
    source = """
import os, struct
def f():
    frame = bytes([0x94, 0xa7]) + b"service" + bytes([0xa1]) + b"x" + bytes([0x90, 0x80])
    while True:
        os.write(3, struct.pack(">I", len(frame)) + frame)
"""
    assert (await run(source, hasty)).status in (Status.TIMEOUT, Status.CRASH)
    assert (await run()).score == 7
