"""Reads the files of a problem's folder, whatever they say."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from evolve.checks import require
from evolve.errors import ProblemError

BUNDLED = "problems"  # the package that ships problems; named here only, never imported
SUFFIXES = (".py", ".cpp", ".cc", ".c", ".rs", ".go", ".js", ".ts", ".cu", ".jl", ".txt", ".md", ".f90", ".java")


def bundled_root() -> Path:
    """Returns the folder of the problems that ship with Evolve."""
    return Path(str(resources.files(BUNDLED)))


def folder_files(folder: Path) -> list[Path]:
    """Returns the files that make up a problem, sorted by path: not caches, hidden ones, runs that lie in it, dead links."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_aside(Path(root, name))]
        found += [path for name in names if not name.startswith(".") and (path := Path(root, name)).is_file()]
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def is_aside(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in ("__pycache__", "runs") or (folder / "run.json").exists()


def folder_hash(folder: Path, params: Mapping[str, Any], stages: Mapping[str, Any]) -> str:
    """Returns the hash (16 hex digits) of a problem's content, parameters and stage overrides; not of its place."""
    digest = hashlib.sha256(
        json.dumps([dict(params), {k: dict(v) for k, v in stages.items()}], sort_keys=True).encode()
    )
    for path in folder_files(folder):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ProblemError(f"{path}: can't be read: {error.strerror}") from None
        head = f"\0{path.relative_to(folder).as_posix()}\0{len(content)}\0"
        digest.update(head.encode(errors="surrogateescape"))  # a name may be no text
        digest.update(content)
    return digest.hexdigest()[:16]


def read_yaml(path: Path) -> dict[str, Any]:
    """Returns a YAML file's mapping, an empty one where there is no such file. Raises ProblemError."""
    if not path.is_file():
        return {}
    try:
        content = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ProblemError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    require(isinstance(content, dict | None), f"{path}: must be a mapping of keys, not {type(content).__name__}")
    return content or {}


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ProblemError(f"{path}: must be UTF-8 text") from None
    except OSError as error:
        raise ProblemError(f"{path}: can't be read: {error.strerror}") from None
