"""A PostgreSQL server of the tests' own: made in a temporary folder, on a free port, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from itertools import count
from pathlib import Path

import psycopg


def programs() -> Path | None:
    """Returns the folder with initdb and pg_ctl, None where no server is installed."""
    found = shutil.which("initdb")
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(found).resolve().parent if found else known[-1].parent if known else None


class Server:
    """Runs as `nobody` where the tests run as root, whom PostgreSQL refuses."""

    def __init__(self, programs: Path):
        self._programs = programs
        self._names = count(1)
        self.folder = Path(tempfile.mkdtemp(prefix="evolve-postgres-"))
        self.port = _free_port()
        self._as: dict[str, object] = {"cwd": self.folder}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self._as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._do("initdb", "-D", "data", "-U", "evolve", "-A", "trust", "-E", "UTF8", "--locale=C")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._do("pg_ctl", "-D", "data", "-l", "log", "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stops it: `fast` tells its clients, `immediate` is like a crash."""
        self._do("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        self.stop("immediate")
        shutil.rmtree(self.folder)

    def new(self) -> str:
        """Makes an empty database; returns its URL."""
        name = f"test{next(self._names)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://evolve@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def _do(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **self._as)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
