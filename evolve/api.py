"""The Python API: a problem of Python functions, a search in a notebook or a script, and stored runs opened."""

from __future__ import annotations

import asyncio
import importlib
import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from evolve import session
from evolve.capture import Capture
from evolve.cli import authoring
from evolve.cli.screen import OneLine, line_for
from evolve.errors import ProblemError, RunError, UsageError
from evolve.folder import folder_files
from evolve.lineage import Run
from evolve.loading import load_problem
from evolve.problem import HOOKS, TEXT
from evolve.runner.launch import Ended, Screen
from evolve.runner.runner import Runner

Code = str | Mapping[str, str] | Callable[..., Any]
"""A candidate: its text, its files, or a function, which is written with what it uses."""


class Problem:
    """A problem made of Python functions: they are written as a folder like any other, with the names that they use.

    `score(instance, output)`, `instances(stage, rng)` (or a list of them) and, where given, `drive`, `services`, `aggregate`
    and `model` are those of evaluator.py, as they are now. `initial` is a program's text, its files, or a function. The
    other keywords are the keys of problem.yaml. Raises ProblemError for what can't be written or means nothing.
    """

    def __init__(
        self, *, score: Any, instances: Any = None, initial: Code | None = None, name: str = "notebook", **keys: Any
    ):
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name):
            raise UsageError(f"name={name!r}: names a folder; use letters, digits, _ and -")
        if instances is not None:
            keys["instances"] = instances if callable(instances) else _listing(instances)
        given = {hook: found for hook in HOOKS if (found := keys.pop(hook, None)) is not None}
        self.name, self.files = name, Capture({**given, "score": score}, "evaluator.py").files
        self._edit = "initial.md" if keys.get("entry") == TEXT else "initial.py"
        if initial is not None:
            folder = "initial/" if isinstance(initial, Mapping) else ""
            self.files |= {folder + path: text.encode() for path, text in self._candidate(initial).items()}
            keys = {**({"entry": initial.__name__} if callable(initial) else {}), **keys}
        try:
            self.files["problem.yaml"] = yaml.safe_dump(keys, sort_keys=False, allow_unicode=True).encode()
        except yaml.YAMLError as error:
            raise UsageError(f"problem.yaml can't hold {error.args[-1]!r}; give plain Python data") from None
        with self._folder() as place:
            self._edit = load_problem(place).edit[0]

    def save(self, folder: str | Path) -> Path:
        """Writes the problem's folder, for `evolve run problem=FOLDER`. Raises UsageError where something else is there."""
        folder = Path(folder).expanduser()
        for path in folder_files(folder):
            if self.files.get(path.relative_to(folder).as_posix()) != path.read_bytes():
                raise UsageError(f"{path}: is there already, and not of this problem; name a new folder")
        if odd := [name for name in self.files if ".." in name.split("/")]:
            raise UsageError(f"{odd[0]}: is not in the problem's folder; name files without '..'")
        try:
            for name, content in self.files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        except OSError as error:
            raise RunError(f"{folder}: can't be written ({error.strerror})") from None
        return folder

    def check(self) -> dict[str, Any]:
        """Returns what `evolve check --json` prints: status, score, metrics, stages, feedback and advice."""
        with self._folder() as place:
            return _apart(authoring.examined, place)

    def evaluate(self, code: Code | None = None, debug: bool = False) -> dict[str, Any]:
        """Evaluates a candidate, the initial program by default; returns what `evolve check --json` prints, without advice.

        With `debug` it and the functions run in this process, as they are written: `breakpoint()` works, tracebacks are
        printed, nothing holds the candidate back, and the random generators of this process are seeded.
        """
        files = {} if code is None else self._candidate(code)
        with self._folder() as place:
            if not debug:
                return _apart(authoring.tried, place, files, False)
            try:
                return authoring.tried(place, files, debug=True)
            finally:
                importlib.import_module("evaluators.debug").unload(place)

    def run(self, overrides: Sequence[str] = (), *, seed: int | None = None, background: bool = True) -> LiveRun:
        """Searches, by default in the background with one live line; the problem is kept in runs/problems for a resume."""
        content = repr(sorted(self.files.items())).encode()
        kept = self.save(Path("runs", "problems", sha256(content).hexdigest()[:16], self.name))
        return run(kept, overrides, seed=seed, background=background)

    def _candidate(self, code: Code) -> Mapping[str, str]:
        if isinstance(code, str):
            return {self._edit: code}
        if isinstance(code, Mapping) and all(isinstance(part, str) for pair in code.items() for part in pair):
            return code
        if not callable(code):
            raise UsageError(f"{code!r}: is no candidate; give its text, its files {{path: text}}, or a function")
        files = Capture({code.__name__: code}, self._edit).files
        if len(files) > 1:
            raise ProblemError(
                f"{code.__name__}: uses {', '.join(list(files)[:-1])}, which no candidate can read; pass it in"
            )
        return {path: text.decode() for path, text in files.items()}

    @contextmanager
    def _folder(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="evolve-") as place:
            yield str(self.save(Path(place).resolve() / self.name))


def _listing(given: Any) -> Any:
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise UsageError(f"instances={given!r}: must be a list of inputs or a function (stage, rng)")
    _instances = list(given)

    def instances(stage: Any, rng: Any) -> Any:
        return _instances

    return instances


def _apart(work: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """Calls what runs an event loop in a thread, since one may be running here (a notebook's)."""
    with ThreadPoolExecutor(1, thread_name_prefix="evolve") as thread:
        return thread.submit(work, *args).result()


class LiveRun(Run):
    """A run that a thread of this process carries out; it is read like any other, while it runs and afterwards."""

    def __init__(self, run: Run, carried: _Carried):
        super().__init__(run.ref, run.store)
        self._carried = carried

    def wait(self, timeout_s: float | None = None) -> LiveRun:
        """Waits for the end. Raises RunError when the run fails; TimeoutError or an interrupt leave it going."""
        ended = self._carried.ended.result(timeout_s)
        if ended.fault is not None:
            raise ended.fault
        if ended.state == "failed":
            raise RunError(ended.reason)
        return self

    def stop(self, now: bool = False) -> None:
        """Has the run end, after what is in flight or at once; `wait` waits for that, `evolve resume` goes on."""
        self._carried.stop(now)


class _Carried:
    """A session in a thread of its own, and the screen by which it tells that it has begun."""

    def __init__(self, words: Sequence[str], screen: Screen):
        self.begun: Future[tuple[asyncio.AbstractEventLoop, Runner]] = Future()
        self.ended: Future[Ended] = Future()
        self._screen = screen
        Thread(target=self._carry_out, args=(words,), name="evolve").start()

    def note(self, kind: str, text: str) -> None:
        self._screen.note(kind, text)

    def watch(self, runner: Runner) -> Any:
        self.begun.set_result((asyncio.get_running_loop(), runner))
        return self._screen.watch(runner)

    def stop(self, now: bool) -> None:
        """Stops the run as soon as it has begun."""

        def end(begun: Future[tuple[asyncio.AbstractEventLoop, Runner]]) -> None:
            loop, runner = begun.result()
            with suppress(RuntimeError):  # its loop is closed: it has ended
                loop.call_soon_threadsafe(runner.halt if now else runner.drain)

        self.begun.add_done_callback(end)

    def _carry_out(self, words: Sequence[str]) -> None:
        try:
            self.ended.set_result(asyncio.run(session.run(words, self)))
        except BaseException as error:  # noqa: BLE001 the thread's edge: raised where the result is taken
            self.ended.set_exception(error)


def run(
    problem: str | Path | Problem | None = None,
    overrides: Sequence[str] = (),
    *,
    seed: int | None = None,
    background: bool = False,
    **parts: Any,
) -> LiveRun:
    """Runs a search, to its end or in the `background` with one live line; works inside a running event loop too (a notebook).

    `problem` is a name, a folder or a Problem; without one `parts` make it: `run(initial=source, score=fn)`. `overrides` are
    those of the command line. A run in the background is returned once its initial program is evaluated. Raises EvolveError
    as the command line would print it, RunError when the run fails. An interrupt of what this waits for drains the run, a
    second one ends it at once.
    """
    if parts and problem is not None:
        raise UsageError(f"problem={problem}: is one already; leave it out, or {', '.join(parts)}")
    if isinstance(overrides, str):
        raise UsageError(f"overrides={overrides!r}: must be a list of KEY=VALUE, [{overrides!r}]")
    problem = Problem(**parts) if parts else problem
    if isinstance(problem, Problem):
        return problem.run(overrides, seed=seed, background=background)
    words = [f"problem={problem or 'circle_packing'}", *overrides, *([] if seed is None else [f"seed={seed}"])]
    carried, now = _Carried(words, line_for(sys.stdout) if background else OneLine(io.StringIO())), False
    while True:
        try:
            wait_for(list[Future[Any]]((carried.begun, carried.ended)), return_when=FIRST_COMPLETED)
            if not carried.begun.done():
                carried.ended.result()  # raises why it can't begin
            live = LiveRun(Run.open(carried.begun.result()[1].where), carried)
            return live if background else live.wait()
        except KeyboardInterrupt:
            carried.stop(now)
            now = True


def open_run(run: str | Path) -> Run:
    """Opens a stored run: a directory, `latest`, a unique prefix of its id, or URL#run_id."""
    return Run.open(run)
