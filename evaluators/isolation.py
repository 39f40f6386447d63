"""The levels of isolation as the trusted side sees them: what a candidate may read at each, and which the machine has."""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgpack

from evaluators import gpu
from evaluators.environment import PACKAGES, Interpreter, interpreter
from evaluators.harness import landlock, seccomp
from evolve.finding import installed
from evolve.problem import Problem

HARNESS = str(Path(__file__).resolve().parent / "harness")
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
FILES = ("/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo")  # guarded
OURS = ("evolve", "evaluators", "problems", "configs")
FIRST_UID, UIDS = 60_000, 5_000  # of candidates, where root starts them
CAP_SETUID = 1 << 7
NO_PROBLEM = Problem(
    name="", path=Path("/-"), description="", entry="", edit=(), initials=(), objectives={}, stages=()
)  # of a zygote that only shows whether a level can be had


def lacking(level: str) -> str:
    """Returns why a level can't be had here as far as that is known without trying; "" otherwise."""
    if level == "bare":
        return ""
    if not seccomp.available():
        return f"no system call filter is known for {os.uname().machine}"
    return "" if level == "strict" or landlock.abi() else "the kernel has no Landlock (Linux 5.13)"


def plan(level: str, problem: Problem, home: str) -> dict[str, Any]:
    """Returns what a zygote is told: its level, and what candidates may read.

    `reads` are whole folders (their own root shows them), `hidden` what is taken out of them; `granted` and `listed` say
    the same to Landlock, which can only grant. `library` is for interpreters that may lack what the harness imports.
    """
    chosen = interpreter(problem.python)
    library = _library(home) if problem.python else ""
    needs_gpu = any(stage.profile == "gpu" for stage in problem.stages)
    reads = list(_outermost([*SYSTEM, *_readable(problem), *problem.mounts, *(gpu.READS if needs_gpu else ())]))
    hidden = [path for path in _hidden(problem) if _within(path, reads)]
    shown = [*reads, *filter(None, [problem.data, library]), HARNESS, *FILES]
    granted, listed = _granted(shown, hidden) if level == "guarded" else ([], [])
    return {
        "level": level,
        "uid": _candidates_uid(level, problem),
        "home": home,
        "harness": HARNESS,
        "library": library,
        "python": chosen.argv,
        "data": problem.data,
        "reads": reads,
        "hidden": hidden,
        "granted": granted,
        "listed": [*listed, os.path.dirname(HARNESS)],  # where a fresh process finds the package
        "devices": gpu.nodes(gpu.assigned()) if needs_gpu else [],
        "preload": list(problem.preload),
    }


def _library(home: str) -> str:
    """Returns a new folder with msgpack in pure Python, which runs on any interpreter."""
    folder = Path(home, "library")
    source = Path(str(msgpack.__file__)).parent
    shutil.copytree(source, folder / "msgpack", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for place in (folder, *folder.rglob("*")):  # whatever the umask: a candidate of another user reads them
        place.chmod(0o755 if place.is_dir() else 0o644)
    return str(folder)


def _candidates_uid(level: str, problem: Problem) -> int:
    """Returns the user id of this worker's candidates: one of their own where root may give it."""
    own = os.geteuid()
    if own or level == "bare":
        return own
    uid = FIRST_UID + os.getpid() % UIDS
    ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    mapped = any(first <= uid < first + count for first, _, count in ranges)
    status = Path("/proc/self/status").read_text()
    capable = int(status.partition("CapEff:")[2].split()[0], 16) & CAP_SETUID
    shown = [*problem.mounts, *filter(None, [problem.data])]
    if level == "strict":  # which shows them at places of its own
        reached = all(_is_open(Path(path)) for path in shown)
    else:
        harness = [HARNESS] if any(stage.profile != "python" for stage in problem.stages) else []  # for a fresh process
        reached = all(map(_open_to_all, [*_readable(problem), *shown, *harness]))
    return uid if mapped and capable and reached else own


def _open_to_all(path: str) -> bool:
    """Says whether every user can reach a path (what is in root's home, say, they can't)."""
    real = Path(os.path.realpath(path))
    return _is_open(real) and all(map(_is_open, real.parents))


def _is_open(place: Path) -> bool:
    """Says whether every user may enter a folder, or read a file."""
    return bool(place.stat().st_mode & (stat.S_IXOTH if place.is_dir() else stat.S_IROTH))


def _readable(problem: Problem) -> list[str]:
    """Returns the folders of the candidates' interpreter, its libraries and those of its dynamic linker."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    paths = [*interpreter(problem.python).folders, *filter(None, libraries)]
    return [path for path in paths if path != "/" and os.path.isabs(path) and os.path.exists(path)]


def _outermost(paths: Iterable[str]) -> Iterator[str]:
    """Returns the paths that exist, by their own names and by those that links in them stand for, none within another."""
    found = {p for path in paths if os.path.exists(path) for p in (os.path.abspath(path), os.path.realpath(path))}
    kept: list[str] = []
    for path in sorted(found):
        if not _within(path, kept):
            kept.append(path)
            yield path


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders if not os.path.islink(folder))


def _hidden(problem: Problem) -> Iterator[str]:
    """Returns the folders that no candidate may read: the problem's, ours, and other installed problems."""
    specs = [spec for name in OURS if (spec := importlib.util.find_spec(name)) is not None]
    found = [str(problem.path), *(place for spec in specs for place in spec.submodule_search_locations or ())]
    for packages in {*_packages(interpreter()), *_packages(interpreter(problem.python))}:
        found += [f"{packages}/{name}" for name in OURS]  # another interpreter may have an Evolve of its own
        scorers = [*glob.glob(f"{packages}/*/evaluator.py"), *glob.glob(f"{packages}/*/*/evaluator.py")]
        found += filter(_is_problem, map(os.path.dirname, scorers))
    found += [str(one.package) for one in installed() if one.package]
    return _outermost(found)


def _packages(chosen: Interpreter) -> Iterator[str]:
    """Returns the folders of an interpreter's installed packages."""
    for folder in chosen.folders:
        yield from [folder] if os.path.basename(folder) in PACKAGES else glob.glob(f"{folder}/lib/python*/*-packages")


def _is_problem(folder: str) -> bool:
    return bool(glob.glob(f"{folder}/initial*")) or os.path.exists(f"{folder}/problem.yaml")


def _granted(paths: Iterable[str], hidden: list[str]) -> tuple[list[str], list[str]]:
    """Returns the paths to grant so that nothing hidden is, and the folders on the way, whose names may be listed."""
    granted, listed = [], []
    waiting = [os.path.realpath(path) for path in paths if os.path.exists(path)]
    for path in waiting:  # grows while it is read
        if path in hidden:
            continue
        if _holds(path, hidden):
            listed.append(path)
            waiting += [entry.path for entry in os.scandir(path) if not entry.is_symlink()]
        else:
            granted.append(path)
    return granted, listed


def _holds(folder: str, paths: list[str]) -> bool:
    return any(path.startswith(folder + "/") for path in paths)
