"""The system calls that a candidate may not make: a classic BPF filter, built once and installed in each candidate.

A list of what is refused, not of what is allowed: scientific libraries use most of the rest. Calls newer than `NEWEST` are
refused unseen. Refused are: sockets (pairs of connected stream sockets excepted, with buffers of the default size), tracing
and reading other processes, signals to others where Landlock can't scope them (by the owner of a descriptor at every level),
namespaces, mounts, kernel modules, keys, io_uring, clocks, BPF, performance counters, leases and watches on the files of
others, and memory that belongs to no process, or to one that need not hold it (memfd, System V, message queues, shared
anonymous maps).
"""

from __future__ import annotations

import ctypes
import errno
import struct

from .kernel import MACHINE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEWEST = 462
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, GREATER_EQUAL, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
NAMESPACES = 0x7E020080  # the CLONE_NEW* flags that clone takes
# TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FIOSETOWN, SIOCSPGRP
IOCTLS = (0x5412, 0x541C, 0x40086602, 0x401C5820, 0x8901, 0x8902)
# F_SETOWN, F_SETOWN_EX (which make a descriptor send signals), F_SETLEASE (which holds up others), F_NOTIFY
FCNTLS = (8, 15, 1024, 1026)
O_TRUNC, O_ACCMODE = 0x200, 3
MAP_TYPE, MAP_SHARED, MAP_ANONYMOUS = 0xF, 1, 0x20
AF_UNIX, SOCK_STREAM, PRIO_PROCESS = 1, 1, 0

# name: number on (x86_64, aarch64)
REFUSED = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kcmp": (312, 272), "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "move_pages": (279, 239), "migrate_pages": (256, 238), "perf_event_open": (298, 241), "bpf": (321, 280),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40),
    "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "fanotify_init": (300, 262), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142), "sethostname": (170, 161),
    "setdomainname": (171, 162), "init_module": (175, 105), "delete_module": (176, 106), "finit_module": (313, 273),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "personality": (135, 92), "syslog": (103, 116), "vhangup": (153, 58),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "iopl": (172, -1), "ioperm": (173, -1), "lookup_dcookie": (212, 18), "memfd_create": (319, 279),
    "inotify_init": (253, -1), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "sync": (162, 81), "syncfs": (306, 267), "memfd_secret": (447, 447), "shmget": (29, 194), "semget": (64, 190),
    "msgget": (68, 186), "mq_open": (240, 180),
}  # fmt: skip
# Landlock lets an owner change these of any file; refused where the files are not on mounts that are only read from
ATTRIBUTES = {
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "utime": (132, -1), "utimes": (235, -1), "futimesat": (261, -1), "utimensat": (280, 88),
}  # fmt: skip
SIGNALS = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
}  # fmt: skip
TRUNCATE, OPENAT2 = (76, 45), (437, 437)
OPENS = {"open": (2, -1, 1), "openat": (257, 56, 2)}  # and the place of the flags
CLONE, CLONE3, IOCTL, SOCKETPAIR = (56, 220), (435, 435), (16, 29), (53, 199)
PRCTL, DUMPABLE = (157, 167), 4  # without which the worker can't tell what a process shares with others
FCNTL, MMAP, SETSOCKOPT = (72, 25), (9, 222), (54, 208)
BUFFERS = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF and what forces them: memory of the kernel, seen to be held by nobody
# calls whose process argument (given by its place) must be 0, the caller itself
OWN = {
    "prlimit64": (302, 261, 0), "sched_setaffinity": (203, 122, 0), "sched_setscheduler": (144, 119, 0),
    "sched_setparam": (142, 118, 0), "sched_setattr": (314, 274, 0), "setpriority": (141, 140, 1),
    "ioprio_set": (251, 30, 1),
}  # fmt: skip
SETPRIORITY = (141, 140)


def available() -> bool:
    """Says whether a filter for this machine is known."""
    return MACHINE in ARCH


def program(*, signals: bool, attributes: bool, truncation: bool, shared_memory: bool) -> bytes:
    """Returns the filter; `signals` may be sent where Landlock keeps them within the sandbox, `attributes` of files may be
    changed where none but the candidate's own can be reached, `truncation` of files is free where Landlock knows of it, and
    `shared_memory` is for drivers."""
    place = list(ARCH).index(MACHINE)
    refused = [*REFUSED.values(), *(() if signals else SIGNALS.values()), *(() if attributes else ATTRIBUTES.values())]
    unowned = _step(AND, MAP_TYPE | MAP_ANONYMOUS) + _refuse(EQUAL, MAP_SHARED | MAP_ANONYMOUS, errno.EPERM)
    parts = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, ARCH[MACHINE], 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER),
        _refuse(GREATER_EQUAL, NEWEST + 1, errno.ENOSYS),  # x32 calls are beyond it as well
        _refuse(EQUAL, CLONE3[place], errno.ENOSYS),  # its flags can't be seen; the C library falls back to clone
        *(_refuse(EQUAL, numbers[place], errno.EPERM) for numbers in refused if numbers[place] >= 0),
        _argument(CLONE[place], 0, _refuse(ANY_BIT, NAMESPACES, errno.EPERM)),
        _argument(IOCTL[place], 1, b"".join(_refuse(EQUAL, command, errno.EPERM) for command in IOCTLS)),
        _argument(SOCKETPAIR[place], 0, _require(AF_UNIX)),
        _argument(SOCKETPAIR[place], 1, _step(AND, 0xF) + _require(SOCK_STREAM)),
        _argument(SETPRIORITY[place], 0, _require(PRIO_PROCESS)),
        *(_argument(numbers[place], numbers[2], _require(0)) for numbers in OWN.values()),
        _argument(FCNTL[place], 1, b"".join(_refuse(EQUAL, command, errno.EPERM) for command in FCNTLS)),
        _argument(PRCTL[place], 0, _refuse(EQUAL, DUMPABLE, errno.EPERM)),
        _argument(SETSOCKOPT[place], 2, b"".join(_refuse(EQUAL, option, errno.EPERM) for option in BUFFERS)),
        b"" if truncation else _without_truncation(place),
        b"" if shared_memory else _argument(MMAP[place], 3, unowned),
        _step(RETURN, ALLOW),
    ]
    return b"".join(parts)


def _without_truncation(place: int) -> bytes:
    """Refuses what empties a file that may not be written to; opening it for writing is Landlock's affair."""
    opens = [(numbers[place], numbers[2]) for numbers in OPENS.values() if numbers[place] >= 0]
    empties = _step(AND, O_TRUNC | O_ACCMODE) + b"".join(
        _refuse(EQUAL, O_TRUNC | mode, errno.EACCES) for mode in (0, 3)
    )
    return (
        _refuse(EQUAL, TRUNCATE[place], errno.EACCES)
        + _refuse(EQUAL, OPENAT2[place], errno.ENOSYS)  # its flags can't be seen
        + b"".join(_argument(number, flags, empties) for number, flags in opens)
    )


def install(steps: bytes) -> None:
    """Puts this process and all that it starts under a filter. There is no way back."""
    buffer = ctypes.create_string_buffer(steps, len(steps))
    header = struct.pack("HxxxxxxP", len(steps) // 8, ctypes.addressof(buffer))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, 2, header)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def _refuse(test: int, value: int, number: int) -> bytes:
    """Ends with an error where the test holds; else goes on behind."""
    return _step(test, value, 0, 1) + _step(RETURN, ERRNO | number)


def _require(value: int) -> bytes:
    return _step(EQUAL, value, 1, 0) + _step(RETURN, ERRNO | errno.EPERM)


def _argument(number: int, place: int, test: bytes) -> bytes:
    """Applies a test to one argument of one call; the number is loaded again behind it."""
    inside = _step(LOAD, ARGUMENTS + 8 * place) + test + _step(LOAD, NUMBER)
    return _step(EQUAL, number, 0, len(inside) // 8) + inside
