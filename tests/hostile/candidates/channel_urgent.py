"""Sends one urgent byte: poll calls that readable, while a plain read waits for more."""
# expect: timeout
import socket
import time

import arms


def solve(x, look):
    channel = socket.socket(fileno=arms.CHANNEL)
    channel.send(b"!", socket.MSG_OOB)
    time.sleep(3600)
