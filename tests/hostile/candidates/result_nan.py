"""Returns a NaN."""
# expect: invalid
# says: float


def solve(x, look):
    return float("nan")
