"""What of the levels of isolation the kernel here grants a user, asked without our own code: only that excuses a skip."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

# user and mount namespaces, as a user may or may not make them; the version of Landlock
PROBES = {
    "strict": "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10020000) and 1)",
    "guarded": "import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) < 1)",
    "bare": "",
}


def granted(level: str, uid: int | None = None) -> bool:
    """Says whether the kernel grants a user what a level (`auto`: the best but bare) is made of."""
    if level == "auto":
        return granted("strict", uid) or granted("guarded", uid)
    user: dict[str, Any] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    python = sys.executable if uid is None else "python3"
    return subprocess.run([python, "-c", PROBES[level]], check=False, **user).returncode == 0
