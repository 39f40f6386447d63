"""Takes memory in six children, each below the limit, all together far above; then asks how much they hold."""
# expect: memory|ok|crash|limit|timeout
# score: 0.1
import os

import arms


def solve(x, look):
    reader, writer = os.pipe()
    for _ in range(6):
        if arms.fork() == 0:
            try:
                block = bytearray(b"\1") * (150 << 20)
                os.write(writer, b"+" if len(block) else b"")
                while True:
                    os.read(os.pipe()[0], 1)
            finally:
                os._exit(1)
    os.close(writer)
    held = sum(150 for _ in range(3) if os.read(reader, 1))
    return arms.breach(f"its children hold at least {held} MB") if held > 300 else arms.honest(x)
