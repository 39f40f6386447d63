"""Keeps what the first instance told it for the second, and guesses: a cache of its own earns nothing more."""
# expect: ok
# score: 0.0
CACHE = {}


def solve(x, look):
    CACHE[x[0]] = look("a")
    return CACHE.get(0, "SECRET-" + "0" * 16)
