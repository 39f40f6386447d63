"""Dies at once while its children hold every inherited descriptor open, so that no end of file ever comes."""
# expect: crash
# says: code 0
import os
import time

import arms


def solve(x, look):
    for _ in range(3):
        if arms.fork() == 0:
            for descriptor in range(3, 64):
                try:
                    os.set_inheritable(descriptor, True)
                except OSError:
                    pass
            time.sleep(3600)
    os._exit(0)
