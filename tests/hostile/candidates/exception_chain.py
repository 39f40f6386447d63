"""Raises at the end of a chain of ten thousand causes, in groups nested as deep."""
# expect: crash|memory|timeout


def solve(x, look):
    error = ValueError("first")
    for k in range(10_000):
        after = ExceptionGroup("group", [error]) if k % 2 else ValueError("x" * 100)
        after.__cause__ = after.__context__ = error
        error = after
    raise error
