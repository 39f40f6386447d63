"""Aborts, hoping for a core file."""
# expect: crash
# says: SIGABRT|SIGSEGV
import os
import resource

import arms


def solve(x, look):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
    except (OSError, ValueError):
        pass
    arms.libc.prctl(4, 1, 0, 0, 0)
    os.abort()
