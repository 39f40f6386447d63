"""Puts another descriptor where its channel was: a pipe, its log, a socket pair with a helper that talks to itself."""
# expect: crash|timeout
import os
import socket
import time


def solve(x, look):
    a, b = socket.socketpair() if x[0] else os.pipe()
    os.dup2(a if isinstance(a, int) else a.fileno(), 3)
    os.dup2(2, 4)
    time.sleep(3600)
