"""A control group that bounds how many processes a candidate has, for where neither a user id nor a namespace can.

Needs a hierarchy that this process may write (root outside containers, as a rule); versions 1 and 2.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class ProcessGroup:
    """Holds at most `most` processes at once; made by the zygote, entered by each candidate's process."""

    def __init__(self, folder: Path, most: int):
        self._folder = folder
        folder.mkdir(exist_ok=True)
        try:
            (folder / "pids.max").write_text(str(most))
        except OSError:
            folder.rmdir()
            raise

    @classmethod
    def made(cls, most: int) -> ProcessGroup | None:
        """Returns one where it can be had."""
        for parent in _parents():
            _sweep(parent)
            with contextlib.suppress(OSError):
                return cls(parent / f"evolve-{os.getpid()}", most)
        return None

    def enter(self) -> None:
        (self._folder / "cgroup.procs").write_text("0")

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def _sweep(parent: Path) -> None:
    """Removes the groups of zygotes that were killed before they could."""
    for folder in parent.glob("evolve-*"):
        if not os.path.exists(f"/proc/{folder.name.rpartition('-')[2]}"):
            with contextlib.suppress(OSError):
                folder.rmdir()


def _parents() -> list[Path]:
    """Returns this process's groups in hierarchies that count processes."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "pids" in controllers.split(","):
            found.append(Path("/sys/fs/cgroup/pids" + path))
        elif not controllers:
            found += [Path("/sys/fs/cgroup" + path), Path("/sys/fs/cgroup/unified" + path)]
    return found
