"""Takes memory that is the kernel's and no process's: connected sockets with the largest buffers, filled (to 700 MB)."""
# expect: memory|ok|crash|limit|timeout
# score: 0.1
import contextlib
import socket

import arms

MOST = 700 << 20


def fill(one):
    one.setblocking(False)
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 23)
    held = 0
    try:
        while held < 64 << 20:
            held += one.send(b"\1" * 65536)
    except BlockingIOError:
        return held


def solve(x, look):
    held, kept = 0, []
    with contextlib.suppress(OSError):
        while held < MOST:
            kept += socket.socketpair()
            held += fill(kept[-1]) + fill(kept[-2])
    for one in kept:
        one.close()
    return arms.breach(f"the kernel held {held >> 20} MB for it") if held > 300 << 20 else arms.honest(x)
