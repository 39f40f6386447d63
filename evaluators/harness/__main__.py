"""The zygote: imports what a problem preloads, then forks one process per candidate and ends it, tree and all.

Run by the worker as `python <this folder> CONTROL_FD PARENT_PID`, with an empty environment. Talks over a SEQPACKET socket:
`preload` -> `ready` or `failed`; `spawn` (with the candidate's channel and log as descriptors); `end` -> `ended`, which
comes unasked when the candidate's process dies. It never reads a candidate's channel and runs no candidate code itself.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import shutil
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evaluators.harness import session, tree, wire
else:
    import session
    import tree
    import wire

PACKET = 1 << 16


class Zygote:
    """At most one candidate at a time; `serial` tells a late `end` for one that is gone from one for its successor."""

    def __init__(self, control: socket.socket):
        self._control = control
        self._term = socket.socketpair()
        self._serial = 0
        self._child = 0
        self._pidfd = -1

    def serve(self) -> None:
        """Answers until the worker is gone, and takes the candidate along then."""
        try:
            self._answer()
        finally:
            if self._child:
                tree.end_all(self._child)

    def _answer(self) -> None:
        while self._wait():
            packet, descriptors, _, _ = socket.recv_fds(self._control, PACKET, 2)
            if not packet:
                return
            kind, *rest = wire.decode(packet)
            if kind == "preload":
                self._preload(*rest)
            elif kind == "spawn":
                self._spawn(descriptors, *rest)
            elif rest == [self._serial] and self._child:
                self._end()

    def _wait(self) -> bool:
        """Returns True when the worker has written, False when it is gone; ends a candidate that died meanwhile."""
        while True:
            poller = select.poll()
            for descriptor in (self._control.fileno(), self._term[0].fileno(), self._pidfd)[: 3 if self._child else 2]:
                poller.register(descriptor, select.POLLIN)
            ready = {descriptor for descriptor, _ in poller.poll()}
            if self._term[0].fileno() in ready:
                return False
            if self._pidfd not in ready:
                return True
            self._end()

    def _preload(self, names: list[str]) -> None:
        for name in names:
            try:
                importlib.import_module(name)
            except Exception as error:  # noqa: BLE001 any module may be named; what it raised goes to the worker
                self._send("failed", f"preload: {name}: {type(error).__name__}: {error}")
                return
        gc.collect()
        gc.freeze()
        self._defer_sigterm()
        self._send("ready")

    def _defer_sigterm(self) -> None:
        """Makes SIGTERM (the worker died) a thing to read, lest it interrupt the end of a candidate's tree."""
        self._term[1].setblocking(False)
        signal.set_wakeup_fd(self._term[1].fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)

    def _spawn(self, descriptors: list[int], serial: int, limits: dict[str, int], scratch: str) -> None:
        parent = os.getpid()
        pid = os.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            tree.die_with_parent(parent)
            self._control.detach()
            channel, log = descriptors
            session.become_candidate(channel, log, limits, scratch)
        for descriptor in descriptors:
            os.close(descriptor)
        self._serial, self._child, self._pidfd = serial, pid, os.pidfd_open(pid)

    def _end(self) -> None:
        code, cpu_s, memory_mb = tree.end_all(self._child)
        os.close(self._pidfd)
        self._child, self._pidfd = 0, -1
        self._send("ended", self._serial, code, cpu_s, memory_mb)

    def _send(self, *message: Any) -> None:
        self._control.send(wire.encode(message))


def main() -> None:
    number, parent = map(int, sys.argv[1:])
    tree.die_with_parent(parent, signal.SIGTERM)
    tree.adopt_orphans()
    for name in ("session", "tree", "wire"):  # a candidate's own module of that name is its own
        del sys.modules[name]
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    del sys.argv[1:]
    try:
        Zygote(socket.socket(fileno=number)).serve()
    finally:
        if os.getppid() != parent:
            _remove_home(os.environ["HOME"])


def _remove_home(home: str) -> None:
    """Removes a dead worker's folder, scratch folders included: whoever had made it may be dead as well."""
    if os.path.basename(home).startswith("evolve-worker-"):
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
