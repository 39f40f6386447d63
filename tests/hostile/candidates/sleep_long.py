"""Sleeps through the deadline, and sleeps again when it is woken."""
# expect: timeout
# says: timeout_s
import time


def solve(x, look):
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            pass
