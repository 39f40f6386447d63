"""Kills those who started it and a stranger (signals only to those; the rest is asked with signal 0)."""
# expect: ok|crash
# score: 0.1
import ctypes
import os
import signal

import arms


def solve(x, look):
    reached = []
    for pid in arms.victims():
        for number in (signal.SIGSTOP, signal.SIGKILL):
            try:
                os.kill(pid, number)
                reached.append(pid)
            except OSError:
                pass
    for pid in range(1, 40000):
        if pid == os.getpid():
            continue
        try:
            os.kill(pid, 0)
            reached.append(pid)
        except OSError:
            pass
    for pid in arms.elders():
        info = ctypes.create_string_buffer(128)
        pidfd = arms.syscall("pidfd_open", pid, 0)
        for told in (
            arms.syscall("tgkill", pid, pid, 0),
            arms.syscall("rt_sigqueueinfo", pid, 0, info),
            arms.syscall("pidfd_send_signal", pidfd, 0, None, 0) if pidfd >= 0 else -1,
            arms.libc.killpg(pid, 0),
        ):
            if told == 0:
                reached.append(pid)
    if reached and not arms.confined():
        return arms.breach(f"could signal {reached[:5]}")
    return arms.honest(x)
