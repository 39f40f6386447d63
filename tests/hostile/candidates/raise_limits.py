"""Raises its own limits by every call that may, then takes 600 MB."""
# expect: memory
# says: [Mm]emory
import ctypes
import resource

import arms


def solve(x, look):
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
        for limit in ((resource.RLIM_INFINITY,) * 2, resource.getrlimit(kind)[1:] * 2):
            try:
                resource.setrlimit(kind, limit)
                resource.prlimit(0, kind, limit)
            except (OSError, ValueError):
                pass
        arms.syscall("prlimit64", 0, kind, (ctypes.c_uint64 * 2)(2**64 - 1, 2**64 - 1), None)
    block = bytearray(b"\1") * (600 << 20)
    return arms.breach(f"holds {len(block) >> 20} MB")
