"""Leaves with code 0 while it is imported."""
# expect: crash
# says: code 0
import os

os._exit(0)


def solve(x, look):
    return 0
