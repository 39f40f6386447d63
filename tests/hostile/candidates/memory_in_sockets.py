"""Enlarges the buffers of sockets and fills them: memory of the kernel, which no process is seen to hold."""
# expect: ok|crash|memory|limit|timeout
# score: 0.1
import contextlib
import socket

import arms

BLOCK = bytes(1 << 20)


def solve(x, look):
    held, kept = 0, globals().setdefault("kept", [])
    for _ in range(50):
        for end in socket.socketpair():
            kept.append(end)
            end.setblocking(False)
            for option in (socket.SO_SNDBUF, 32):  # SO_SNDBUFFORCE
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, option, 1 << 30)
        for end in kept[-2:]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    held += end.send(BLOCK)
        if held > 300 << 20:
            return arms.breach(f"holds {held >> 20} MB")
    return arms.honest(x)
