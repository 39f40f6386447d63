"""Takes memory in small pieces (to a gigabyte and a half, the tests' own bound)."""
# expect: memory
# says: [Mm]emory
import arms


def solve(x, look):
    blocks = []
    for _ in range(24 * 64):
        blocks.append(b"\1" * (1 << 20) + bytes(len(blocks)))
    return arms.breach(f"holds {len(blocks)} MB")
