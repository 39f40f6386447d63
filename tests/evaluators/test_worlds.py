"""Candidates that are not warm Python: commands, builds, C++, text, other interpreters, fresh processes, GPUs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from evaluators import LocalPool, Pool, StageJob
from evaluators.build import BuildStore
from evaluators.gpu import Gpu, chosen, devices, nodes, visible
from evaluators.isolation import plan
from evaluators.sandbox import Built
from evolve.problem import Problem, load_problem
from evolve.types import StageOutcome, Status

Run = Callable[..., Awaitable[StageOutcome]]
Make = Callable[..., Problem]

asynchronous = pytest.mark.asyncio(loop_scope="session")
ROOT = Path(__file__).parents[2]
PRIMES = Path(__file__).parent / "worlds" / "primes"
needs_cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where workers keep their builds during these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["strict", "guarded", "bare"])
async def pool(request: pytest.FixtureRequest, cache: Path) -> AsyncIterator[Pool]:
    pool = LocalPool(1, request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        await pool.start()
        yield pool
        await pool.close()


@pytest.fixture
def run(pool: Pool) -> Run:
    """Runs a candidate's files in a problem; one text stands for the problem's initial file."""

    async def run(problem: Problem, source: str | None = None, **files: str) -> StageOutcome:
        texts = dict(problem.initials[0]) if source is None else {problem.edit[0]: source}
        return await pool.run(StageJob(problem=problem, stage="main", files={**texts, **files}))

    return run


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a problem's folder from its problem.yaml, evaluator and initial file."""

    def make(yaml: str, evaluator: str, initial: str = "initial.py", text: str = "", **more: str) -> Problem:
        folder = tmp_path_factory.mktemp("problem")
        for name, content in {"problem.yaml": yaml, "evaluator.py": evaluator, initial: text, **more}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(content)
        return load_problem(str(folder))

    return make


def says(outcome: StageOutcome, status: Status, pattern: str = "") -> bool:
    assert outcome.status == status, outcome.feedback
    assert re.search(pattern, outcome.feedback, re.DOTALL), outcome.feedback
    return True


# ---------------------------------------------------------------- commands

ECHO = """
from evolve.problem import Instance, Result
def instances(stage, rng):
    return [Instance(VALUE)]
def score(instance, output):
    return Result({"score": 1.0}, feedback=repr(output))
"""
SHELL = "entry: [python, initial.py]\nstages: {main: {timeout_s: 5, memory_mb: 300}}"


@asynchronous
@pytest.mark.parametrize(
    ("value", "printed", "output"),
    [
        ("'plain text'", "print(sys.stdin.read(), end='')", "'plain text'"),
        ("{'a': [1, None, 1e400]}", "print(sys.stdin.read())", "{'a': [1, None, inf]}"),
        ("__import__('numpy').arange(3)", "print(sys.stdin.read())", "[0, 1, 2]"),
        ("None", "print(repr(sys.stdin.read()))", "\"''\\n\""),
        ("'x'", "print('NaN')", "nan"),
    ],
)
async def test_a_command_reads_its_input_and_prints_its_output(
    run: Run, make: Make, value: str, printed: str, output: str
) -> None:
    problem = make(SHELL, ECHO.replace("VALUE", value))
    outcome = await run(problem, f"import sys\n{printed}")
    assert says(outcome, Status.OK) and outcome.feedback == output


FAILING = {
    "exit code": ("import sys\nsys.exit('no way')", Status.CRASH, "exited with code 1.*no way"),
    "signal": ("import os\nos.abort()", Status.CRASH, "SIGABRT"),
    "prints for ever": ("while True: print('x' * 100000)", Status.CRASH, "File too large"),
    "loops": ("while True: pass", Status.TIMEOUT, "timeout_s=0.5"),
    "memory": ("len(bytearray(1 << 30))", Status.MEMORY, "MemoryError"),
}


@asynchronous
@pytest.mark.parametrize("name", FAILING)
async def test_what_a_failing_command_comes_to(run: Run, make: Make, name: str) -> None:
    source, status, pattern = FAILING[name]
    yaml = SHELL.replace("timeout_s: 5", "timeout_s: 0.5") if name == "loops" else SHELL
    outcome = await run(make(yaml, ECHO.replace("VALUE", "0")), source)
    assert says(outcome, status, pattern)


MANY = "import os, time\nfor _ in range(150):\n    if not os.fork():\n        time.sleep(3)\n        os._exit(0)\ntime.sleep(3)"


@asynchronous
async def test_a_command_has_a_limit_of_processes(run: Run, make: Make) -> None:
    """The number is fixed, never a bomb: no level but strict and guarded keeps one, and only where the kernel counts."""
    outcome = await run(make(SHELL, ECHO.replace("VALUE", "0")), MANY)
    assert outcome.status in (Status.LIMIT, Status.CRASH) and says(outcome, outcome.status, "processes|temporarily")


@asynchronous
async def test_a_command_that_kills_its_parent_is_alone_with_that(run: Run, make: Make) -> None:
    problem = make(SHELL, ECHO.replace("VALUE", "0"))
    outcome = await run(problem, "import os\nos.kill(os.getppid(), 9)")
    assert outcome.status in (Status.OK, Status.CRASH)  # at strict its parent is beyond its signals
    assert says(await run(problem, "print(7)"), Status.OK, "7")


@asynchronous
async def test_bytes_for_a_command_are_the_evaluators_fault(run: Run, make: Make) -> None:
    outcome = await run(make(SHELL, ECHO.replace("VALUE", "b'x'")), "")
    assert says(outcome, Status.EVALUATOR_ERROR, "bytes can't be given to a command")


@asynchronous
async def test_a_command_that_is_not_there(run: Run, make: Make) -> None:
    outcome = await run(make("entry: [./nothing]", ECHO.replace("VALUE", "0")))
    assert says(outcome, Status.CRASH, "No such file.*nothing")


@asynchronous
async def test_a_script_is_a_program(run: Run, make: Make) -> None:
    problem = make("entry: [./initial.txt, '7']", ECHO.replace("VALUE", "0"), "initial.txt", "#!/bin/sh\necho $1")
    assert says(await run(problem), Status.OK, "^7$")


ASKED = """
from evolve.problem import Invalid, Result
def services(instance):
    def double(x):
        if x > 4:
            raise Invalid("at most 4")
        return 2 * x
    return {"double": double}
def drive(instance, candidate):
    return [candidate.step(k, late=True) for k in range(3)]
def score(instance, output):
    return Result({"score": sum(output)}, feedback=repr(output))
"""
ANSWERS = """
import json, sys
total = 0
for line in sys.stdin:
    asked = json.loads(line)
    total += asked["args"][0]
    {body}
    print(json.dumps({answer}), flush=True)
"""
SERVED = 'print(json.dumps({"service": "double", "args": [2]}), flush=True)\n    got = json.loads(sys.stdin.readline())'
REFUSED = SERVED.replace("[2]", "[9]")


@asynchronous
@pytest.mark.parametrize(
    ("body", "answer", "status", "pattern"),
    [
        ("", '{"return": total}', Status.OK, r"\[0, 1, 3\]"),
        ("", '{"return": float("nan") if total < 0 else asked["kwargs"]["late"]}', Status.OK, "True, True"),
        (SERVED, '{"return": got["return"]}', Status.OK, r"\[4, 4, 4\]"),
        (REFUSED, '{"raise": "I was told: " + got["raise"]}', Status.CRASH, "I was told: .*at most 4"),
        ("", '{"return": 1, "raise": "x"}', Status.CRASH, "is no answer"),
        ("", '"return"', Status.CRASH, "is no answer"),
        ("sys.exit(3)", "0", Status.CRASH, "exited with code 3"),
        ("sys.exit(0)", "0", Status.CRASH, "exited with code 0 before it answered"),
        ("", r'{"return": "\ud800"}', Status.INVALID, "surrogate"),
    ],
)
async def test_a_command_is_asked_line_by_line(
    run: Run, make: Make, body: str, answer: str, status: Status, pattern: str
) -> None:
    source = ANSWERS.replace("{body}", body).replace("{answer}", answer)
    assert says(await run(make(SHELL, ASKED), source), status, pattern)


# ---------------------------------------------------------------- builds and C++


@pytest.fixture(scope="session")
def primes() -> Problem:
    return load_problem(str(PRIMES))


BLOCK = re.compile(r"(EVOLVE-BLOCK-START\n).*(    // EVOLVE-BLOCK-END)", re.DOTALL)
CPP = {
    "syntax": ("long count = missing;", Status.BUILD_FAILED, "^initial.cpp: In function.*'missing' was not declared"),
    "segfault": ("long count = *(volatile long *)0;", Status.CRASH, "SIGSEGV"),
    "loop": ("long count = 0; for (volatile long k = 0;; ++k) {}", Status.TIMEOUT, "timeout_s=2"),
    "memory": (
        "long count = 0; for (;;) count += (long)new char[1 << 20];",
        Status.MEMORY,
        "bad_alloc",
    ),
    "wrong": ("long count = 4;", Status.OK, ""),
}


def cpp(problem: Problem, block: str) -> str:
    return BLOCK.sub(lambda m: f"{m[1]}{block}\n{m[2]}", problem.initials[0]["initial.cpp"])


@asynchronous
@needs_cpp
@pytest.mark.integration
async def test_cpp(run: Run, primes: Problem) -> None:
    outcome = await run(primes)
    assert says(outcome, Status.OK) and outcome.score == 1.0


@asynchronous
@needs_cpp
@pytest.mark.integration
@pytest.mark.parametrize("name", CPP)
async def test_what_failing_cpp_comes_to(run: Run, primes: Problem, name: str) -> None:
    block, status, pattern = CPP[name]
    assert says(await run(primes, cpp(primes, block)), status, pattern.replace("'", "['‘’]"))


COUNTING = "build: {run: [sh, make.sh], timeout_s: 5}\nentry: [./made]\nstages: {main: {memory_mb: 100}}"
MAKE = "printf '#!/bin/sh\\necho '$RANDOM$(date +%N) > made; chmod +x made; mkdir -p sub; cp made sub/copy"


@asynchronous
async def test_the_same_text_is_built_once(run: Run, make: Make) -> None:
    problem = make(COUNTING, ECHO.replace("VALUE", "0"), "initial.txt")
    first, again = [await run(problem, "a", **{"make.sh": MAKE}) for _ in range(2)]
    other = await run(problem, "b", **{"make.sh": MAKE})
    assert says(first, Status.OK) and first.feedback == again.feedback != other.feedback


@asynchronous
@pytest.mark.parametrize(
    ("script", "pattern"),
    [
        ("echo oh dear >&2; exit 3", "^oh dear"),
        ("exit 3", "exit code 3 and said nothing"),
        ("echo $PWD/x.c:3: error; exit 1", "^x.c:3: error$"),
        ("sleep 100", "build.timeout_s=0.3"),
        ("head -c 50000000 /dev/zero > big", "files of 48 MB; at most 40 MB"),
    ],
)
async def test_a_failed_build_says_why(run: Run, make: Make, script: str, pattern: str) -> None:
    yaml = COUNTING.replace("timeout_s: 5", "timeout_s: 0.3" if "sleep" in script else "timeout_s: 5")
    outcome = await run(make(yaml, ECHO.replace("VALUE", "0"), "initial.txt"), "", **{"make.sh": script})
    assert says(outcome, Status.BUILD_FAILED, pattern)


@asynchronous
@needs_cpp
@pytest.mark.integration
async def test_an_extension_module_is_built_and_imported(run: Run, make: Make) -> None:
    yaml = "entry: f\nedit: [seven.c, initial.py]\nbuild: {run: [g++, -shared, -fPIC, -o, seven.so, seven.c]}"
    text = "import ctypes\ndef f():\n    return ctypes.CDLL('./seven.so').seven()"
    problem = make(yaml, "def score(i, output): return output", "initial/initial.py", text, **{"initial/seven.c": ""})
    outcome = await run(problem, 'extern "C" int seven() { return 7; }', **{"initial.py": text})
    assert says(outcome, Status.OK) and outcome.score == 7


def test_the_store_of_builds_has_bounds_and_ignores_damage(tmp_path: Path) -> None:
    store = BuildStore(tmp_path / "builds", most_mb=1)
    for key, age in (("old", 200), ("used", 100)):
        store.put(key, Built({"x": bytes(400_000)}, ("x",)))
        os.utime(tmp_path / "builds" / key, (age, age))
    assert store.get("old") == Built({"x": bytes(400_000)}, ("x",))  # which makes it the one used last
    store.put("new", Built({"x": bytes(400_000)}))
    assert sorted(path.name for path in (tmp_path / "builds").iterdir()) == ["new", "old"]
    (tmp_path / "builds" / "new").write_bytes(b"x" * 500)
    assert store.get("new") is None and store.get("used") is None
