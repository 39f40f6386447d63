"""The environments of processes that serve evaluations: made from an allow list, so that no key is inherited."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evolve.cache import CACHE, cache_folder
from evolve.errors import EvaluatorError

ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PASSED = (
    "PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",  # these two work around machines
)  # fmt: skip
PACKAGES = ("site-packages", "dist-packages")
OLDEST = (3, 9)  # that the harness runs on
FACTS = "import sys, json; print(json.dumps([sys.version_info[:2], sys.prefix, sys.base_prefix]))"


def clean_environment(home: str, *, trusted: bool) -> dict[str, str]:
    """Returns a worker's environment (`trusted`: it finds our packages) or that of the process which forks candidates.

    The hash seed is fixed, so that sets iterate alike in every worker.
    """
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    environment |= {"LANG": "C.UTF-8", "HOME": home, "TMPDIR": home, "PYTHONHASHSEED": "0", **ONE_THREAD}
    root = Path(__file__).resolve().parents[1]
    if trusted:
        environment[CACHE] = str(cache_folder())
    if trusted and root.name not in PACKAGES:
        environment["PYTHONPATH"] = str(root)
    return environment


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that runs candidates: how it is started, and the folders that it needs."""

    argv: tuple[str, ...]
    folders: tuple[str, ...]


@cache
def interpreter(path: str = "") -> Interpreter:
    """Returns the engine's interpreter, or the one at a path. Raises EvaluatorError where that is of no use."""
    program, option = (path, ()) if path else (sys.executable, ("-P",))  # which is new in 3.11
    prefixes = _prefixes(path) if path else [sys.prefix, sys.base_prefix]
    packages = [] if path else [folder for folder in sys.path if os.path.basename(folder) in PACKAGES]
    folders = (*prefixes, str(Path(os.path.realpath(program)).parents[1]), *packages)
    return Interpreter((program, *option, "-s", "-B"), tuple(dict.fromkeys(folders)))


def python() -> list[str]:
    """Returns the interpreter that ignores the current folder, the user's packages and writes no bytecode."""
    return list(interpreter().argv)


def _prefixes(path: str) -> list[str]:
    """Asks another interpreter for its prefixes, and whether it is new enough."""
    where, least = f"problem.yaml: python: {path}", "{}.{}".format(*OLDEST)
    try:
        environment = clean_environment("/", trusted=False)
        asked = subprocess.run([path, "-s", "-B", "-c", FACTS], env=environment, capture_output=True, timeout=30)
        version, *prefixes = json.loads(asked.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EvaluatorError(f"{where}: can't be run ({error}); name a Python {least} or newer there") from None
    except ValueError:
        said = (asked.stderr or asked.stdout).decode("utf-8", "replace").strip()[-200:]
        raise EvaluatorError(f"{where}: is no Python ({said!r}); name a Python {least} or newer there") from None
    if tuple(version) < OLDEST:
        found = ".".join(map(str, version))
        raise EvaluatorError(f"{where}: is Python {found}; candidates need {least} or newer")
    return list(map(str, prefixes))
