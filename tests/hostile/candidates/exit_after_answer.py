"""Answers, then dies with code 0 before the second instance is asked."""
# expect: crash
# says: code 0
import os
import threading
import time

import arms


def solve(x, look):
    def leave():
        time.sleep(0.02)
        os._exit(0)

    if x[0] == 0:
        threading.Thread(target=leave).start()
    else:
        time.sleep(5)
    return arms.honest(x)
