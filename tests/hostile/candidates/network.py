"""Connects to whatever listens here: TCP, IPv6, UNIX by path and by name, from children and by the raw call."""
# expect: ok|crash
# score: 0.1
import contextlib
import socket

import arms


def loot(family, address):
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(0.1)
        client.connect(address)
        return arms.hunt(client.recv(100)) or arms.breach(f"connected to {address}")
    return None


def solve(x, look):
    found = loot(socket.AF_INET, ("127.0.0.1", arms.PORT)) or loot(socket.AF_INET6, ("::1", arms.PORT))
    if found:
        return found
    paths = [arms.SOCKET, arms.ABSTRACT, "/run/systemd/journal/stdout", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/nscd/socket"]
    with contextlib.suppress(OSError), open("/proc/net/unix") as file:
        paths += [line.split()[-1].replace("@", "\0", 1) for line in file if arms.MARK in line or arms.SOCKET in line]
    for path in paths:
        found = loot(socket.AF_UNIX, path)
        if found:
            return found
    datagram = arms.libc.socket(2, 2, 0)
    if datagram >= 0:
        with contextlib.suppress(OSError):
            socket.socket(fileno=datagram).sendto(b"hostile", ("127.0.0.1", arms.PORT))
    return arms.honest(x)
