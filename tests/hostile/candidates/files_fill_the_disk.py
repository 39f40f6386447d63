"""Fills the disk with files that are each small enough (to three gigabytes, the tests' own bound)."""
# expect: limit|crash|memory|timeout
import arms


def solve(x, look):
    for k in range(100):
        with open(f"part{k}", "wb", buffering=0) as file:
            for _ in range(30):
                file.write(b"\1" * (1 << 20))
    return arms.breach("wrote 3 GB")
