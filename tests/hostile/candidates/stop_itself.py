"""Stops its own process (SIGSTOP), so that nothing ever answers."""
# expect: timeout|crash
# says: timeout_s
import os
import signal


def solve(x, look):
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)
