"""Leaves a daemon behind: forked twice, in a session of its own, which later writes a file and lives for ever."""
# expect: ok|limit|crash
# score: 0.1
import os
import signal
import time

import arms


def solve(x, look):
    if arms.fork() == 0:
        os.setsid()
        if arms.fork() != 0:
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        for descriptor in range(64):
            try:
                os.close(descriptor)
            except OSError:
                pass
        time.sleep(1.5)
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            try:
                os.close(os.open(f"{folder}/{arms.MARK}daemon", os.O_CREAT))
            except OSError:
                pass
        time.sleep(3600)
    return arms.honest(x)
