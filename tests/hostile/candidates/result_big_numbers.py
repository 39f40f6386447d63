"""Returns integers of 200,000 digits."""
# expect: ok|invalid|crash
# score: 0.0


def solve(x, look):
    return 10**200_000
