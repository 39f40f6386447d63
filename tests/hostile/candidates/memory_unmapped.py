"""Fills shared anonymous maps and lets go of their pages, which then belong to no process that could be asked."""
# expect: memory|ok|crash|limit|timeout
# score: 0.1
import mmap
import os
import time

import arms

STEP = 4 << 20


def fill(report, make):
    held = 0
    try:
        for _ in range(2):
            block = make()
            globals().setdefault("kept", []).append(block)
            for start in range(0, 60 << 20, STEP):
                block[start : start + STEP] = bytes(STEP)
                block.madvise(mmap.MADV_DONTNEED, start, STEP)
            held += 60
    except (OSError, ValueError, MemoryError):
        pass
    os.write(report, bytes([held]))
    time.sleep(3600)


def of_zero():
    return mmap.mmap(os.open("/dev/zero", os.O_RDWR), 60 << 20)


def solve(x, look):
    told, report = os.pipe()
    started = 0
    for number in range(5):
        child = arms.fork()
        if child == 0:
            fill(report, of_zero if number % 2 else lambda: mmap.mmap(-1, 60 << 20))
        started += child is not None
    os.close(report)
    held = sum(os.read(told, 1)[0] for _ in range(started))
    return arms.breach(f"holds {held} MB") if held > 250 else arms.honest(x)
