"""Lets children take memory while it asks a service without a pause, so that nobody waits long enough to look at them."""
# expect: memory|crash|timeout|limit
import mmap
import time

import arms


def solve(x, look):
    for _ in range(8):
        if arms.fork() == 0:
            block = mmap.mmap(-1, 100 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for start in range(0, 100 << 20, 1 << 20):
                block[start : start + (1 << 20)] = b"\1" * (1 << 20)
            time.sleep(3600)
    until = time.monotonic() + 0.8
    while time.monotonic() < until:
        look("a")
    return arms.breach("held 800 MB while it asked")
