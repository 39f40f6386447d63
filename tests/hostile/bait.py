"""What candidates would like to reach, and the search for what they left behind.

Everything bears the marks of one run of the tests, so that runs beside each other don't take one another's for theirs.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import secrets
import signal
import site
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HARNESS = Path(__file__).parents[2] / "evaluators/harness"
OUTSIDE = "/ /tmp /var/tmp /dev/shm /dev /run /etc /home /root /usr/lib /opt /srv /mnt"
FS_IOC_SETFLAGS = 0x40086602
END_S = 2.0  # how long processes may take to be gone

VICTIM_CODE = """
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
kept = [os.environ["HOSTILE_TEST_API_KEY"] * 100]
print("ready", flush=True)
while True:
    time.sleep(60)
"""


@dataclass(frozen=True, slots=True)
class Marks:
    """The names by which what belongs to one run of the tests is known; problem/initial/arms.py has the same."""

    tag: str = field(default_factory=lambda: secrets.token_hex(2))

    @property
    def process(self) -> str:
        return f"hostile{self.tag}"

    @property
    def victim(self) -> str:
        return f"victim{self.tag}"

    @property
    def file(self) -> str:
        return f"evolve-hostile{self.tag}-"

    @property
    def socket(self) -> str:
        return f"/tmp/hostile-bait{self.tag}.sock"

    @property
    def abstract(self) -> str:
        return f"\0evolve-hostile{self.tag}-bait"

    @property
    def port(self) -> int:
        return 20000 + int(self.tag, 16) % 12000

    @property
    def keys(self) -> range:
        """Keys of System V IPC."""
        first = 0x45000000 | int(self.tag, 16) << 8
        return range(first, first + 256)


class Bait:
    """What a candidate would like to reach; every place holds a label of the problem, so that reaching it shows as 1.0."""

    def __init__(self, label: str, marks: Marks):
        self._label = label
        self._marks = marks
        self._sockets: list[socket.socket] = []
        self._paths: list[str] = []
        self._victim: subprocess.Popen[bytes] | None = None
        self._planted: list[Path] = []
        self.reached: list[str] = []

    def set(self) -> None:
        os.environ["HOSTILE_TEST_API_KEY"] = self._label
        self._listen(socket.AF_UNIX, self._marks.abstract, "the abstract socket")
        if self._listen(socket.AF_UNIX, self._marks.socket, "the socket by path"):
            self._paths.append(self._marks.socket)
        self._listen(socket.AF_INET, ("127.0.0.1", self._marks.port), "TCP")
        self._listen(socket.AF_INET, ("127.0.0.1", self._marks.port), "UDP", socket.SOCK_DGRAM)
        self._listen(socket.AF_INET6, ("::1", self._marks.port), "TCP over IPv6")
        self.check_victim()

    def check_victim(self) -> list[str]:
        """Returns what happened to the stranger's process; starts it, or a new one in place of a spoilt one."""
        spoilt = []
        if self._victim is not None:
            if self._victim.poll() is not None:
                spoilt = ["a stranger's process was killed"]
            elif _state(self._victim.pid) in "Tt":
                spoilt = ["a stranger's process was stopped"]
        if self._victim is None or spoilt:
            self._end_victim()
            words = [sys.executable, "-c", VICTIM_CODE, self._marks.victim, self._label]
            self._victim = subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True)
            assert self._victim.stdout is not None
            self._victim.stdout.readline()
        return spoilt

    def plant(self, folder: Path) -> None:
        """Puts a neighbour's scratch folder into each worker's."""
        self._planted = [home / "candidate-neighbour/notes.txt" for home in folder.glob("evolve-worker-*")]
        for notes in self._planted:
            notes.parent.mkdir(exist_ok=True)
            notes.write_text(self._label)

    def check_planted(self) -> list[str]:
        """Returns what happened to the neighbours' folders; a worker that was replaced has taken its own along."""
        there = [notes for notes in self._planted if notes.parents[1].exists()]
        ok = all(notes.exists() and notes.read_text() == self._label for notes in there)
        return [] if ok else ["a neighbour's folder was changed"]

    def take_away(self) -> None:
        os.environ.pop("HOSTILE_TEST_API_KEY", None)
        self._end_victim()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for path in self._paths:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _end_victim(self) -> None:
        if self._victim is not None:
            self._victim.kill()
            self._victim.wait()
            assert self._victim.stdout is not None
            self._victim.stdout.close()

    def _listen(self, family: int, address: Any, what: str, kind: int = socket.SOCK_STREAM) -> bool:
        sock = socket.socket(family, kind)
        try:
            sock.bind(address)
            if kind == socket.SOCK_STREAM:
                sock.listen()
        except OSError:
            sock.close()
            return False
        if address == self._marks.socket:
            os.chmod(self._marks.socket, 0o777)
        self._sockets.append(sock)
        threading.Thread(target=self._serve, args=(sock, what), name=what, daemon=True).start()
        return True

    def _serve(self, sock: socket.socket, what: str) -> None:
        while True:
            try:
                if sock.type == socket.SOCK_DGRAM:
                    if not sock.recv(100):
                        return
                    self.reached.append(what)
                    continue
                client, _ = sock.accept()
                self.reached.append(what)
                with client:
                    client.sendall(self._label.encode())
            except OSError:
                if sock.fileno() < 0 or sock.type != socket.SOCK_DGRAM:
                    return


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


# ---------------------------------------------------------------- what is left


def processes(marks: Marks) -> list[int]:
    """Returns the candidates' processes that are alive: by the name that they gave themselves, or by their arguments."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            name = Path("/proc", entry, "comm").read_text().strip()
            words = Path("/proc", entry, "cmdline").read_bytes()
            ours = name == marks.process or marks.file.encode() in words
            if ours and _state(int(entry)) not in ("Z", "X", "gone"):
                found.append(int(entry))
    return found


def lasting_processes(marks: Marks, within_s: float = END_S) -> list[int]:
    """Returns those that are still there after a while; kills them."""
    until = time.monotonic() + within_s
    while (found := processes(marks)) and time.monotonic() < until:
        time.sleep(0.02)
    for pid in found:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return found


def marked_files(marks: Marks, *folders: Path) -> list[str]:
    """Returns files outside that candidates have made; removes them."""
    places = {Path(place) for place in OUTSIDE.split()} | {
        Path.home(),
        Path.home() / ".cache",
        Path(sys.prefix),
        HARNESS,
        *folders,
    }
    places |= {Path(os.__file__).parent, *(Path(place) for place in site.getsitepackages()), *map(Path, sys.path)}
    found = []
    for place in places:
        with contextlib.suppress(OSError):
            found += [str(place / name) for name in os.listdir(place) if name.startswith(marks.file)]
    for path in found:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return found


def scratch_left(folder: Path) -> list[str]:
    """Returns what is left of candidates' folders below a temporary one; removes it."""
    found = []
    for root, folders, names in os.walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        found += [os.path.join(root, name) for name in [*folders, *names] if name.startswith("candidate-")]
        folders[:] = [name for name in folders if depth < 3 and not name.startswith("candidate-")]
    found = [path for path in found if not path.endswith("candidate-neighbour")]
    for path in found:
        remove(path)
    return found


def remove(path: str) -> None:
    """Removes a file or folder whatever it holds: also what is nested too deep for shutil, immutable or a mount."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4].startswith(path):
            subprocess.run(["umount", "-l", line.split()[4]], check=False, capture_output=True)
    for root, folders, _ in os.walk(os.fsencode(path)):
        if root.count(b"/") - path.count("/") > 2:
            folders.clear()
        with contextlib.suppress(OSError):
            descriptor = os.open(root, os.O_RDONLY)
            fcntl.ioctl(descriptor, FS_IOC_SETFLAGS, struct.pack("l", 0))
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.chmod(root, 0o700)
    subprocess.run(["rm", "-rf", path], check=False, capture_output=True)


def segments_left(marks: Marks) -> list[str]:
    found = []
    for kind in ("shm", "msg"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/sysvipc", kind).read_text().splitlines()[1:]:
                key, number = map(int, line.split()[:2])
                if key & 0xFFFFFFFF in marks.keys:
                    found.append(f"{kind} {key & 0xFFFFFFFF:#x}")
                    _remove_segment(kind, number)
    return found


def _remove_segment(kind: str, number: int) -> None:
    libc = ctypes.CDLL(None)
    (libc.shmctl if kind == "shm" else libc.msgctl)(number, 0, None)


def fingerprint(*folders: Path) -> str:
    """Returns a digest of names, modes and contents: what must not change."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
            digest.update(f"{path} {path.stat().st_mode} ".encode() + path.read_bytes())
    return digest.hexdigest()
