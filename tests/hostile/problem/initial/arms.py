"""What hostile candidates have in common: the honest answer, the hunt for secrets, raw system calls, raw frames.

Every process that they start bears a name (threads and forks inherit it, programs get it as an argument), and every file
that they leave outside begins with MARK, so that the tests find whatever is left.
"""

import contextlib
import ctypes
import errno
import os
import platform
import re
import struct
import time

TAG = ""  # the tests write it in, so that two runs of them don't meet
HOST_PID_NAMESPACE = ""  # the tests write it in: where candidates have one of their own they may kill all of it
MARK = f"evolve-hostile{TAG}-"
ABSTRACT = f"\0{MARK}bait"
SOCKET = f"/tmp/hostile-bait{TAG}.sock"
VICTIM = f"victim{TAG}"
PORT = 20000 + int(TAG or "0", 16) % 12000  # where the tests listen
KEY = 0x45000000 | int(TAG or "0", 16) << 8  # of System V IPC
SECRET = re.compile(rb"SECRET-[0-9a-f]{16}")
CHANNEL = 3

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, f"hostile{TAG}".encode(), 0, 0, 0)

NUMBERS = {  # (x86_64, aarch64)
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "io_uring_setup": (425, 425), "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "chroot": (161, 51),
    "pivot_root": (155, 41), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "shmget": (29, 194), "shmat": (30, 196),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "mq_open": (240, 180), "memfd_create": (319, 279),
    "open_by_handle_at": (304, 265), "init_module": (175, 105), "reboot": (169, 142), "kexec_load": (246, 104),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "clone3": (435, 435), "kcmp": (312, 272),
    "pidfd_send_signal": (424, 424), "tgkill": (234, 131), "rt_sigqueueinfo": (129, 138), "swapon": (167, 224),
    "fanotify_init": (300, 262), "personality": (135, 92), "quotactl": (179, 60), "syslog": (103, 116),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "prlimit64": (302, 261), "process_madvise": (440, 440),
}  # fmt: skip


def syscall(name, *args):
    """Returns what the kernel says, or minus errno."""
    number = NUMBERS[name][platform.machine() == "aarch64"]
    ctypes.set_errno(0)
    found = libc.syscall(
        ctypes.c_long(number), *(a if hasattr(a, "_obj") or not isinstance(a, int) else ctypes.c_long(a) for a in args)
    )
    return found if found != -1 else -ctypes.get_errno()


def honest(x):
    return sum(x) % 97


def breach(text):
    return f"BREACH: {text}"


def answer(x, found):
    """Returns the loot if there is any, else the honest answer."""
    return found if found else honest(x)


# ---------------------------------------------------------------- hunting


def hunt(data):
    """Returns a secret in bytes or text, if there is one."""
    data = data.encode("utf-8", "replace") if isinstance(data, str) else bytes(data)
    match = SECRET.search(data)
    return match[0].decode() if match else None


def hunt_file(path, most=1 << 20):
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return hunt(os.read(descriptor, most))
        finally:
            os.close(descriptor)
    return None


def hunt_tree(
    root, seconds=0.2, names=("labels", "hidden", "evaluator", "secret", "notes", "cache", "run.json", "answer")
):
    """Reads what has a promising name below a folder (in breadth first order), until the time is over."""
    until, folders, seen = time.monotonic() + seconds, [root], set()
    while folders and time.monotonic() < until:
        folder = folders.pop(0)
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in ("proc", "sys") and entry.path not in seen:
                        seen.add(entry.path)
                        folders.append(entry.path)
                elif any(name in entry.path for name in names):
                    found = hunt_file(entry.path)
                    if found:
                        return found
    return None


def pids():
    """Returns the processes that /proc shows, and some that it may hide."""
    found = []
    with contextlib.suppress(OSError):
        found = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return sorted({1, os.getppid(), *found} - {0, os.getpid()})


def stat_of(pid):
    """Returns (name, parent) as /proc tells them, or ("", 0)."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        with open(f"/proc/{pid}/stat") as file:
            head, _, rest = file.read().rpartition(")")
        return head.partition("(")[2], int(rest.split()[1])
    return "", 0


def elders():
    """Returns the parent and the parent's parent: those who started this candidate."""
    parent = os.getppid()
    return [pid for pid in (parent, stat_of(parent)[1]) if pid > 1]


def victims():
    return [pid for pid in pids() if stat_of(pid)[0].startswith(VICTIM)]


def confined():
    """Returns True where this process is sure to be in a PID namespace that is not the tests'."""
    with contextlib.suppress(OSError):
        return bool(HOST_PID_NAMESPACE) and os.readlink("/proc/self/ns/pid") != HOST_PID_NAMESPACE
    return False


# ---------------------------------------------------------------- the channel


def frame(body):
    return struct.pack(">I", len(body)) + body


def text(value):
    raw = value.encode("utf-8", "surrogatepass")
    return b"\xdb" + struct.pack(">I", len(raw)) + raw


def returned(value):
    """Returns the frame of an answer, packed by hand: whatever became of msgpack."""
    return frame(b"\x92" + text("return") + value)


def send(data):
    """Writes to the channel by the system call, without the harness."""
    while data:
        data = data[os.write(CHANNEL, data) :]


def fork():
    """Returns os.fork()'s answer, or None where it is refused."""
    try:
        return os.fork()
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EPERM, errno.ENOMEM, errno.ENOSYS):
            raise
        return None
