"""Returns a hundred megabytes of bytes."""
# expect: limit|memory


def solve(x, look):
    return b"x" * (100 << 20)
