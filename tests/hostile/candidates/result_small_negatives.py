"""Answers with 60 million negative numbers of one byte each, which are forty in memory."""
# expect: crash|timeout|limit|ok|invalid
import struct

import arms


def solve(x, look):
    count = 60 << 20
    arms.send(arms.returned(b"\xdd" + struct.pack(">I", count) + b"\xe1" * count))
    while True:
        pass
