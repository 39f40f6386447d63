"""Sends half a message, then a byte now and then, so that somebody waits for ever."""
# expect: timeout
import time

import arms


def solve(x, look):
    whole = arms.returned(arms.text("x" * 1000))
    for k in range(len(whole) - 1):
        arms.send(whole[k : k + 1])
        time.sleep(0.01)
    time.sleep(3600)
