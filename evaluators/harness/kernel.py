"""The kernel calls that the standard library lacks: namespaces, mounts, capabilities, process attributes."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from typing import Any

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
RDONLY, NOSUID, NODEV, NOEXEC, BIND, REC, PRIVATE = 1, 2, 4, 8, 0x1000, 0x4000, 0x40000
DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
AT_FDCWD, AT_RECURSIVE = -100, 0x8000

MACHINE = platform.machine()
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}.get(MACHINE, -1)
MOUNT_SETATTR, LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 442, 444, 445, 446  # the same on every machine
CAPABILITIES_V3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: Any) -> int:
    """Calls a function of the C library. Raises OSError where it returns a negative number."""
    result = int(getattr(libc, name)(*args))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(number: int, *args: Any) -> int:
    """Makes a system call by number. Raises OSError."""
    return call("syscall", *(ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in (number, *args)))


def unshare(flags: int) -> None:
    call("unshare", flags)


def enter_pid_namespace(descriptor: int) -> None:
    """Makes the children of this process members of that PID namespace."""
    call("setns", descriptor, NEWPID)


def mount(kind: str, target: str, flags: int = 0, options: str = "", source: str = "none") -> None:
    """Mounts; the kind is "" for a bind mount or a change of an existing one."""
    call("mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())


def bind(source: str, target: str) -> None:
    """Shows a file or folder, with all that is mounted in it, at another place, to be read only."""
    mount("", target, BIND | REC, source=source)
    freeze(target, AT_RECURSIVE)


def freeze(target: str, how: int = 0) -> None:
    """Makes a mount one that is only read from, without devices and set-user-id programs that work."""
    attributes = struct.pack("QQQQ", RDONLY | NOSUID | (NODEV if how else 0), 0, 0, 0)
    syscall(MOUNT_SETATTR, AT_FDCWD, target.encode(), how, attributes, ctypes.c_size_t(len(attributes)))


def unmount(target: str) -> None:
    call("umount2", target.encode(), DETACH)


def pivot_root(folder: str) -> None:
    """Makes a mount the root of this mount namespace and drops the old one."""
    os.chdir(folder)
    syscall(PIVOT_ROOT, b".", b".")
    unmount(".")
    os.chdir("/")


def set_hostname(name: str) -> None:
    call("sethostname", name.encode(), ctypes.c_size_t(len(name)))


def prctl(option: int, value: int, pointer: bytes | None = None) -> None:
    call("prctl", option, ctypes.c_ulong(value), pointer, ctypes.c_ulong(0), ctypes.c_ulong(0))


def drop_capabilities() -> None:
    """Gives up every capability, in all sets that a new program could be given some from."""
    call("capset", struct.pack("Ii", CAPABILITIES_V3, 0), bytes(24))
