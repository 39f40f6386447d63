"""Recurses until the machine's stack is gone: no limit on recursion, and through C."""
# expect: crash
import sys


class Deep:
    def __repr__(self):
        return repr([self])

    def __getattr__(self, name):
        return getattr(self, name + "x")


def solve(x, look):
    sys.setrecursionlimit(10**9)

    def down(n):
        return down(n + 1) + sum(map(down, [n]))

    try:
        repr(Deep())
    finally:
        return down(0)
