"""The container of a worker's zygote: user, mount, network, IPC, UTS and PID namespaces with a root of their own.

Made once per zygote, for root and for an ordinary user alike. Its root holds what the plan names, to be read only, and a
place for one scratch folder; each candidate then gets a PID namespace, a scratch folder and a /proc of its own. Does not
cover: the kernel's own faults; what the interpreter's prefix holds besides libraries; /proc where the outer one is partly
covered (then there is none).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from . import kernel, tree

SCRATCH = "/scratch"
DATA = "/data"
HARNESS = "/harness"
LIBRARY = "/library"
SCRATCH_MB, SCRATCH_FILES = 256, 10_000
DEVICES = ("null", "zero", "full", "random", "urandom")
ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
NAMESPACES = kernel.NEWUSER | kernel.NEWNET | kernel.NEWIPC | kernel.NEWUTS | kernel.NEWPID
LIMITS = kernel.NOSUID | kernel.NODEV


class Container:
    """This process is the first of a container and forks its candidates, one at a time."""

    def __init__(self, uid: int, namespace: int, has_proc: bool):
        self._uid = uid
        self._namespace = namespace
        self._has_proc = has_proc

    @classmethod
    def enter(cls, plan: Mapping[str, Any]) -> Container:
        """Returns in a new process, inside; the caller stays outside and waits for it. Raises OSError."""
        fault, tell = os.pipe()  # what went wrong inside
        _new_namespaces()
        pid = os.fork()
        if pid:
            os.close(tell)
            reason = _read(fault)
            if reason:
                os.waitpid(pid, 0)
                raise OSError(reason)
            _wait(pid)
        os.close(fault)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            kernel.unshare(kernel.NEWNS)  # here: the one outside still has to find a dead worker's folder
            namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
            container = cls(plan["uid"], namespace, build(plan))
        except BaseException as error:  # noqa: BLE001 the process's edge: told to the one outside
            os.write(tell, f"{type(error).__name__}: {error}"[:500].encode())
            os._exit(1)
        os.close(tell)
        return container

    def fork(self) -> int:
        """Forks the first process of a new PID namespace, with an empty scratch folder and a /proc of its own."""
        options = f"size={SCRATCH_MB}m,nr_inodes={SCRATCH_FILES},mode=0700,uid={self._uid}"
        kernel.mount("tmpfs", SCRATCH, LIMITS, options)
        kernel.unshare(kernel.NEWPID)
        pid = os.fork()
        if pid:
            kernel.enter_pid_namespace(self._namespace)
        elif self._has_proc:
            kernel.mount("proc", "/proc", LIMITS | kernel.NOEXEC | kernel.RDONLY)
        return pid

    def clear(self) -> None:
        """Takes away what the last candidate had."""
        for place in (SCRATCH, "/proc") if self._has_proc else (SCRATCH,):
            with contextlib.suppress(OSError):
                kernel.unmount(place)


def _read(descriptor: int) -> str:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read().decode("utf-8", "replace")


def _wait(pid: int) -> NoReturn:
    """Ends with the container's first process, and ends it when told to end."""

    def end(number: int, _: object) -> None:
        tree.terminations.append(number)
        tree.kill([pid])

    for number in tree.ENDS:
        signal.signal(number, end)
    os.closerange(3, 4096)
    os.waitpid(pid, 0)
    raise SystemExit(0)


def _new_namespaces() -> None:
    """Unshares all but the mounts; ids stay what they are outside (root's all, a user's own)."""
    uid, gid = os.geteuid(), os.getegid()
    if uid:
        kernel.unshare(NAMESPACES)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        return
    maps = {name: _identity(Path("/proc/self", name).read_text()) for name in ("uid_map", "gid_map")}
    ready, unshared = os.pipe()
    me = os.getpid()
    helper = os.fork()  # only a process outside may map more than one id
    if not helper:
        os.close(unshared)
        os.read(ready, 1)
        with contextlib.suppress(OSError):
            for name, text in maps.items():
                Path(f"/proc/{me}/{name}").write_text(text)
        os._exit(0)
    kernel.unshare(NAMESPACES)
    os.close(unshared)
    os.close(ready)
    os.waitpid(helper, 0)
    if not Path("/proc/self/uid_map").read_text().strip():
        raise PermissionError("the ids of a user namespace can't be mapped")


def _identity(outer: str) -> str:
    """Returns the map that leaves every id as it is, of those that exist out here."""
    return "".join(f"{line.split()[0]} {line.split()[0]} {line.split()[2]}\n" for line in outer.splitlines())


def build(plan: Mapping[str, Any]) -> bool:
    """Makes the new root and enters it; says whether a /proc can be had there."""
    os.umask(0o022)  # whatever the host's: a candidate of another user finds what is made here
    root = plan["home"] + "/root"
    os.makedirs(root, exist_ok=True)
    kernel.mount("", "/", kernel.REC | kernel.PRIVATE)
    kernel.mount("tmpfs", root, LIMITS, "size=16m,mode=0755")
    for path in sorted(
        plan["reads"], key=os.path.islink
    ):  # what links stand for may lie in a folder that is shown whole
        _show(root, path)
    for name in ETC:
        if os.path.exists(f"/etc/{name}"):
            _show(root, f"/etc/{name}")
    kernel.bind(plan["harness"], _folder(root + HARNESS))
    for name, place in (("data", DATA), ("library", LIBRARY)):
        if plan[name]:
            kernel.bind(plan[name], _folder(root + place))
    for path in plan["hidden"]:
        _cover(root + path)
    _devices(root, plan["devices"])
    _users(root, plan["uid"])
    has_proc = _proc(_folder(root + "/proc"))
    _folder(root + SCRATCH)
    for link in ("/tmp", "/var/tmp", "/dev/shm"):
        os.makedirs(os.path.dirname(root + link), exist_ok=True)
        if not os.path.lexists(root + link):
            os.symlink(SCRATCH, root + link)
    kernel.set_hostname("sandbox")
    kernel.pivot_root(root)
    kernel.freeze("/")
    return has_proc


def _proc(place: str) -> bool:
    try:
        kernel.mount("proc", place, LIMITS | kernel.NOEXEC)
    except OSError:  # the outer one may be covered in part, as in some containers
        return False
    return True


def _show(root: str, path: str) -> None:
    """Shows a path at its own place; a link stays a link, its target is shown as well."""
    target = root + path
    if os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        os.symlink(os.readlink(path), target)
        _show(root, os.path.realpath(path))
    elif os.path.isdir(path):
        kernel.bind(path, _folder(target))
    elif os.path.exists(path):
        kernel.bind(path, _file(target))


def _folder(path: str) -> str:
    os.makedirs(path, exist_ok=True)
    return path


def _file(path: str) -> str:
    Path(path).touch()
    return path


def _cover(path: str) -> None:
    """Puts nothing in the place of a file or folder that is beneath one that is shown."""
    if os.path.isdir(path):
        kernel.mount("tmpfs", path, LIMITS | kernel.RDONLY, "size=4k,mode=0555")
    elif os.path.exists(path):
        kernel.bind("/dev/null", path)


def _devices(root: str, more: list[str]) -> None:
    _folder(root + "/dev")
    for path in [*(f"/dev/{name}" for name in DEVICES), *more]:
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        kernel.mount("", _file(root + path), kernel.BIND, source=path)
        kernel.freeze(root + path)  # its times; who may write to a device still may
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        os.symlink(f"/proc/self/fd{target}", f"{root}/dev/{name}")


def _users(root: str, uid: int) -> None:
    _folder(root + "/etc")
    Path(root, "etc/passwd").write_text(f"candidate:x:{uid}:{uid}::{SCRATCH}:/bin/sh\n")
    Path(root, "etc/group").write_text(f"candidate:x:{uid}:\n")
