"""Landlock: which files a candidate may open, and that its signals and sockets stay within the sandbox (where known).

Every right that the kernel knows is handled, so what no rule grants is refused. Needs no privilege. `/proc` is granted to
nobody but by a rule of its own.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from .kernel import LANDLOCK_ADD, LANDLOCK_CREATE, LANDLOCK_RESTRICT, PR_SET_NO_NEW_PRIVS, prctl, syscall

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
ALL = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}  # by ABI: rights on files
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
READ = EXECUTE | READ_FILE | READ_DIR
NETWORK = 3  # bind and connect TCP, since ABI 4
SCOPES = 3  # abstract sockets and signals, since ABI 6
KNOWS_TRUNCATION, SCOPES_SIGNALS = 3, 6


def abi() -> int:
    """Returns the version that the kernel has, 0 for none."""
    try:
        return syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    except OSError:
        return 0


class Ruleset:
    """What may be opened; made and applied by each candidate's process itself."""

    def __init__(self) -> None:
        version = abi()
        self._all = next(rights for least, rights in sorted(ALL.items(), reverse=True) if version >= least)
        attributes = struct.pack("QQQ", self._all, NETWORK if version >= 4 else 0, SCOPES if version >= 6 else 0)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        self._descriptor = syscall(LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), 0)

    def allow(self, path: str, write: bool = False) -> None:
        """Grants reading and running, or everything, beneath a path that exists."""
        self._grant(path, self._all if write else READ)

    def allow_listing(self, path: str) -> None:
        """Grants the names of what is beneath a folder, as the import of modules needs."""
        self._grant(path, READ_DIR)

    def _grant(self, path: str, rights: int) -> None:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= OF_FILES
            rule = struct.pack("=Qi", rights & self._all, descriptor)
            syscall(LANDLOCK_ADD, self._descriptor, 1, rule, 0)
        finally:
            os.close(descriptor)

    def restrict_self(self) -> None:
        """Applies to this thread and all that it starts. There is no way back."""
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        syscall(LANDLOCK_RESTRICT, self._descriptor, 0)
