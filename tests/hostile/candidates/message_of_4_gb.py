"""Claims that four gigabytes follow."""
# expect: limit
# says: too large
import arms


def solve(x, look):
    arms.send(b"\xff\xff\xff\xff")
    while True:
        pass
