"""Runs the installed `evolve` command in a process of its own, as a user would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = str(Path(sys.executable).parent / "evolve")


def environment(**extra: str) -> dict[str, str]:
    """Returns this environment without provider keys, so that no test can spend money."""
    return {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")} | extra


def evolve(*words: str, cwd: Path, timeout_s: float = 300, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *words],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def evolve_json(*words: str, cwd: Path) -> Any:
    done = evolve(*words, "--json", cwd=cwd)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def ok(*words: str, cwd: Path, **env: str) -> str:
    """Runs a command that must succeed; returns what it printed."""
    done = evolve(*words, cwd=cwd, **env)
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout
