"""Starts children that ignore signals, clear their death signal, adopt orphans and start one another again when killed."""
# expect: ok|limit|crash|memory
# score: 0.1
import os
import signal
import time

import arms


def immortal(depth):
    arms.libc.prctl(36, 1, 0, 0, 0)
    arms.libc.prctl(1, 0, 0, 0, 0)
    arms.libc.prctl(4, 0, 0, 0, 0)
    os.setsid() if os.getpid() != os.getsid(0) else None
    for number in signal.valid_signals():
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if depth and arms.fork() == 0:
            immortal(depth - 1)
        time.sleep(0.05 if depth == 0 else 0.2)
    os._exit(0)


def solve(x, look):
    for _ in range(3):
        if arms.fork() == 0:
            immortal(2)
    return arms.honest(x)
