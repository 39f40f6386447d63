"""Starts threads without end."""
# expect: limit|crash|timeout|memory|ok
# score: 0.1
# bare: no
import threading
import time

import arms


def solve(x, look):
    started = 0
    while started < 20000:
        try:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        except RuntimeError:
            return arms.honest(x)
        started += 1
    return arms.breach("started 20,000 threads")
