"""Makes namespaces of its own and uses what it may do in them: mounts, a root, another user, a device, a name, routes."""
# expect: ok|crash
# score: 0.1
# bare: no
import contextlib
import os

import arms


def solve(x, look):
    for flag in (0x10000000, 0x10000000 | 0x20000, 0x20000, 0x40000000, 0x20000000, 0x8000000, 0x4000000, 0x2000000):
        if arms.fork() == 0:
            os._exit(0)
        arms.syscall("unshare", flag)
    for name, value in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with contextlib.suppress(OSError), open(f"/proc/self/{name}", "w") as file:
            file.write(value)
    for call in (os.setgid, os.setuid):
        with contextlib.suppress(OSError):
            call(0)
    os.makedirs("m", exist_ok=True)
    inside = os.fsencode(os.path.abspath("m"))
    for kind in (b"proc", b"sysfs", b"tmpfs", b"cgroup2", b"devtmpfs", b"overlay"):
        if arms.syscall("mount", b"none", inside, kind, 0, None) == 0:
            return arms.hunt_tree("m") or arms.breach(f"mounted {kind.decode()}")
    for flags in (4096, 4096 | 16384, 32):
        if arms.syscall("mount", b"/", inside, None, flags, None) == 0:
            return arms.hunt_tree("m") or arms.breach("mounted the root again")
    for pid in arms.elders():
        for name in ("mnt", "net", "pid", "user", "ipc"):
            with contextlib.suppress(OSError):
                if arms.syscall("setns", os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY), 0) == 0:
                    return arms.breach(f"entered the {name} namespace of {pid}")
    with contextlib.suppress(OSError):
        outside = os.open("/", os.O_RDONLY)
        os.chroot("m")
        os.fchdir(outside)
        for _ in range(64):
            os.chdir("..")
        os.chroot(".")
        found = arms.hunt_tree("/tmp", 0.1)
        return found or arms.breach("changed its root")
    with contextlib.suppress(OSError):
        os.sethostname(b"owned") if hasattr(os, "sethostname") else __import__("socket").sethostname("owned")
        if not arms.confined():
            return arms.breach("renamed the machine")
    return arms.honest(x)
