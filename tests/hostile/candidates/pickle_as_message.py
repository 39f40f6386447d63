"""Writes pickles into the channel in place of messages, framed and bare."""
# expect: crash|limit
# says: malformed
import os
import pickle

import arms


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch /tmp/{arms.MARK}pickle",)


def solve(x, look):
    for protocol in range(6):
        arms.send(arms.frame(pickle.dumps(Bomb(), protocol)))
    arms.send(pickle.dumps(Bomb()))
    while True:
        pass
