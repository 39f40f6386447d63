"""What the machine here is and has: plain facts, for whoever decides where a problem can run."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from evolve.problem import Problem

CPUINFO = Path("/proc/cpuinfo")
GPUS = Path("/proc/driver/nvidia/gpus")


def missing(problem: Problem) -> list[str]:
    """Returns what of the problem's `requires` is not here: `gpu`, or a program that PATH does not find."""
    return [name for name in problem.requires if not (_has_gpu() if name == "gpu" else shutil.which(name))]


@cache
def node_class() -> Mapping[str, str]:
    """Returns what hardware measures here: `cpu_model`, and `gpu_model` ("" without a GPU)."""
    return {"cpu_model": cpu_model(_read(CPUINFO)), "gpu_model": gpu_model(map(_read, GPUS.glob("*/information")))}


def cpu_model(cpuinfo: str) -> str:
    """Returns the first processor's name; where there is none (aarch64), its implementer's and part's numbers."""
    facts = _facts(cpuinfo)
    if "model name" in facts:
        return facts["model name"]
    numbers = [facts[name] for name in ("CPU implementer", "CPU part") if name in facts]
    return " ".join([platform.machine(), *numbers])


def gpu_model(informations: Iterable[str]) -> str:
    """Returns the models of the GPUs, each once."""
    return " + ".join(sorted({_facts(text).get("Model", "") for text in informations} - {""}))


def _facts(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in reversed(text.splitlines()))  # the first of equal names stands
    return {name.strip(): value.strip() for name, _, value in pairs}


def _has_gpu() -> bool:
    return bool(node_class()["gpu_model"]) or Path("/dev/nvidia0").exists()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
