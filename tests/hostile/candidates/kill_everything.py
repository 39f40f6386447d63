"""Kills all that it can see, its own session and group and, where it is in a PID namespace of its own, all of that."""
# expect: crash|invalid
import os
import signal

import arms


def solve(x, look):
    if arms.confined():
        for pid in (-1, 1):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    os.killpg(0, signal.SIGKILL)
