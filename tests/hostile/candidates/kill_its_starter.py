"""Kills its parent, then its parent's parent, outright."""
# expect: ok|crash
# score: 0.1
import os
import signal

import arms


def solve(x, look):
    for pid in arms.elders():
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return arms.honest(x)
