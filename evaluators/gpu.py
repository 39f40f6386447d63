"""The GPUs of this machine (NVIDIA), and which of them this worker's candidates get.

Reads what the driver shows in files; no library of the vendor is needed. Does not cover: MIG slices, other vendors.
"""

from __future__ import annotations

import fcntl
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evolve.cache import cache_folder

SHARED = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")  # nodes that every process with a GPU needs
READS = ("/sys/bus/pci/devices", "/sys/devices/system")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One device: its number in CUDA's order by bus, the number of its node, its UUID and model ("" where not told)."""

    index: int
    minor: int
    uuid: str = ""
    model: str = ""


def devices(root: str = "/") -> list[Gpu]:
    """Returns the GPUs that the driver tells of, in the order of their bus; else those that have a node."""
    told = sorted(Path(root, "proc/driver/nvidia/gpus").glob("*/information"))
    found = [_told(index, path.read_text(errors="replace")) for index, path in enumerate(told)]
    names = [path.name.removeprefix("nvidia") for path in Path(root, "dev").glob("nvidia*")]
    minors = sorted(int(name) for name in names if name.isdecimal())
    return [gpu for gpu in found if gpu.minor in minors] or [
        Gpu(index=index, minor=minor) for index, minor in enumerate(minors)
    ]


def _told(index: int, text: str) -> Gpu:
    facts = dict(re.findall(r"^([^:\n]+?)[ \t]*:[ \t]*(.*)$", text, re.MULTILINE))
    minor = facts.get("Device Minor", "").strip()
    uuid, model = (facts.get(name, "").strip() for name in ("GPU UUID", "Model"))
    return Gpu(index=index, minor=int(minor) if minor.isdecimal() else index, uuid=uuid, model=model)


def nodes(gpus: list[Gpu], root: str = "/") -> list[str]:
    """Returns the device files of these GPUs that exist; none for no GPU."""
    names = [*(f"nvidia{gpu.minor}" for gpu in gpus), *SHARED] if gpus else []
    return [f"/dev/{name}" for name in names if Path(root, "dev", name).exists()]


def visible(gpus: list[Gpu]) -> dict[str, str]:
    """Returns what tells CUDA which devices a process has: by UUID, which no hidden device shifts."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpu.uuid or str(gpu.index) for gpu in gpus)}


def chosen(gpus: list[Gpu], setting: str) -> list[Gpu]:
    """Returns the GPUs that a value of CUDA_VISIBLE_DEVICES names, by number or by the beginning of a UUID."""
    words = [word.strip() for word in setting.split(",") if word.strip()]
    return [gpu for word in words for gpu in gpus if _is_named(gpu, word)]


def _is_named(gpu: Gpu, word: str) -> bool:
    return gpu.index == int(word) if word.isdecimal() else bool(gpu.uuid) and gpu.uuid.startswith(word)


@cache
def assigned() -> list[Gpu]:
    """Returns this worker's GPUs: those that CUDA_VISIBLE_DEVICES names, else the first that no other worker has."""
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    return _first_free(devices()) if setting is None else chosen(devices(), setting)


def _first_free(gpus: list[Gpu]) -> list[Gpu]:
    folder = cache_folder()
    for gpu in gpus:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f"gpu-{gpu.minor}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # for as long as this process lives
            return [gpu]
        except BlockingIOError:
            os.close(lock)
    return []
