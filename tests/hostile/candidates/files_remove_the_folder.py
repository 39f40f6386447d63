"""Removes its own folder while it runs, and makes a file of that name."""
# expect: ok|crash
# score: 0.1
import os
import shutil

import arms


def solve(x, look):
    here = os.getcwd() if x[0] == 0 else ""
    if here:
        shutil.rmtree(here, ignore_errors=True)
        try:
            os.close(os.open(here, os.O_CREAT | os.O_WRONLY))
        except OSError:
            pass
    return arms.honest(x)
