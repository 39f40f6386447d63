"""Replaces itself by a shell that writes into the channel and stays."""
# expect: crash|timeout|limit
import os
import sys

import arms


def solve(x, look):
    os.set_inheritable(arms.CHANNEL, True)
    for program in ("/bin/sh", "/usr/bin/sh", "/bin/bash"):
        try:
            os.execv(program, [program, "-c", "while :; do echo garbage >&3; done", arms.MARK + "sh"])
        except OSError:
            pass
    os.execv(sys.executable, [sys.executable, "-c", "import os\nwhile 1: os.write(3, b'\\xff' * 99)", arms.MARK + "python"])
