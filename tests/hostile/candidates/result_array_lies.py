"""Sends an array whose head lies: a shape of 2^62, another dtype, objects, a negative size, fewer bytes."""
# expect: crash|limit|invalid
# says: malformed
import struct

import arms


def lie(dtype, *shape, data=b"12345678"):
    body = struct.pack(">B", len(dtype)) + dtype + struct.pack(f">B{len(shape)}Q", len(shape), *shape) + data
    return b"\xc9" + struct.pack(">I", len(body)) + b"\x02" + body


def solve(x, look):
    lies = [lie(b"|O", 1), lie(b"<f8", 2**62, 4, 2**62), lie(b"<f8", 0, 2**63), lie(b"<f8"), lie(b"O8", 1), lie(b"<U2", 1), b"\xc7\x00\x02", b"\xc7\x02\x02\xff\xff"]
    for value in lies:
        arms.send(arms.returned(value))
    while True:
        pass
