"""Leaves with code 0 in place of an answer."""
# expect: crash
# says: code 0
import os


def solve(x, look):
    os._exit(0)
