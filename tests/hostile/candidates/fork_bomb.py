"""Forks without end, children included (the tests' own bound: 4,000 processes or three seconds)."""
# expect: limit|crash|timeout|memory
# bare: no
import mmap
import os
import struct
import time

import arms


def solve(x, look):
    counter, until = mmap.mmap(-1, 4096), time.monotonic() + 3
    while time.monotonic() < until:
        (count,) = struct.unpack_from("I", counter)
        if count > 4000:
            break
        if arms.fork():
            struct.pack_into("I", counter, 0, count + 1)
    if struct.unpack_from("I", counter)[0] > 4000 and os.getppid() > 1:
        return arms.breach("started 4,000 processes")
    while True:
        pass
