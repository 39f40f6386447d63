"""Takes memory that is the kernel's: full buffers of connected sockets and pipes, in many children (to 700 MB)."""
# expect: memory|ok|crash|limit|timeout
# score: 0.1
import os
import socket
import time

import arms


def fill():
    held, kept = 0, []
    while True:
        try:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            kept += [ours, theirs]
            while True:
                held += ours.send(b"\1" * 4096)
        except BlockingIOError:
            continue
        except OSError:
            return held, kept


def solve(x, look):
    read, write = os.pipe()
    for _ in range(30):
        if arms.fork() == 0:
            held, kept = fill()
            os.write(write, held.to_bytes(8, "little"))
            time.sleep(3600 if kept else 0)
    os.set_blocking(read, False)
    held, until = 0, time.monotonic() + 0.8
    while time.monotonic() < until and held < 700e6:
        time.sleep(0.02)
        try:
            held += int.from_bytes(os.read(read, 8), "little")
        except BlockingIOError:
            pass
    return arms.breach(f"the kernel held {held >> 20} MB for it") if held > 300 << 20 else arms.honest(x)
