"""Answers with millions of empty arrays, each a few bytes long and slow to make."""
# expect: crash|timeout|limit
import struct

import arms


def solve(x, look):
    one = b"\xd8\x01"  # fixext16
    body = b"\x03<f8\x01" + bytes(8)
    item = b"\xc7" + bytes([len(body), 2]) + body
    count = (63 << 20) // len(item)
    arms.send(arms.returned(b"\xdd" + struct.pack(">I", count) + item * count))
    while True:
        pass
