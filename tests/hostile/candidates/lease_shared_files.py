"""Takes leases on files that it shares with others: whoever opens one has to wait for it; and asks to be told who does."""
# expect: ok|crash
# score: 0.1
import contextlib
import fcntl
import os

import arms

F_NOTIFY = 1026


def solve(x, look):
    for path in ("data/table.txt", os.__file__):
        with contextlib.suppress(OSError):
            fcntl.fcntl(os.open(path, os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_WRLCK)
            return arms.breach(f"leases {path}")
    with contextlib.suppress(OSError):
        fcntl.fcntl(os.open("data/", os.O_RDONLY), F_NOTIFY, 1)
        return arms.breach("is told who reads data")
    return arms.honest(x)
