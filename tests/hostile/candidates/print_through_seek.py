"""Seeks in its log far ahead, so that reading the end of it meets a hole of terabytes."""
# expect: ok|crash|limit
# score: 0.1
import fcntl
import os

import arms


def solve(x, look):
    for descriptor in (1, 2):
        try:
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_APPEND | os.O_NONBLOCK)
            os.lseek(descriptor, 60 << 20, os.SEEK_SET)
            os.write(descriptor, b"far away")
        except OSError:
            pass
    return arms.honest(x)
