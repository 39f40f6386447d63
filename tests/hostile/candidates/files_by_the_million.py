"""Makes a million files (or as many as the time allows)."""
# expect: timeout|limit|crash|memory
import os

import arms


def solve(x, look):
    for k in range(100):
        os.mkdir(f"d{k}")
        for j in range(10_000):
            os.close(os.open(f"d{k}/{j}", os.O_CREAT, 0o600))
    return arms.breach("made 10^6 files")
