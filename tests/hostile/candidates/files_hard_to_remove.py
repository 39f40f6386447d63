"""Leaves files that resist: no permissions on folders, the immutable flag, names that are no text, pipes, sockets, a mount."""
# expect: ok|limit|crash
# score: 0.1
# bare: no
import fcntl
import os
import struct

import arms


def solve(x, look):
    if x[0]:
        return arms.honest(x)
    for k, name in enumerate((b"\xff\xfe\n", b"-rf *", b"n" * 255, b".nfs0", "\u202egpj".encode())):
        try:
            os.mkdir(name)
            os.close(os.open(os.path.join(name, b"file"), os.O_CREAT, 0))
            os.mkfifo(os.path.join(name, b"pipe"))
            folder = os.open(name, os.O_RDONLY)
            fcntl.ioctl(folder, 0x40086602, struct.pack("l", 0x10 | 0x20))
        except OSError:
            pass
        try:
            os.chmod(name, 0)
        except OSError:
            pass
    os.mkdir("mounted")
    arms.syscall("mount", b"none", os.fsencode(os.path.abspath("mounted")), b"tmpfs", 0, None)
    os.chmod(".", 0)
    return arms.honest(x)
