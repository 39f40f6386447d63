"""What the watch counts as held that no page of a process shows."""

from __future__ import annotations

import subprocess
import sys

from evaluators.watch import resident_mb

RESERVING = """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
place = libc.mmap(None, ctypes.c_size_t(20_000 << 21), 1, 0x4022, -1, ctypes.c_long(0))
for step in range(20_000):
    ctypes.c_char.from_address(place + (step << 21)).value
print("ready", flush=True)
input()
"""


def test_tables_of_what_is_reserved_count() -> None:
    words = [sys.executable, "-c", RESERVING]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        held_mb = resident_mb(process.pid)
        process.kill()
    assert held_mb > 70
