"""Returns lists nested ten thousand deep, and then sends such a message by hand."""
# expect: crash|invalid
import arms


def solve(x, look):
    if x[0] == 0:
        arms.send(arms.returned(b"\x91" * 100_000 + b"\xc0"))
    deep = []
    for _ in range(10_000):
        deep = [deep]
    return deep
