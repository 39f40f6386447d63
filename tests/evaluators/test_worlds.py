"""Candidates that are not warm Python: commands, builds, C++, text, other interpreters, fresh processes, GPUs."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle
from pathlib import Path
from threading import Thread

import pytest
import pytest_asyncio

from evaluators import Cascade, LocalPool, Pool, StageJob
from evaluators.build import BuildStore
from evaluators.gpu import Gpu, chosen, devices, nodes, visible
from evaluators.timing import net
from evaluators.watch import clock_s
from evolve.errors import EvolveError
from evolve.llm.scripted import Scripted
from evolve.loading import load_problem
from evolve.problem import Problem
from evolve.runner.budget import Budget
from evolve.types import StageOutcome, Status
from tests.command import evolve
from tests.levels import granted
from tests.runner.driving import Case

Run = Callable[..., Awaitable[StageOutcome]]
Make = Callable[..., Problem]

pytestmark = pytest.mark.integration
asynchronous = pytest.mark.asyncio(loop_scope="session")
ROOT = Path(__file__).parents[2]
PRIMES = Path(__file__).parent / "worlds" / "primes"
LEVELS = ["strict", "guarded", "bare"]
needs_cpp = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where workers keep their builds during these tests."""
    return tmp_path_factory.mktemp("cache")


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=LEVELS)
async def pool(request: pytest.FixtureRequest, cache: Path) -> AsyncIterator[Pool]:
    pool = LocalPool(1, request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        try:
            await pool.start()
        except EvolveError as error:
            if granted(request.param):
                raise
            pytest.skip(str(error))
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
    """With a fixed number of them, never a bomb: at bare nothing would stop one."""
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
    "loop": ("long count = 0; for (volatile long k = 0;; ++k) {}", Status.TIMEOUT, "timeout_s=1"),
    "memory": (
        "long count = 0; for (;;) *(volatile char *)new char[1 << 20] = 1;",
        Status.MEMORY,
        "bad_alloc",
    ),
    "wrong": ("long count = 4;", Status.OK, ""),
}


def cpp(problem: Problem, block: str) -> str:
    return BLOCK.sub(lambda m: f"{m[1]}{block}\n{m[2]}", problem.initials[0]["initial.cpp"])


@asynchronous
@needs_cpp
async def test_cpp(run: Run, primes: Problem) -> None:
    outcome = await run(primes)
    assert says(outcome, Status.OK) and outcome.score == 1.0


@asynchronous
@needs_cpp
@pytest.mark.parametrize("name", CPP)
async def test_what_failing_cpp_comes_to(run: Run, primes: Problem, name: str) -> None:
    block, status, pattern = CPP[name]
    assert says(await run(primes, cpp(primes, block)), status, pattern.replace("'", "['‘’]"))


COUNTING = "build: {run: [sh, make.sh], timeout_s: 5}\nentry: [./made]\nstages: {main: {memory_mb: 100}}"
MAKE = "printf '#!/bin/sh\\necho '$RANDOM$(date +%N) > made; mkdir -p sub; cp made sub/copy"


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
async def test_no_candidate_reaches_the_store_of_builds(run: Run, make: Make, cache: Path, pool: Pool) -> None:
    if pool.isolation == "bare":
        pytest.skip("bare keeps nobody from a file of the same user")
    store = cache / "evolve" / "builds"
    script = f"echo built > made; (cd {store} && echo x > planted); cp made {store}/planted; mkdir {store}/folder"
    problem = make(COUNTING.replace("./made", "cat, made"), ECHO.replace("VALUE", "0"), "initial.txt")
    outcome = await run(problem, str(pool.isolation), **{"make.sh": f"{script}; exit 0"})
    assert says(outcome, Status.OK, "built") and not (store / "planted").exists() and not (store / "folder").exists()
    assert len(list(store.iterdir())) >= 1


@asynchronous
@needs_cpp
async def test_an_extension_module_is_built_and_imported(run: Run, make: Make) -> None:
    yaml = "entry: f\nedit: [seven.c, initial.py]\nbuild: {run: [g++, -shared, -fPIC, -o, seven.so, seven.c]}"
    text = "import ctypes\ndef f():\n    return ctypes.CDLL('./seven.so').seven()"
    problem = make(yaml, "def score(i, output): return output", "initial/initial.py", text, **{"initial/seven.c": ""})
    outcome = await run(problem, 'extern "C" int seven() { return 7; }', **{"initial.py": text})
    assert says(outcome, Status.OK) and outcome.score == 7


def test_the_store_of_builds_has_bounds_and_ignores_damage(tmp_path: Path) -> None:
    store = BuildStore(tmp_path / "builds", most_mb=1)
    for key, age in (("old", 200), ("used", 100)):
        store.put(key, {"x": bytes(400_000)})
        os.utime(tmp_path / "builds" / key, (age, age))
    assert store.get("old") == {"x": bytes(400_000)}  # which makes it the one used last
    store.put("new", {"x": bytes(400_000)})
    assert sorted(path.name for path in (tmp_path / "builds").iterdir()) == ["new", "old"]
    (tmp_path / "builds" / "new").write_bytes(b"x" * 500)
    assert store.get("new") is None and store.get("used") is None


# ---------------------------------------------------------------- text

PROMPT = """
from evolve.problem import Result
def score(instance, output):
    return Result({"score": len(output)}, feedback=output)
"""
TEMPLATE = "Ask {x} and {{ 7 * 7 }}.\n"


@asynchronous
async def test_text_is_read_not_run(run: Run, make: Make) -> None:
    outcome = await run(make("entry: text", PROMPT, "initial.md", TEMPLATE))
    assert says(outcome, Status.OK) and (outcome.feedback, outcome.memory_mb) == (TEMPLATE, 0.0)


@asynchronous
async def test_drive_gets_all_files_of_a_text(run: Run, make: Make) -> None:
    drive = "def drive(instance, candidate):\n    return candidate.text + candidate.files['more.md']\n"
    problem = make(
        "entry: text\nedit: [initial.md]", drive + PROMPT, "initial/initial.md", "a", **{"initial/more.md": "b"}
    )
    assert (await run(problem)).feedback == "ab"
    calls = make("entry: text", "def drive(i, candidate): return candidate.f()\n" + PROMPT, "initial.md", "a")
    assert says(await run(calls), Status.EVALUATOR_ERROR, "drive calls candidate.f; with entry: text")


# ---------------------------------------------------------------- another interpreter, fresh processes


def others() -> list[str]:
    """Returns other Pythons that candidates may run on, the oldest first: of PATH, and those that OTHER_PYTHONS names."""
    paths = [path for folder in os.get_exec_path() for path in glob.glob(f"{folder}/python3.[0-9]*")]
    named = os.environ.get("OTHER_PYTHONS", "").split(os.pathsep)
    found = {}
    for path in [*filter(None, named), *(path for path in paths if path.rpartition(".")[2].isdecimal())]:
        asked = subprocess.run([path, "-c", ASKED_FOR], capture_output=True, text=True, check=False)
        prefix, minor, real = asked.stdout.split() if asked.returncode == 0 else (sys.base_prefix, 0, "")
        if int(minor) >= 9 and prefix != sys.base_prefix:
            found[real] = int(minor)
    return sorted(found, key=lambda path: found[path])


ASKED_FOR = "import sys; print(sys.base_prefix, sys.version_info[1], sys.executable)"
OTHERS = others()
needs_another = pytest.mark.skipif(not OTHERS, reason="needs another Python, 3.9 or newer")
TELLS = """
def drive(instance, candidate):
    return candidate.f(instance.input, 2**70)
def score(instance, output):
    from evolve.problem import Result
    return Result({"score": 1.0}, feedback=repr(output))
"""
WHO = (
    "import os, sys\ndef f(x, y):\n    return [sys.executable, x, y, 'msgpack' in sys.modules, sorted(os.listdir('.'))]"
)


@asynchronous
@needs_another
@pytest.mark.parametrize("profile", ["python", "exec"])
async def test_another_interpreter_runs_the_candidate(run: Run, make: Make, profile: str) -> None:
    yaml = f"entry: f\npython: {OTHERS[0]}\npreload: [json]\nstages: {{main: {{profile: {profile}}}}}"
    outcome = await run(make(yaml, TELLS, text=WHO))
    assert says(outcome, Status.OK)
    assert outcome.feedback == repr([OTHERS[0], None, 2**70, False, ["initial.py"]])
    assert says(await run(make(yaml, TELLS), "def f(x, y):\n    1 / 0"), Status.CRASH, "line 2, in f.*ZeroDivision")


@asynchronous
@pytest.mark.parametrize(
    ("path", "pattern"),
    [("/nowhere/python", "/nowhere/python: can't be run"), ("/bin/true", "/bin/true: is no Python")],
)
async def test_an_interpreter_that_is_none(run: Run, make: Make, path: str, pattern: str) -> None:
    outcome = await run(make(f"entry: f\npython: {path}", TELLS, text=WHO))
    assert says(outcome, Status.EVALUATOR_ERROR, f"problem.yaml: python: {pattern}.*name a Python 3.9 or newer")


FRESH = "import sys\ndef f(x, y):\n    return ['numpy' in sys.modules, hash('text'), 'harness' in sys.modules]"


@asynchronous
@pytest.mark.parametrize(("profile", "warm"), [("python", True), ("exec", False)])
async def test_a_fresh_process_has_nothing_of_the_zygote(run: Run, make: Make, profile: str, warm: bool) -> None:
    yaml = f"entry: f\npreload: [numpy]\nstages: {{main: {{profile: {profile}, timeout_s: 20}}}}"
    problem = make(yaml, TELLS, text=FRESH)
    first, again = await run(problem), await run(problem)
    assert says(first, Status.OK) and first.feedback == again.feedback
    assert first.feedback.startswith(f"[{warm}, ") and first.feedback.endswith("False]")


NAMES = [
    "wire.py",
    "session.py",
    "guard.py",
    "harness.py",
    "harness/__init__.py",
    "msgpack.py",
    "json.py",
    "candidate.py",
]


@asynchronous
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("profile", ["python", "exec"])
async def test_files_named_like_ours_are_the_candidates(run: Run, make: Make, name: str, profile: str) -> None:
    module = name.removesuffix(".py").removesuffix("/__init__")
    yaml = f"entry: f\nstages: {{main: {{profile: {profile}}}}}"
    keeps = module in ("json", "candidate")  # in memory already: json is the library's, candidate is the entry
    source = f"import {module}\ndef f(x, y):\n    return getattr({module}, 'mine', None)"
    outcome = await run(make(yaml, TELLS), source, **{name: "mine = 7"})
    assert says(outcome, Status.OK, "None|7" if keeps or module == "msgpack" else "7")


# ---------------------------------------------------------------- files


@asynchronous
@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b/c", "a/b"), ("a/b", "a//b"), ("data", "x"), ("data/x", "y")])
async def test_names_that_collide_are_refused(run: Run, make: Make, names: tuple[str, str]) -> None:
    problem = make("entry: f", TELLS, **{"data/x": ""})
    outcome = await run(problem, "", **dict.fromkeys(names, ""))
    assert says(outcome, Status.INVALID, "both a file and a folder|same name|in the place of the problem's data/")


READS = """
import os
def tried(path):
    try:
        open(path, "a").close()
        return "written"
    except OSError:
        return "refused"
def f(x, y):
    return [open(p).read() for p in PATHS] + [tried(p) for p in (*PATHS, "data/new", "mine")]
"""


@asynchronous
async def test_mounts_and_data_are_read_only(run: Run, make: Make, tmp_path: Path, pool: Pool) -> None:
    (tmp_path / "table").write_text("mounted")
    problem = make(f"entry: f\nmounts: {{{tmp_path}: ro}}", TELLS, **{"data/x": "data"})
    outcome = await run(problem, f"PATHS = ['data/x', {str(tmp_path / 'table')!r}]\n{READS}")
    refused = "written" if pool.isolation == "bare" else "refused"  # which promises nothing else
    assert outcome.feedback == repr(["data", "mounted", refused, refused, refused, "written"])


# ---------------------------------------------------------------- GPUs

INFORMATION = "Model: \t\t Some GPU\nGPU UUID:   \t GPU-{minor}a\nBus Location: \t {bus}\nDevice Minor: \t {minor}\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A tree of files as a driver with two GPUs shows them, whose nodes are numbered against the order of the bus."""
    for bus, minor in (("0000:01:00.0", 1), ("0000:02:00.0", 0)):
        told = tmp_path / "proc/driver/nvidia/gpus" / bus / "information"
        told.parent.mkdir(parents=True)
        told.write_text(INFORMATION.format(bus=bus, minor=minor))
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "tty"):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    return tmp_path


def test_the_gpus_are_those_that_the_driver_tells_of(machine: Path) -> None:
    first, second = devices(str(machine))
    assert first == Gpu(index=0, minor=1, uuid="GPU-1a", model="Some GPU") and second.minor == 0
    assert nodes([first], str(machine)) == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm"]
    assert visible([first]) == {"CUDA_VISIBLE_DEVICES": "GPU-1a"}
    assert [chosen([first, second], words) for words in ("1", "GPU-1", "", "7")] == [[second], [first], [], []]


def test_a_stage_on_a_gpu_requires_one(make: Make) -> None:
    assert make("entry: f\nstages: {main: {profile: gpu}}", TELLS, text=WHO).requires == ("gpu",)


def test_without_a_driver_there_is_none(tmp_path: Path) -> None:
    assert devices(str(tmp_path)) == [] and nodes([], str(tmp_path)) == []


@asynchronous
@pytest.mark.skipif(bool(devices()), reason="has a GPU")
async def test_a_stage_on_a_gpu_is_skipped_without_one(run: Run, make: Make) -> None:
    outcome = await run(make("entry: f\nstages: {main: {profile: gpu}}", TELLS), WHO)
    assert says(outcome, Status.SKIPPED, "needs a GPU")


# ---------------------------------------------------------------- timing

RACE = """
from evaluators.timing import timed
from evolve.problem import Result
REFERENCE = {"initial.py": "import time\\ndef f(x):\\n    time.sleep(0.05)\\n    return x"}
def drive(instance, candidate):
    return timed(candidate, "f", list(range(1000)), repeats=3, reference=REFERENCE)
def score(instance, found):
    assert len(found.seconds) == len(found.reference_s) == 3
    assert all(0 < cpus < 0.9 for cpus in found.cpus), found.cpus
    return Result({"score": found.speedup}, feedback=repr([output[-1] for output in found.outputs]))
"""
SLOW = "import time\nn = 0\ndef f(x):\n    global n\n    n += 1\n    time.sleep(0.01 / n)\n    return x + [n]"


async def test_candidate_and_reference_are_timed_in_fresh_processes(run: Run, make: Make) -> None:
    problem = make("entry: f", RACE)
    outcome = await run(problem, SLOW)
    assert says(outcome, Status.OK, r"^\[1, 1, 1\]$")
    assert 1 < (outcome.score or 0) < 5.5
    assert says(await run(problem, "def f(x):\n    1 / 0"), Status.CRASH, "ZeroDivision")


def test_an_empty_call_takes_off_at_most_half_of_a_time() -> None:
    assert net([0.5, 0.125], 0.25) == [0.25, 0.0625]  # the empty one was slower than a call: the machine was busy
    assert net([0.5], 0.0) == [0.5]


def test_cpu_seconds_are_those_of_all_threads_of_a_process() -> None:
    def work() -> None:
        while time.thread_time() < 0.05:
            pass

    before = clock_s(os.getpid())
    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock_s(os.getpid()) - before >= 0.1
    assert clock_s(2**22 + 1) == 0.0  # there is no such process


async def test_a_failing_reference_is_the_evaluators_fault(run: Run, make: Make) -> None:
    problem = make("entry: f", RACE.replace("return x", "1 / 0"))
    assert says(await run(problem, SLOW), Status.EVALUATOR_ERROR, "in the candidate's place: .*ZeroDivision")


# ---------------------------------------------------------------- from end to end


@needs_cpp
async def test_a_run_on_cpp(primes: Problem, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    blocks = [*(CPP[name][0] for name in ("syntax", "segfault", "wrong")), "long count = n == 10 ? 4 : 168;"]
    answers = cycle(f"```cpp\n{cpp(primes, block)}```" for block in blocks)
    case = Case(
        root=tmp_path,
        provider=Scripted(lambda prompt, call: next(answers)),
        evaluator=Cascade(LocalPool(1)),
        budget=Budget(candidates=5),
    )
    case.problem = primes
    ended = await case.start()
    assert ended.state == "finished", ended
    assert {"ok", "build_failed", "crash"} <= set(case.status()["candidates"])


@needs_cpp
def test_check_tells_of_a_failed_build(tmp_path: Path, cache: Path) -> None:
    shutil.copytree(PRIMES, tmp_path / "primes")
    (tmp_path / "bad.cpp").write_text("int main() { return x; }")
    done = evolve("check", "primes", "--candidate", "bad.cpp", cwd=tmp_path, XDG_CACHE_HOME=str(cache))
    assert done.returncode == 1 and "build_failed" in done.stdout and "initial.cpp:1:21: error" in done.stdout
    assert "ok" in evolve("check", "primes", cwd=tmp_path, XDG_CACHE_HOME=str(cache)).stdout


def test_check_of_a_prompt(make: Make, tmp_path: Path) -> None:
    problem = make("entry: text", "def score(instance, output): return float(len(output))", "initial.md", "Ask.")
    assert "score 4" in evolve("check", str(problem.path), cwd=tmp_path).stdout
