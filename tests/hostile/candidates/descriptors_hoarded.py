"""Opens all the files that it may, in itself and in children, and fills the buffers of pipes and sockets."""
# expect: ok|crash|limit|timeout|memory
# score: 0.1
import os
import socket
import time

import arms


def hoard():
    kept = []
    try:
        while True:
            kept.append(os.pipe() if len(kept) % 2 else socket.socketpair())
            end = kept[-1][1] if isinstance(kept[-1][1], int) else kept[-1][1].fileno()
            os.set_blocking(end, False)
            os.write(end, b"x" * 65536)
    except OSError:
        return kept


def solve(x, look):
    for _ in range(20):
        if arms.fork() == 0:
            kept = hoard()
            time.sleep(3600)
            os._exit(len(kept))
    globals().setdefault("kept", []).append(hoard())
    return arms.honest(x)
