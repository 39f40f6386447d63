"""Makes ten thousand folders inside one another, so that whoever removes them recurses too deep or finds the path too long."""
# expect: ok|limit|crash|timeout
# score: 0.1
import os

import arms


def solve(x, look):
    home = os.getcwd()
    for _ in range(10_000):
        try:
            os.mkdir("d" * 20)
            os.chdir("d" * 20)
        except OSError:
            break
    os.chdir(home)
    return arms.honest(x)
