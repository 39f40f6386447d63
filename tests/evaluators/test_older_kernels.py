"""What the filter of system calls refuses where Landlock is too old to: each tried in a fork that has only the filter."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.harness import seccomp

if not seccomp.available():
    pytest.skip("no filter is known for this machine", allow_module_level=True)


def refused(action: Callable[[], object]) -> bool:
    """Says whether the filter refuses what, in a fork, the action does."""
    pid = os.fork()
    if pid == 0:
        try:
            seccomp.install(seccomp.program(signals=False, attributes=False, truncation=False, shared_memory=False))
            action()
            os._exit(0)
        except PermissionError:
            os._exit(77)
        except BaseException:  # noqa: BLE001 the edge of a process
            traceback.print_exc()
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 77)
    return code == 77


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("kept")
    return tmp_path / "file"


@pytest.mark.parametrize("flags", [os.O_RDONLY, 3])
def test_a_file_is_not_emptied_by_opening_it_to_read(file: Path, flags: int) -> None:
    assert refused(lambda: os.open(file, flags | os.O_TRUNC)) and file.read_text() == "kept"
    assert not refused(lambda: os.open(file, os.O_RDONLY))


def test_a_file_is_not_emptied_by_its_name(file: Path) -> None:
    assert refused(lambda: os.truncate(file, 0)) and file.read_text() == "kept"


def test_a_file_that_may_be_written_may_be_emptied(file: Path) -> None:
    assert not refused(lambda: file.open("w").close()) and file.read_text() == ""


@pytest.mark.parametrize("way", [fcntl.F_SETOWN, 15, 0x8901, 0x8902])
def test_nobody_is_made_the_owner_of_a_files_signals(way: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        who: int | bytes = os.getpid()
        if way == 15:
            who = struct.pack("ii", 1, who)
        elif way > 15:
            who = struct.pack("i", who)
        own = fcntl.ioctl if way > 15 else fcntl.fcntl
        assert refused(lambda: own(ours, way, who))  # type: ignore[operator]
        assert not refused(lambda: fcntl.fcntl(ours, fcntl.F_SETFL, os.O_NONBLOCK))


def test_others_are_not_signalled() -> None:
    assert refused(lambda: os.kill(os.getppid(), signal.SIGCONT))
