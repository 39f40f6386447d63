"""Prints a gigabyte to stderr, from a child, the signal for it ignored, emptying the log now and then to stay below a limit."""
# expect: limit|ok|crash|timeout
# score: 0.1
import os
import signal

import arms


def solve(x, look):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    block = b"x" * (1 << 20)
    child = arms.fork()
    for k in range(1024):
        try:
            os.write(2, block)
        except OSError:
            break
        if k % 16 == 0 and child == 0:
            try:
                os.ftruncate(2, 0)
                os.ftruncate(2, 1 << 45)
            except OSError:
                pass
    return arms.honest(x)
