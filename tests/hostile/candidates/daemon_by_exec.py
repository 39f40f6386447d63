"""Leaves programs behind: sleep and sh started with setsid and nohup, their descriptors closed, by three ways of starting."""
# expect: ok|limit|crash
# score: 0.1
import os
import subprocess
import sys

import arms

CODE = "import time; time.sleep(3600)"


def solve(x, look):
    words = [sys.executable, "-c", CODE, arms.MARK + "daemon"]
    for start in (
        lambda: subprocess.Popen(words, start_new_session=True),
        lambda: subprocess.Popen(["/bin/sh", "-c", f"exec -a {arms.MARK}sh sleep 3600 & sleep 3600 & : {arms.MARK}sh"], start_new_session=True, close_fds=False),
        lambda: os.posix_spawn(words[0], words, {}, setsid=True),
        lambda: os.system(f"nohup {sys.executable} -c '{CODE}' {arms.MARK}nohup >/dev/null 2>&1 &"),
    ):
        try:
            start()
        except OSError:
            pass
    return arms.honest(x)
