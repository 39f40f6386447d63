"""Stops its parent, so that nobody ends it."""
# expect: ok|timeout|crash
# score: 0.1
import os
import signal

import arms


def solve(x, look):
    for number in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN):
        for pid in arms.elders()[:1]:
            try:
                os.kill(pid, number)
            except OSError:
                pass
    return arms.honest(x)
