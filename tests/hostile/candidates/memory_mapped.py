"""Takes memory by the side doors: shared anonymous maps, memfd, shared memory in children, MAP_NORESERVE and locking."""
# expect: memory|ok|crash|limit|timeout
# score: 0.1
import mmap
import os

import arms


def solve(x, look):
    held = 0
    for make in (
        lambda: mmap.mmap(-1, 64 << 20),
        lambda: mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000),
    ):
        for _ in range(8):
            try:
                block = make()
                block.write(b"\1" * (64 << 20))
                held += 64
            except (OSError, ValueError, MemoryError):
                break
            globals().setdefault("kept", []).append(block)
    try:
        for _ in range(10):
            descriptor = os.memfd_create("hostile")
            for _ in range(60):
                held += os.write(descriptor, b"\1" * (1 << 20)) >> 20
    except (OSError, MemoryError, AttributeError):
        pass
    return arms.breach(f"holds {held} MB") if held > 400 else arms.honest(x)
