"""Shuts one direction of its channel after the other, and sets buffers and timeouts on it."""
# expect: crash|timeout
import socket

import arms


def solve(x, look):
    channel = socket.socket(fileno=arms.CHANNEL)
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF, socket.SO_RCVLOWAT):
        channel.setsockopt(socket.SOL_SOCKET, option, 1)
    channel.shutdown(socket.SHUT_RD if x[0] else socket.SHUT_WR)
    while True:
        pass
