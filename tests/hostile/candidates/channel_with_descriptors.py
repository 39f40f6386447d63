"""Sends descriptors along with its answer, and credentials, and urgent bytes, until the reader's table is full."""
# expect: ok|crash|timeout|limit|invalid
# score: 0.1
import os
import socket

import arms


def solve(x, look):
    channel = socket.socket(fileno=os.dup(arms.CHANNEL))
    frame = arms.returned(bytes([arms.honest(x)]))
    sent = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
    try:
        socket.send_fds(channel, [frame[:1]], sent)
        socket.send_fds(channel, [frame[1:]], sent)
    except OSError:
        return arms.honest(x)
    while True:
        pass
