"""A run seen from another machine (a process namespace of its own), and from where it may only be read (a read-only mount)."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.command import SCRIPT, environment, evolve_json, ok
from tests.integration.test_runs import asked, counted, killed_after

pytestmark = pytest.mark.integration

OURS = [] if os.geteuid() == 0 else ["--map-root-user"]


def apart(script: str, cwd: Path, *namespaces: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell script in namespaces of its own; skips where the machine lets nobody make them."""
    if subprocess.run(["unshare", *OURS, *namespaces, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"unshare {' '.join(namespaces)} is not allowed here")
    command = ["unshare", *OURS, *namespaces, "sh", "-c", script]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=200, check=False)


def test_a_runner_on_another_machine_waits_for_the_lease_to_be_stale(tmp_path: Path) -> None:
    killed_after(["run", "budget.candidates=40", "run_dir=R"], tmp_path, lambda: asked(tmp_path / "R"), 5, 0.0)
    resume = f"{shlex.quote(SCRIPT)} resume R"
    done = apart(resume, tmp_path, "--pid", "--fork", "--mount-proc")
    assert (
        done.returncode == 1 and "is being run by process" in done.stderr and "wait 30 s if it is gone" in done.stderr
    )
    with sqlite3.connect(tmp_path / "R" / "run.db") as database:
        database.execute("UPDATE runs SET heartbeat_at = heartbeat_at - 31")
    database.close()
    done = apart(resume, tmp_path, "--pid", "--fork", "--mount-proc")
    assert done.returncode == 0, done.stderr
    counted(tmp_path / "R", 40)


def test_a_run_on_a_read_only_mount_is_read(tmp_path: Path) -> None:
    ok("run", "budget.candidates=5", "run_dir=R", cwd=tmp_path)
    evolve = shlex.quote(SCRIPT)
    mounted = "mount --bind R R && mount -o remount,bind,ro R && ! touch R/x 2>/dev/null"
    done = apart(f"{mounted} && {evolve} status R --json && {evolve} best R --json", tmp_path, "--mount")
    assert done.returncode == 0, done.stderr
    status, best = map(json.loads, done.stdout.splitlines())
    assert status == evolve_json("status", "R", cwd=tmp_path) and best["id"] == status["best"]["id"]
    done = apart(f"{mounted} && {evolve} resume R budget.candidates=9", tmp_path, "--mount")
    assert done.returncode == 1 and "may not be written here" in done.stderr and len(done.stderr.splitlines()) == 1
