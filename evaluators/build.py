"""Builds a candidate in a sandbox of its own, once for the same text: what a build left is kept for the next evaluation.

The store is this user's (`evolve/builds` in the folder of caches), written by workers alone; its bounds are kept by taking
away what was used longest ago. An entry is named by all that a build depends on: the files, the command, the versions of
the programs that it and `requires` name, the machine, the processor (for -march=native), the C library, the interpreter,
and the problem's whole folder where it has data/. Does not cover: what mounts hold, and at level *bare* nothing keeps a
candidate from the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from evaluators import machine
from evaluators.environment import clean_environment, interpreter
from evaluators.harness import wire
from evaluators.harness.command import PYTHON
from evaluators.sandbox import Built, Clock, Failure, Sandbox, Zygote
from evolve.cache import cache_folder
from evolve.problem import Problem, Stage
from evolve.types import Files, Status

STORE_MB = 1_000
VERSION_S = 20.0
OF_CPU = ("model name", "flags", "CPU part", "Features")


class BuildStore:
    """Builds by their keys, in a folder; what can't be read or is damaged is not there, what can't be kept is built again."""

    def __init__(self, folder: Path, most_mb: int = STORE_MB):
        self._folder = folder
        self._most = most_mb << 20

    def get(self, key: str) -> Built | None:
        """Returns what is kept under a key, and notes that it was used."""
        path = self._folder / key
        try:
            raw = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, body = raw[:32], raw[32:]
        if hashlib.sha256(body).digest() != digest:
            return None
        built: Built = wire.decode(body)
        return built

    def put(self, key: str, built: Built) -> None:
        """Keeps a build, whole or not at all, and makes room for it."""
        body = wire.encode(built)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
                file.write(hashlib.sha256(body).digest() + body)
            os.replace(file.name, self._folder / key)
            self._make_room()

    def _make_room(self) -> None:
        facts = sorted(
            (-entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in os.scandir(self._folder)
        )
        size = 0
        for _, bytes_held, path in facts:  # the last used first
            size += bytes_held
            if size > self._most:
                Path(path).unlink(missing_ok=True)


def build(zygote: Zygote, problem: Problem, stage: Stage, files: Files) -> Built:
    """Returns what a candidate's build leaves, of an earlier one where there was the same. Raises Failure (build_failed)."""
    assert problem.build is not None
    store, key = BuildStore(cache_folder() / "builds"), build_key(problem, files)
    built = store.get(key)
    if built is None:
        built = _built(zygote, problem, stage, files)
        store.put(key, built)
    return built


def _built(zygote: Zygote, problem: Problem, stage: Stage, files: Files) -> Built:
    spec = problem.build
    assert spec is not None
    clock = Clock(spec.timeout_s, spec.timeout_s)
    sandbox = Sandbox(zygote, clock, lambda *_: ["raised", "a build has no services"])
    try:
        code, messages, left = sandbox.build(problem, stage, files, spec.run)
    except Failure as failure:
        slow = failure.status is Status.TIMEOUT
        reason = f"not done after build.timeout_s={spec.timeout_s:g}" if slow else failure.reason
        raise Failure(Status.BUILD_FAILED, f"the build failed: {reason}") from None
    finally:
        sandbox.close()
    if code:
        raise Failure(Status.BUILD_FAILED, messages or f"the build ended with exit code {code} and said nothing")
    return left


def build_key(problem: Problem, files: Files) -> str:
    """Returns the hash of all that a build depends on."""
    assert problem.build is not None
    run = problem.build.run
    path = interpreter(problem.python).argv[0]
    programs = [path if name == PYTHON else name for name in (run[0], *problem.requires)]
    facts = [sorted(files.items()), run, [_version(name) for name in programs], _node(), problem.mounts, path]
    facts.append(problem.hash if problem.data else "")
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _version(program: str) -> str:
    """Returns what a program outside of the candidate's folder says of its version, and where it is."""
    path = shutil.which(program) if os.path.isabs(program) or "/" not in program else None
    if path is None:
        return ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        environment = clean_environment("/", trusted=False)
        told = subprocess.run(
            [path, "--version"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=VERSION_S
        )
        return f"{path} {told.stdout[:500]!r}"
    return path


@cache
def _node() -> str:
    facts = dict.fromkeys(line for line in machine.cpuinfo().splitlines() if line.startswith(OF_CPU))
    return repr((platform.machine(), platform.libc_ver(), list(facts)))
