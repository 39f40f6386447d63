"""Fills the disk from a child while it asks a service without a pause, so that nobody waits long enough to look."""
# expect: limit|crash|timeout|ok
# score: 0.1
import contextlib
import os
import time

import arms


def fill(folder):
    for k in range(10):
        with open(f"{folder}/part{k}", "wb", buffering=0) as file:
            for _ in range(60):
                file.write(bytes(1 << 20))


def solve(x, look):
    folder, held, until = os.getcwd(), 0, time.monotonic() + 0.8
    if arms.fork() == 0:
        with contextlib.suppress(OSError):
            fill(folder)
        time.sleep(3600)
    while time.monotonic() < until:
        look("a")
    for name in os.listdir(folder):
        held += os.stat(name).st_blocks >> 11 if name.startswith("part") else 0
    return arms.breach(f"wrote {held} MB") if held > 400 else arms.honest(x)
