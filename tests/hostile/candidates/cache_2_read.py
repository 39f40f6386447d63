"""Looks for what cache_1_write left: an answer from there would be one that it did not earn."""
# expect: ok|crash
# score: 0.1
# bare: no
import contextlib
import os
import socket
import sys
import sysconfig

import arms

KEY = arms.KEY + 255
NAME = arms.MARK.encode() + b"cache"


def solve(x, look):
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "..", os.path.expanduser("~"), os.path.expanduser("~/.cache"), sys.prefix, sysconfig.get_path("purelib"), os.path.dirname(arms.__file__)):
        for name in ("cache.txt", "written.txt", "daemon"):
            if os.path.exists(os.path.join(folder, arms.MARK + name)):
                return arms.breach(f"finds what another left in {folder}")
    if arms.syscall("shmget", KEY, 0, 0) >= 0:
        return arms.breach("finds another's segment")
    if arms.syscall("msgget", KEY, 0) >= 0:
        return arms.breach("finds another's queue")
    if arms.syscall("mq_open", NAME, 0, 0, None) >= 0:
        return arms.breach("finds another's POSIX queue")
    for ring in (-4, -3, -5):
        if arms.syscall("keyctl", 10, ring, b"user", NAME, 0) > 0:
            return arms.breach("finds another's key")
    for path in (os.__file__, sys.executable, "/", "/dev/null", sysconfig.get_path("purelib")):
        with contextlib.suppress(OSError):
            if os.getxattr(path, "user.hostile"):
                return arms.breach(f"finds another's attribute of {path}")
        with contextlib.suppress(OSError):
            if os.stat(path).st_atime == 1234567:
                return arms.breach(f"finds the time that another gave {path}")
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(arms.ABSTRACT + "-cache")
        return arms.breach("finds another's server")
    return arms.honest(x)
