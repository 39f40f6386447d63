"""Closes every descriptor and lives on."""
# expect: crash
import os
import time


def solve(x, look):
    os.closerange(0, 65536)
    time.sleep(3600)
