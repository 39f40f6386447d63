"""Takes two gigabytes at once."""
# expect: memory
# says: [Mm]emory


def solve(x, look):
    block = bytearray(2 << 30)
    return len(block)
