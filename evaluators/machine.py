"""What the machine here is and has: plain facts, for whoever decides where a problem can run."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from evaluators import gpu
from evolve.problem import Problem

CPUINFO = Path("/proc/cpuinfo")


def missing(problem: Problem) -> list[str]:
    """Returns what of the problem's `requires` is not here: `gpu`, or a program that PATH does not find."""
    return [name for name in problem.requires if not (gpu.devices() if name == "gpu" else shutil.which(name))]


@cache
def node_class() -> Mapping[str, str]:
    """Returns what hardware measures here: `cpu_model`, and `gpu_model` ("" without a GPU)."""
    models = {device.model for device in gpu.devices()} - {""}  # each once
    return {"cpu_model": cpu_model(cpuinfo()), "gpu_model": " + ".join(sorted(models))}


def cpu_model(told: str) -> str:
    """Returns the first processor's name; where there is none (aarch64), its implementer's and part's numbers."""
    facts = _facts(told)
    if "model name" in facts:
        return facts["model name"]
    numbers = [facts[name] for name in ("CPU implementer", "CPU part") if name in facts]
    return " ".join([platform.machine(), *numbers])


def _facts(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in reversed(text.splitlines()))  # the first of equal names stands
    return {name.strip(): value.strip() for name, _, value in pairs}


def cpuinfo() -> str:
    """Returns what the kernel says of the processors, nothing where it does not."""
    try:
        return CPUINFO.read_text(errors="replace")
    except OSError:
        return ""
