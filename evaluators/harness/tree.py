"""Ends every descendant of this process and tells what they used.

Needs this process to be a subreaper, so that orphans of a dead child come to it. Does not cover: a process that forks
faster than it is found (a fork bomb is stopped only by a process limit or a PID namespace), and nothing outlives this
process's own death but what a dead child had orphaned in that moment.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import kernel

ORPHANED = signal.SIGUSR1  # a worker's death; its wish that a zygote should end is SIGTERM
ENDS = (signal.SIGTERM, ORPHANED)
WORKER = "evolve-worker-"  # begins the name of a worker's folder
terminations: list[int] = []
"""Holds which of these have come, where that is only noted."""


def die_with_parent(parent: int, signum: int = signal.SIGKILL) -> None:
    """Asks for a signal when the thread that started this process ends; ends at once if `parent` is already gone."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Makes this process the subreaper of its descendants."""
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)


def descendants(pid: int, most: int = 1 << 30) -> list[int]:
    """Returns the descendants of a process, parents before children; no more of them are looked for once `most` are found."""
    found = [pid]
    children = _listed()
    for parent in found:  # grows while it is read
        found += children(parent)
        if len(found) > most:
            break
    return found[1:]


def _listed() -> Callable[[int], list[int]]:
    """Returns what lists a process's children."""
    return _children if os.path.exists(f"/proc/self/task/{os.getpid()}/children") else _children_by_scan()


def _children(pid: int) -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for task in os.scandir(f"/proc/{pid}/task"):
            found += [int(word) for word in Path(task, "children").read_text().split()]
    return found


def _children_by_scan() -> Callable[[int], list[int]]:
    """Serves kernels that list no children: reads every process's parent once."""
    parents: dict[int, list[int]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parent = int(Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry))
    return lambda pid: parents.get(pid, [])


def _kill_descendants() -> list[int]:
    """Kills the descendants that are not in this process's own session (what evaluator.py started is); returns them."""
    children, own, killed = _listed(), os.getsid(0), []
    waiting = children(os.getpid())
    for pid in waiting:  # grows while it is read
        with contextlib.suppress(ProcessLookupError, PermissionError):
            waiting += children(pid)
            if os.getsid(pid) == own:
                continue
            killed.append(pid)
            os.killpg(os.getpgid(pid), signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
    return killed


def end_strangers() -> None:
    """Kills and reaps the descendants that a dead child of this process left, the ones in sessions of their own."""
    while killed := _kill_descendants():
        for pid in killed:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def kill(pids: list[int]) -> None:
    """Sends SIGKILL to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_all(first: int, contained: bool = False) -> tuple[int, float, float]:
    """Kills and reaps all descendants; returns the exit code of child `first`, and CPU seconds and peak MB of all.

    Groups are killed whole, which no fork escapes, and each process right after its children are listed; who loses its
    parent becomes a child of this process. `contained`: `first` is the first process of a PID namespace, which takes all of
    it along.
    """
    code, cpu_s, memory_mb = -signal.SIGKILL, 0.0, 0.0
    wait = 0
    while True:
        if not wait:
            kill([first])
            if not contained:
                _kill_descendants()
        try:
            pid, status, usage = os.wait4(-1, wait)
        except ChildProcessError:
            return code, cpu_s, memory_mb
        wait = os.WNOHANG if pid else 0  # all that are dead, before the next look
        code = os.waitstatus_to_exitcode(status) if pid == first else code
        cpu_s += usage.ru_utime + usage.ru_stime
        memory_mb = max(memory_mb, usage.ru_maxrss / 1024)


def remove(folder: str) -> None:
    """Removes a folder, whatever a candidate made of it: folders too deep to be named, or closed to their owner."""
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], check=False, stderr=subprocess.DEVNULL)


def remove_worker(home: str) -> None:
    """Removes a dead worker's folder, ours in it, and no other: whoever had made it may be dead as well."""
    if os.path.basename(home).startswith(WORKER):
        remove(home)


def set_limits(*, memory_mb: int, cpu_s: int, file_mb: int, files: int, processes: int) -> None:
    """Sets this process's rlimits; `memory_mb` is added to the address space that it has already; 0 is no limit."""
    limits = {
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
        resource.RLIMIT_FSIZE: (file_mb << 20,) * 2,
        resource.RLIMIT_NOFILE: (files,) * 2,
        resource.RLIMIT_CORE: (1, 1),  # too small for a file, and, unlike 0, for a program that the host hands them to
    }
    if memory_mb:
        limits[resource.RLIMIT_AS] = (_address_space() + (memory_mb << 20),) * 2
    if processes:
        limits[resource.RLIMIT_NPROC] = (processes,) * 2
    for kind, limit in limits.items():
        resource.setrlimit(kind, limit)


def _address_space() -> int:
    """Returns how many bytes this process has; where no /proc tells, as many as one with large libraries."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return 2 << 30
