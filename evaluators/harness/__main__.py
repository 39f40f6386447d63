"""The zygote: goes into its container, imports what a problem preloads, then forks one process per candidate and ends it.

Run by the worker with an empty environment (see `evaluators.sandbox`). Talks over a SEQPACKET socket: `start` with a plan ->
`ready` or `failed`; `spawn` (with the candidate's channel and log as descriptors); `end` -> `ended`, which comes unasked
when the candidate's process dies. It never reads a candidate's channel and runs no candidate code itself.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from . import session, tree, wire
from .guard import Guard

PACKET = 1 << 18
ENDING_S = 10.0  # for the end of a worker whose channel has closed


class Zygote:
    """At most one candidate at a time; `serial` tells a late `end` for one that is gone from one for its successor."""

    def __init__(self, control: socket.socket):
        self._control = control
        self._term = socket.socketpair()
        self._guard: Guard | None = None
        self._serial = 0
        self._child = 0
        self._pidfd = -1

    def serve(self) -> None:
        """Answers until the worker is gone, and takes the candidate along then."""
        try:
            self._answer()
        finally:
            signal.set_wakeup_fd(-1)  # a signal may come after this object is gone
            if self._guard:
                if self._child:
                    self._guard.end(self._child)
                self._guard.close()

    def _answer(self) -> None:
        while self._wait():
            packet, descriptors, _, _ = socket.recv_fds(self._control, PACKET, 2)
            if not packet:
                return
            kind, *rest = wire.decode(packet)
            if kind == "start":
                self._start(*rest)
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

    def _start(self, plan: Mapping[str, Any]) -> None:
        try:
            self._guard = Guard(plan)
        except OSError as error:
            self._send("failed", str(error))
            return
        tree.adopt_orphans()
        for name in plan["preload"]:
            try:
                importlib.import_module(name)
            except Exception as error:  # noqa: BLE001 any module may be named; what it raised goes to the worker
                self._send("failed", f"preload: {name}: {type(error).__name__}: {error}")
                return
        if "numpy" in sys.modules:
            importlib.import_module("numpy.random")  # which is made ready for each candidate alike
        gc.collect()
        gc.freeze()
        self._defer_ends()
        self._send("ready")

    def _defer_ends(self) -> None:
        """Makes the word that it is to end a thing to read, lest it interrupt the end of a candidate's tree."""
        self._term[1].setblocking(False)
        signal.set_wakeup_fd(self._term[1].fileno())
        for number in tree.ENDS:
            signal.signal(number, lambda number, _: tree.terminations.append(number))

    def _spawn(self, descriptors: list[int], serial: int, limits: dict[str, int], scratch: str, fresh: bool) -> None:
        assert self._guard is not None
        parent = os.getpid()
        pid = self._guard.fork()
        if not pid:
            signal.set_wakeup_fd(-1)
            tree.die_with_parent(0 if self._guard.scratch else parent)
            self._control.detach()
            channel, log = descriptors
            session.become_candidate(channel, log, self._guard, limits, self._guard.scratch or scratch, fresh)
        for descriptor in descriptors:
            os.close(descriptor)
        self._serial, self._child, self._pidfd = serial, pid, os.pidfd_open(pid)

    def _end(self) -> None:
        assert self._guard is not None
        code, cpu_s, memory_mb = self._guard.end(self._child)
        os.close(self._pidfd)
        self._child, self._pidfd = 0, -1
        self._send("ended", self._serial, code, cpu_s, memory_mb)

    def _send(self, *message: Any) -> None:
        self._control.send(wire.encode(message))


def main() -> None:
    """Serves on the descriptor that is the first argument; the second is the process id of the worker."""
    number, parent = map(int, sys.argv[1:])
    tree.die_with_parent(parent, tree.ORPHANED)
    del sys.argv[1:]
    home = os.environ["HOME"]
    try:
        Zygote(socket.socket(fileno=number)).serve()
    finally:
        if _orphaned(parent):
            tree.remove_worker(os.path.dirname(home))


def _orphaned(parent: int) -> bool:
    """Says whether the worker is dead: its channel closes a moment before. One that lives says SIGTERM."""
    until = time.monotonic() + ENDING_S
    while signal.SIGTERM not in tree.terminations and os.getppid() == parent and time.monotonic() < until:
        time.sleep(0.002)
    return os.getppid() not in (0, parent)
