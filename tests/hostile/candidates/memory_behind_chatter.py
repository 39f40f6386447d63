"""Takes memory in six grandchildren while it talks without a pause, so that whoever looks at them only in pauses never does."""
# expect: memory|crash|limit|timeout|ok
# score: 0.1
import os
import struct
import time

import arms

QUESTION = arms.frame(b"\x94" + arms.text("service") + arms.text("look") + b"\x91" + arms.text("a") + b"\x80")
BATCH = 100


def answers(count):
    """Reads so many answers, past the harness."""
    for _ in range(count):
        length = struct.unpack(">I", read_all(4))[0]
        read_all(length)


def read_all(size):
    data = b""
    while len(data) < size:
        data += os.read(arms.CHANNEL, size - len(data))
    return data


def solve(x, look):
    arms.send(QUESTION * BATCH)
    read, write = os.pipe()
    if arms.fork() == 0:
        for _ in range(6):
            if arms.fork() == 0:
                taken = bytearray(b"\1" * (90 << 20))
                os.write(write, b"x" if taken[-1] else b"")
                time.sleep(3600)
        time.sleep(3600)
    os.set_blocking(read, False)
    held, full, until = 0, 0.0, time.monotonic() + 0.9
    while time.monotonic() < until and not (full and time.monotonic() > full + 0.1):
        arms.send(QUESTION * BATCH)
        answers(BATCH)
        try:
            held += len(os.read(read, 10))
        except BlockingIOError:
            pass
        if held >= 6 and not full:
            full = time.monotonic()
    answers(BATCH)
    return arms.breach("held 540 MB for 0.1 s") if full else arms.honest(x)
