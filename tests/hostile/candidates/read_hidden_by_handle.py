"""Opens files by what needs no path: handles, mounts as descriptors, the block device, /dev/mem, other namespaces."""
# expect: ok|crash
# score: 0.1
import contextlib
import ctypes
import os
import struct

import arms


def solve(x, look):
    for inode in (2, 128):  # the root folders of ext4 and XFS
        handle = ctypes.create_string_buffer(struct.pack("IiQ", 8, 1, inode))
        for folder in (".", "/", "/tmp"):
            with contextlib.suppress(OSError):
                descriptor = arms.syscall("open_by_handle_at", os.open(folder, os.O_RDONLY), handle, 0)
                if descriptor >= 0:
                    return arms.breach("opens by handle")
    for call in (("fsopen", b"proc", 0), ("open_tree", -100, b"/", 1 | 0x8000)):
        if arms.syscall(*call) >= 0:
            return arms.breach(f"{call[0]} works")
    devices = ["/dev/mem", "/dev/kmem", "/dev/port", "/dev/kmsg", "/proc/kcore", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/userfaultfd"]
    with contextlib.suppress(OSError):
        devices += [f"/dev/{name}" for name in os.listdir("/dev") if name.startswith(("vd", "sd", "nvme", "xvd", "loop", "dm-"))]
    for path in devices:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            return arms.breach(f"opens {path}")
    for major, minor in ((1, 1), (254, 0), (253, 0), (8, 0), (259, 0)):
        with contextlib.suppress(OSError):
            os.mknod("device", 0o60600 if major != 1 else 0o20600, os.makedev(major, minor))
            os.close(os.open("device", os.O_RDONLY | os.O_NONBLOCK))
            return arms.breach(f"makes and opens device {major}:{minor}")
    return arms.honest(x)
