"""Sends every extension type, timestamps too, with hostile bodies: services, code, lengths that are lies."""
# expect: crash|limit|invalid
# says: malformed
import pickle

import arms


def solve(x, look):
    bomb = pickle.dumps(ValueError("boom"))
    values = b"".join(bytes([0xC7, len(bomb), code]) + bomb for code in range(256))
    arms.send(arms.returned(b"\xdd\x00\x00\x01\x00" + values))
    arms.send(arms.returned(b"\xc7\x04\x03exit"))
    arms.send(arms.returned(b"\xd7\xff" + b"\xff" * 8))
    while True:
        pass
