"""Ends its main thread by the system call, while another one keeps the process."""
# expect: timeout|crash
import threading
import time

import arms


def solve(x, look):
    threading.Thread(target=time.sleep, args=(3600,)).start()
    arms.libc.syscall(60 if arms.platform.machine() == "x86_64" else 93, 0)
