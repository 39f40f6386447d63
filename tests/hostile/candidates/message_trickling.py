"""Sends a long message byte by byte, so that there is always something to read, and never all of it."""
# expect: timeout
import os
import struct

import arms


def solve(x, look):
    arms.send(struct.pack(">I", 60 << 20))
    while True:
        os.write(arms.CHANNEL, b"\0")
