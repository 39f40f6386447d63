"""Lets children write forged answers into the channel, at the same time as itself."""
# expect: ok|crash|timeout|limit
# score: 0.1
import os

import arms


def solve(x, look):
    for _ in range(3):
        if arms.fork() == 0:
            try:
                for _ in range(20):
                    os.write(arms.CHANNEL, arms.returned(arms.text("forged")))
            finally:
                os._exit(0)
    return arms.honest(x)
