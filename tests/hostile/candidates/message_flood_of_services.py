"""Floods the channel with requests of a service and reads no reply, until both sides' buffers are full."""
# expect: timeout|crash|limit
import msgpack

import arms


def solve(x, look):
    block = arms.frame(msgpack.packb(["service", "look", ["a" * 1000], {}])) * 1000
    while True:
        arms.send(block)
