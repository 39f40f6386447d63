"""Traces those who started it and a stranger, reads their memory, takes their descriptors, compares their kernels' objects."""
# expect: ok|crash
# score: 0.1
import ctypes

import arms


class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def spans(pid):
    try:
        with open(f"/proc/{pid}/maps") as maps:
            for line in maps:
                if line.split()[1].startswith("rw"):
                    start, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                    yield start, min(end - start, 1 << 22)
    except OSError:
        yield id(arms), 4096  # those that it was forked from have the same layout


def solve(x, look):
    for pid in dict.fromkeys([*arms.victims(), *arms.elders()]):
        for start, size in spans(pid):
            block = ctypes.create_string_buffer(size)
            ours, theirs = Span(ctypes.addressof(block), size), Span(start, size)
            if arms.syscall("process_vm_readv", pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) > 0:
                return arms.hunt(block.raw) or arms.breach(f"read the memory of {pid}")
        pidfd = arms.syscall("pidfd_open", pid, 0)
        for descriptor in range(12):
            if pidfd >= 0 and arms.syscall("pidfd_getfd", pidfd, descriptor, 0) >= 0:
                return arms.breach(f"took descriptor {descriptor} of {pid}")
        for request in (16, 0x4206):  # attach, seize
            if arms.syscall("ptrace", request, pid, 0, 0) == 0:
                arms.syscall("ptrace", 17, pid, 0, 0)
                return arms.breach(f"traced {pid}")
        try:
            with open(f"/proc/{pid}/mem", "r+b", 0):
                return arms.breach(f"opened the memory of {pid} for writing")
        except OSError:
            pass
        if arms.syscall("kcmp", arms.os.getpid(), pid, 0, 3, 3) >= 0:
            return arms.breach(f"compared descriptors with {pid}")
    return arms.honest(x)
