"""Watches a candidate's processes from outside, whoever's turn it is: how many they are, what they hold and write.

What the kernel can limit for a whole tree (process ids in a namespace, a scratch folder's size) it does limit; the rest is
looked at every `PERIOD_S`. Does not cover: what happens between two looks (a tree that is over its memory for less).
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from evaluators.harness import tree
from evaluators.harness.container import SCRATCH_FILES, SCRATCH_MB
from evaluators.harness.guard import PROCESSES
from evolve.types import Status

PERIOD_S = 0.02
PAGE = resource.getpagesize()
RESERVED_MB = 8_000  # beyond it the tables of what is reserved count: some 2 MB for each GB that was touched
FAULT = tuple[Status, str]


class Watch:
    """Looks at one candidate. `memory_mb` comes on top of what the zygote holds (`base_mb`) and every candidate shares;
    `scratch` is None where the kernel limits that."""

    def __init__(
        self, pids: Callable[[], list[int]], memory_mb: int, base_mb: float, cpu_s: float, scratch: str | None
    ):
        self._pids = pids
        self._memory_mb = memory_mb
        self._most_mb = memory_mb + base_mb
        self._cpu_s = cpu_s
        self._scratch = scratch
        self._looks = 0
        self.peak_mb = 0.0

    def look(self) -> FAULT | None:
        """Returns which limit the candidate is over, with what was measured; None where it is over none."""
        pids = self._pids()
        if len(pids) > PROCESSES:
            return Status.LIMIT, f"ran more than {PROCESSES} processes at once"
        return self._memory(pids) or self._cpu(pids) or self._files()

    def _memory(self, pids: list[int]) -> FAULT | None:
        held_mb = sum(map(resident_mb, pids))
        if held_mb > self._most_mb and len(pids) > 1:
            held_mb = sum(map(_proportional_mb, pids))  # pages that processes share are counted once
        self.peak_mb = max(self.peak_mb, held_mb)
        if held_mb <= self._most_mb:
            return None
        return Status.MEMORY, f"its processes held {held_mb:.0f} MB; memory_mb={self._memory_mb}"

    def _cpu(self, pids: list[int]) -> FAULT | None:
        used_s = sum(map(_cpu_s, pids))
        if used_s <= self._cpu_s:
            return None
        return Status.TIMEOUT, f"its processes used {used_s:.1f} s of CPU; at most {self._cpu_s:.1f} s"

    def _files(self) -> FAULT | None:
        self._looks += 1
        if self._scratch is None or self._looks % 5:
            return None
        count, size = _contents(self._scratch)
        if count > SCRATCH_FILES:
            return Status.LIMIT, f"made more than {SCRATCH_FILES:,} files"
        if size > SCRATCH_MB << 20:
            return Status.LIMIT, f"wrote more than {SCRATCH_MB} MB into its folder"
        return None


def resident_mb(pid: int) -> float:
    """Returns what a process holds; where it has reserved much, with the kernel's tables of that."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return _statm(pid)[1] * PAGE / 2**20 + _tables_mb(pid)
    return 0.0


def _tables_mb(pid: int) -> float:
    if _statm(pid)[0] * PAGE < RESERVED_MB << 20:
        return 0.0
    return int(Path(f"/proc/{pid}/status").read_bytes().partition(b"\nVmPTE:")[2].split()[0]) / 1024


def _statm(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/statm").read_text().split()]


def _proportional_mb(pid: int) -> float:
    """Returns a process's share of memory; where only its own user may know, what it holds."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split()[0]) / 1024 + _tables_mb(pid)
    except (OSError, ValueError, IndexError):
        return resident_mb(pid)


def _cpu_s(pid: int) -> float:
    """Returns the CPU seconds of a process and of its children that are gone."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def clock_s(pid: int) -> float:
    """Returns the CPU seconds of a process, all its threads counted, to the nanosecond; 0 for one that is gone."""
    with contextlib.suppress(OSError):
        return time.clock_gettime(~pid << 3 | 2)  # its CPUCLOCK_SCHED, as clock_getcpuclockid(3) makes it
    return 0.0


def _contents(folder: str) -> tuple[int, int]:
    """Counts files and their bytes, not beyond the limits."""
    count, size, waiting = 0, 0, [folder]
    while waiting and count <= SCRATCH_FILES and size <= SCRATCH_MB << 20:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                if count > SCRATCH_FILES:
                    break
    return count, size


def pids_of(zygote: int, contained: bool) -> list[int]:
    """Returns the processes of a zygote's candidate; where contained, the zygote itself is a child of the one started."""
    found = tree.descendants(zygote, PROCESSES + 2)  # the first may be the zygote
    return found[1:] if contained else found
