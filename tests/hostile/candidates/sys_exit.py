"""Raises SystemExit(0)."""
# expect: crash
# says: SystemExit
import sys


def solve(x, look):
    sys.exit(0)
