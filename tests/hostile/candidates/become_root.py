"""Becomes another user: by the calls, by programs with the set-user-id bit, by files that it makes such."""
# expect: ok|crash|limit
# score: 0.1
import contextlib
import os
import shutil
import subprocess
import sys

import arms


def solve(x, look):
    for call in (lambda: os.setresuid(0, 0, 0), lambda: os.setreuid(0, 0), lambda: os.setgroups([0, 42])):
        with contextlib.suppress(OSError):
            call()
    for words in (["sudo", "-n", "cat", "/etc/shadow"], ["su", "-c", "cat /etc/shadow"], ["pkexec", "cat", "/etc/shadow"], ["mount"]):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=0.2, check=False)
            if b"root:" in done.stdout:
                return arms.breach(f"{words[0]} made it root")
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        shutil.copy("/usr/bin/id" if os.path.exists("/usr/bin/id") else sys.executable, "suid")
        os.chmod("suid", 0o6755)
        subprocess.run(["./suid"], capture_output=True, timeout=0.2, check=False)
    with contextlib.suppress(OSError):
        os.read(os.open("/etc/shadow", os.O_RDONLY), 10)
        return arms.breach("reads /etc/shadow")
    return arms.honest(x)
