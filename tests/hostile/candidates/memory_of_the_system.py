"""Takes memory that is nobody's: SysV segments and queues, POSIX queues, /dev/shm, pipes; it stays when they die."""
# expect: memory|ok|crash|limit|timeout
# score: 0.1
import ctypes
import os

import arms


def solve(x, look):
    held = 0
    arms.libc.shmat.restype = ctypes.c_void_p
    for k in range(10):
        segment = arms.syscall("shmget", arms.KEY + k, 60 << 20, 0o1666)
        if segment < 0:
            continue
        place = arms.libc.shmat(segment, None, 0)
        if place not in (None, ctypes.c_void_p(-1).value):
            ctypes.memset(place, 1, 60 << 20)
            arms.libc.shmdt(ctypes.c_void_p(place))
            held += 60
    for k in range(4):
        queue = arms.syscall("msgget", arms.KEY + k, 0o1666)
        message = ctypes.create_string_buffer(b"\1" * 8, 4096)
        while queue >= 0 and arms.syscall("msgsnd", queue, message, 4000, 0o4000) == 0:
            held += 4e-3
    for k in range(6):
        try:
            descriptor = os.open(f"/dev/shm/{arms.MARK}{k}", os.O_CREAT | os.O_RDWR)
            for _ in range(60):
                held += os.write(descriptor, b"\1" * (1 << 20)) >> 20
        except (OSError, MemoryError):
            pass
    return arms.breach(f"left {held:.0f} MB") if held > 300 else arms.honest(x)
