"""What keeps a candidate within its bounds at each level of isolation: where its process starts, and what it gives up.

strict: the container's namespaces, and all of guarded. guarded: another user id where root allows, Landlock, seccomp, no
capabilities. bare: rlimits alone. At every level the process starts with an empty environment and its whole tree is ended.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from . import cgroup, container, kernel, landlock, seccomp, tree

BOOT = """import sys
sys.path[:] = {folders!r} + [folder for folder in sys.path if folder]
from {package}.{module} import main
sys.path[:] = sys.path[{count}:]
for name in [name for name in sys.modules if name.partition(".")[0] in {forgotten!r}]:
    del sys.modules[name]
main()"""
OWN_PROC = (
    "auxv", "cgroup", "cmdline", "comm", "cpuset", "environ", "fdinfo", "io", "limits", "maps", "mem", "mountinfo", "mounts",
    "numa_maps", "oom_score", "pagemap", "smaps", "smaps_rollup", "stat", "statm", "status",
)  # fmt: skip
"""Of a candidate's own /proc, what it may read at *guarded*: not `net`, which tells of the machine's connections."""
UNCOUNTED_NICE = 15  # so that whoever counts a tree of processes gets to do so, where the kernel can't
PROCESSES = 64  # of a candidate, threads included where the kernel counts


def started(harness: str, module: str, library: str = "") -> list[str]:
    """Returns the interpreter's arguments that run `main` of a module of the harness, of which nothing stays importable.

    `library` is the folder of a msgpack for interpreters that may have none.
    """
    parent, package = os.path.split(harness)
    folders = [parent, library] if library else [parent]
    forgotten = [package, "msgpack"] if library else [package]  # a candidate's own modules of these names are its own
    text = BOOT.format(folders=folders, package=package, module=module, count=len(folders), forgotten=forgotten)
    return ["-c", text]


def _import_only_from(folders: list[str]) -> None:
    """Forgets the places of modules that no candidate may read, such as a checkout that is installed by its path."""
    sys.path[:] = [path for path in sys.path if any(path.startswith(folder) for folder in folders)]
    sys.path_importer_cache.clear()


class Guard:
    """Forks candidates' processes and confines them. Made in the process that becomes the zygote."""

    def __init__(self, plan: Mapping[str, Any]):
        self.level = plan["level"]
        inside = {"harness": container.HARNESS, "library": plan["library"] and container.LIBRARY}
        self._places = inside if self.level == "strict" else plan
        self._uid = plan["uid"]
        self._changes_uid = self.level != "bare" and os.geteuid() == 0 and self._uid != 0
        self._container = container.Container.enter(plan) if self.level == "strict" else None
        counted = self._container is not None or self._changes_uid
        self._processes = PROCESSES + 8 if counted else 0
        self._group = None if counted else cgroup.ProcessGroup.made(PROCESSES + 8)
        self._plan = plan
        self._landlock = landlock.abi()
        self._filter = b""
        if self.level != "bare":
            signals = self._landlock >= landlock.SCOPES_SIGNALS or self._container is not None
            contained = self._container is not None
            self._filter = seccomp.program(
                signals=signals,
                attributes=contained,
                truncation=contained or self._landlock >= landlock.KNOWS_TRUNCATION,
                shared_memory=bool(plan["devices"]),
            )
        _import_only_from(plan["reads"])

    def _rules(self, scratch: str) -> landlock.Ruleset:
        """Returns what the calling process may open. Made for each candidate: a rule is of one folder, not of its name."""
        rules = landlock.Ruleset()
        if self.level == "strict":
            rules.allow("/")
        else:
            own = f"/proc/{os.getpid()}"
            for path in (*self._plan["granted"], *(f"{own}/{name}" for name in OWN_PROC)):
                if os.path.exists(path):
                    rules.allow(path)
            for path in (*self._plan["listed"], own):
                rules.allow_listing(path)
        rules.allow("/dev/zero")  # not to be written to: a shared map of it is memory that no process need hold
        for path in (
            scratch,
            *(f"/dev/{name}" for name in container.DEVICES if name != "zero"),
            *self._plan["devices"],
        ):
            rules.allow(path, write=True)
        return rules

    @property
    def scratch(self) -> str | None:
        """Where a candidate's files are, None where the spawner says it."""
        return container.SCRATCH if self._container else None

    def command(self, module: str, *arguments: str) -> list[str]:
        """Returns what starts a module of the harness in a fresh interpreter."""
        code = started(self._places["harness"], module, self._places["library"])
        return [*self._plan["python"], *code, *arguments]

    def fork(self) -> int:
        return self._container.fork() if self._container else os.fork()

    def end(self, child: int) -> tuple[int, float, float]:
        """Ends a candidate's processes and takes away what it had; returns exit code, CPU seconds and peak MB."""
        used = tree.end_all(child, contained=self._container is not None)
        if self._container:
            self._container.clear()
        return used

    def close(self) -> None:
        """Leaves nothing behind."""
        if self._group:
            self._group.remove()

    def confine(self, limits: Mapping[str, int], scratch: str) -> None:
        """Binds the calling process, which becomes a candidate's. There is no way back."""
        tree.set_limits(**limits, processes=self._processes)
        if self._group:
            self._group.enter()
        elif not self._processes:
            os.nice(UNCOUNTED_NICE)
        if self.level == "bare":
            return
        if self._changes_uid:
            os.setgroups([])
            os.setresgid(self._uid, self._uid, self._uid)
            os.setresuid(self._uid, self._uid, self._uid)
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # which a change of ids takes away
        kernel.drop_capabilities()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # its own /proc stays its own, and the worker may weigh it
        if self._landlock:
            self._rules(scratch).restrict_self()
        seccomp.install(self._filter)
