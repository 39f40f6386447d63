"""The wheel, installed into an environment of its own and started in an empty folder."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def test_the_wheel_runs_without_the_checkout(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "-o", str(tmp_path), str(ROOT)], check=True, capture_output=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    share_dependencies(python)
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [venv / "bin" / "evolve", "run", "budget.candidates=10"], cwd=empty, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "10/10 candidates" in done.stdout and len(list(empty.glob("runs/*/run.db"))) == 1


def share_dependencies(python: Path) -> None:
    """Lets the new environment see this one's libraries, but not this one's editable install of Evolve."""
    query = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip())
    ours = Path(sysconfig.get_path("purelib"))
    (site / "shared.pth").write_text(f"{ours}\n")  # a plain path: .pth files in it are not read
    where = [python, "-c", "import evolve; print(evolve.__file__)"]
    found = subprocess.run(where, check=True, capture_output=True, text=True, cwd=site).stdout
    assert str(site) in found, found
