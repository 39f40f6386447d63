"""Sends a dict of a million keys, then one whose keys are lists, floats and nil."""
# expect: crash|limit|timeout|invalid
import struct

import arms


def solve(x, look):
    keys = b"".join(b"\xa8%08d\x01" % k for k in range(500_000))
    arms.send(arms.returned(b"\xdf" + struct.pack(">I", 500_001) + keys + b"\xc0\x01"))
    return {(): 1, 1.5: 2, None: 3}
