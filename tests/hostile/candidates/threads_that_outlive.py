"""Leaves threads that never end and that answer again when the main thread has answered."""
# expect: ok|crash|invalid
# score: 0.1
import threading
import time

import arms


def later():
    for _ in range(50):
        time.sleep(0.001)
        try:
            arms.send(arms.returned(arms.text("later")))
        except OSError:
            return
    while True:
        time.sleep(1)


def solve(x, look):
    if x[0]:
        for daemon in (True, False):
            threading.Thread(target=later, daemon=daemon).start()
    return arms.honest(x)
