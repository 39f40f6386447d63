"""Leaves an answer for the next candidate in every place that may last: files, times, keys, queues, segments, locks, names."""
# expect: ok|crash|limit
# score: 0.1
# bare: no
import contextlib
import ctypes
import os
import socket
import sys
import sysconfig
import time

import arms

KEY = arms.KEY + 255
NAME = arms.MARK.encode() + b"cache"


def solve(x, look):
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "..", os.path.expanduser("~"), os.path.expanduser("~/.cache"), sys.prefix, sysconfig.get_path("purelib"), os.path.dirname(arms.__file__)):
        with contextlib.suppress(OSError), open(os.path.join(folder, arms.MARK + "cache.txt"), "w") as file:
            file.write("hello")
    segment = arms.syscall("shmget", KEY, 4096, 0o1666)
    queue = arms.syscall("msgget", KEY, 0o1666)
    if queue >= 0:
        arms.syscall("msgsnd", queue, ctypes.create_string_buffer((1).to_bytes(8, "little") + b"hello"), 5, 0o4000)
    arms.syscall("mq_open", NAME, 0o102, 0o666, None)
    for ring in (-4, -3, -5):  # the user's, the session's, the user session's
        arms.syscall("add_key", b"user", NAME, b"hello", 5, ring)
    for path in (os.__file__, sys.executable, "/tmp", "/", "/dev/null", sysconfig.get_path("purelib")):
        with contextlib.suppress(OSError):
            os.setxattr(path, "user.hostile", b"hello")
        if path == "/tmp":
            continue  # its times are others' too
        with contextlib.suppress(OSError):
            os.utime(path, (1234567, os.stat(path).st_mtime))
    if arms.fork() == 0:
        with contextlib.suppress(OSError):
            server = socket.socket(socket.AF_UNIX)
            server.bind(arms.ABSTRACT + "-cache")
            server.listen()
            time.sleep(3600)
        os._exit(0)
    globals()["segment"] = segment
    return arms.honest(x)
