"""Prints a gigabyte, past Python's own buffers."""
# expect: limit
# says: more than|too much|limit
import os


def solve(x, look):
    block = b"x" * (1 << 20)
    for _ in range(1024):
        os.write(1, block)
    return 0
