"""Breaks the compiler: thousands of nested brackets, handed to compile at import."""
# expect: crash|memory

exec(compile("(" * 100_000 + ")" * 100_000, "nested", "exec"))


def solve(x, look):
    return 0
