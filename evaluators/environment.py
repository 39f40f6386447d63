"""The environments of processes that serve evaluations: made from an allow list, so that no key is inherited."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PASSED = (
    "PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",  # these two work around machines
)  # fmt: skip


def clean_environment(home: str, *, trusted: bool) -> dict[str, str]:
    """Returns a worker's environment (`trusted`: it finds our packages) or that of the process which forks candidates.

    The hash seed is fixed, so that sets iterate alike in every worker.
    """
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    environment |= {"LANG": "C.UTF-8", "HOME": home, "TMPDIR": home, "PYTHONHASHSEED": "0", **ONE_THREAD}
    root = Path(__file__).resolve().parents[1]
    if trusted and root.name not in ("site-packages", "dist-packages"):
        environment["PYTHONPATH"] = str(root)
    return environment


def python() -> list[str]:
    """Returns the interpreter that ignores the current folder, the user's packages and writes no bytecode."""
    return [sys.executable, "-P", "-s", "-B"]
