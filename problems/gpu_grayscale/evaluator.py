"""Referee of gpu_grayscale: checks the kernel's text, has it run on images that nobody has seen, and times it by its own clock.

A candidate is device code alone; what runs beside it (initial/host.py) is ours. Each repeat is a fresh process, in turn with
the reference, on images drawn on the GPU from new keys after the kernel has warmed up, and what is timed ends with sums over
every output, read back to the host. Not covered: device code that writes to memory which it was not given (the driver may
catch that); CUDA events are shown and never scored.
"""

from __future__ import annotations

import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

INITIAL = Path(__file__).parent / "initial"
HOST = (INITIAL / "host.py").read_text(encoding="utf-8")
REFERENCE = {"host.py": HOST, "kernel.cu": (INITIAL / "kernel.cu").read_text(encoding="utf-8")}
REPEATS = 5
CHECKED = (512, 517, 2048)  # sides of images that are compared pixel by pixel here; too small to be timed
TIMED = (4096, 8192)
HOLDOUT_CHECKED, HOLDOUT_TIMED = (640, 1001), (5001, 7168)
PIXELS = 1 << 28  # in the images of one side that are timed together: 4.3 GB
TOLERANCE = 1e-4  # absolute and relative
PER_BLOCK = 4096
LONGEST = 20_000  # characters of a kernel
SIGNATURE = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\([^)]*\)\s*)?grayscale\s*\('
    r"\s*const\s+float\s*\*\s*(?:__restrict__\s+)?\w+\s*,\s*float\s*\*\s*(?:__restrict__\s+)?\w+\s*,\s*int\s+\w+\s*\)\s*\{"
)
COMMENT_OR_TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def instances(stage: Stage, rng: np.random.Generator) -> list[Instance]:
    """Returns one instance: nothing to run in the stage `static`, else for each repeat the images' keys by their side."""
    if stage.name == "static":
        return [Instance(name="static")]
    checked, timed = (HOLDOUT_CHECKED, HOLDOUT_TIMED) if stage.name == "holdout" else (CHECKED, TIMED)
    counts = {**dict.fromkeys(checked, 2), **{side: PIXELS // side**2 for side in timed}}
    keys = [{side: _keys(rng, count) for side, count in counts.items()} for _ in range(REPEATS)]
    return [Instance({"checked": list(checked), "timed": list(timed)}, secret=keys, name="images")]


def _keys(rng: np.random.Generator, count: int) -> list[Any]:
    """Returns a key of three words for each image, and two keys of one word for the sums."""
    return [*rng.integers(1, 1 << 32, (count, 3)).tolist(), *rng.integers(1, 1 << 32, 2).tolist()]


# ---------------------------------------------------------------- the text


def geometry(source: str) -> tuple[int, int]:
    """Returns the threads of a block and the pixels of a thread. Raises Invalid for a text that is no kernel."""
    if len(source) > LONGEST:
        raise Invalid(f"kernel.cu has {len(source)} characters; at most {LONGEST} are read")
    code = COMMENT_OR_TEXT.sub(lambda found: '"C"' if found[0] == '"C"' else " ", source.replace("\\\n", ""))
    if re.search(r"^[^\S\n]*(#|%:|\?\?=)\s*(include|import|embed)", code, re.MULTILINE):
        raise Invalid("kernel.cu includes a file; it must stand alone")
    if SIGNATURE.search(code) is None:
        raise Invalid(
            'kernel.cu must define extern "C" __global__ void grayscale(const float* rgb, float* gray, int pixels)'
        )
    for left, right in ("()", "[]", "{}"):
        if code.count(left) != code.count(right):
            raise Invalid(f"kernel.cu has {code.count(left)} '{left}' and {code.count(right)} '{right}'")
    threads, pixels = (
        _defined(code, name, *bounds) for name, bounds in {"THREADS": (32, 1024), "PIXELS": (1, 256)}.items()
    )
    if threads % 32:
        raise Invalid(f"kernel.cu: THREADS is {threads}; it must be a multiple of 32")
    return threads, pixels


def _defined(code: str, name: str, least: int, most: int) -> int:
    found = re.findall(rf"^[ \t]*#[ \t]*define[ \t]+{name}[ \t]+(.*?)[ \t]*$", code, re.MULTILINE)
    if len(found) != 1 or not re.fullmatch(r"[1-9][0-9]{0,3}", found[0], re.ASCII):
        raise Invalid(f"kernel.cu must have one line '#define {name} N', N a whole number from {least} to {most}")
    if not least <= int(found[0]) <= most:
        raise Invalid(f"kernel.cu: {name} is {found[0]}; it must be from {least} to {most}")
    return int(found[0])


# ---------------------------------------------------------------- the session


@dataclass(slots=True)
class Images:
    """One repeat on the images of one side: seconds of the kernel, milliseconds by events, sums, wrong pixels, one image."""

    seconds: float
    events_ms: float
    sums: Any
    wrong: Any
    image: Any = None


@dataclass(slots=True)
class Measured:
    """All repeats, by side, of candidate and reference; `bandwidth_gb_s` is the device's, as the reference told it."""

    found: list[dict[int, Images]] = field(default_factory=list)
    reference: list[dict[int, Images]] = field(default_factory=list)
    bandwidth_gb_s: float = 0.0


def drive(instance: Instance, candidate: Any) -> Measured | None:
    """Checks the text, and has reference and candidate turn images gray in turn; None where nothing is to be run."""
    if candidate.files.get("host.py") != HOST:
        raise Invalid("host.py was changed; only kernel.cu may be")
    geometry(candidate.text)
    if instance.input is None:
        return None
    measured = Measured()
    for keys in instance.secret:
        with candidate.replaced(REFERENCE):
            measured.bandwidth_gb_s, images = _repeat(candidate, REFERENCE["kernel.cu"], instance.input, keys)
            measured.reference.append(images)
        candidate.restart()
        measured.found.append(_repeat(candidate, candidate.text, instance.input, keys)[1])
    return measured


def _repeat(
    candidate: Any, source: str, sides: dict[str, Any], keys: dict[int, list[Any]]
) -> tuple[float, dict[int, Images]]:
    """Runs one process on all sides; returns the device's bandwidth and what was found."""
    bandwidth = candidate.start(source, *geometry(source))
    found = {}
    for side in (*sides["checked"], *sides["timed"]):
        *images, first, second = keys[side]
        candidate.prepare(side * side, images)
        idle_s, _ = _clocked(candidate.idle, first)
        run_s, told = _clocked(candidate.run, second)
        found[side] = Images(run_s - idle_s, told["events_ms"], told["sums"], candidate.verify())
        if side in sides["checked"]:
            found[side].image = candidate.image()
    return bandwidth, found


def _clocked(call: Any, key: int) -> tuple[float, Any]:
    began = time.perf_counter()
    value = call(key)
    return time.perf_counter() - began, value


# ---------------------------------------------------------------- the score


def score(instance: Instance, output: Measured | None) -> Result:
    """Returns how much faster than the reference the kernel is (geometric mean over the sides), if every pixel is right."""
    if output is None:
        return Result({"speedup": 0.0, "of_peak": 0.0}, feedback="the text passes; nothing was run or timed yet")
    for keys, found, reference in zip(instance.secret, output.found, output.reference, strict=True):
        for side, images in found.items():
            _check(side, images, reference[side], keys[side])
    sides = instance.input["timed"]
    took = {side: statistics.median(images[side].seconds for images in output.found) for side in sides}
    base = {side: statistics.median(images[side].seconds for images in output.reference) for side in sides}
    if min(base.values()) <= 0:
        raise RuntimeError("the reference took no time; the device is too fast, or too busy, for these images")
    least = {side: 16 * (len(instance.secret[0][side]) - 2) * side**2 / output.bandwidth_gb_s / 1e9 for side in sides}
    share = max(least[side] / max(took[side], 1e-9) for side in sides)
    speedups = [base[side] / max(took[side], 1e-9) for side in sides]
    events = {side: statistics.median(images[side].events_ms for images in output.found) for side in sides}
    lines = [
        f"{side} x {side}: {1e3 * took[side]:.3f} ms, reference {1e3 * base[side]:.3f} ms, by the memory's bandwidth at least "
        f"{1e3 * least[side]:.3f} ms; by CUDA events {events[side]:.3f} ms"
        for side in sides
    ]
    return Result(
        metrics={"speedup": math.exp(statistics.fmean(map(math.log, speedups))), "of_peak": share},
        feedback="\n".join([f"medians of {len(output.found)} repeats:", *lines]),
        features={"of_peak": share},
    )


def _check(side: int, found: Images, reference: Images, keys: list[Any]) -> None:
    """Raises Invalid where a pixel is wrong: by the device's count, another process's sums, or pixel by pixel here."""
    pixels, where = side * side, f"{side} x {side}"
    if type(found.wrong) is not int or found.wrong:
        total = pixels * (len(keys) - 2)
        raise Invalid(f"{where}: {found.wrong} of {total} pixels are NaN or off by more than {TOLERANCE:g} (1 + gray)")
    if found.image is not None:
        want = gray(pixels, keys[0])
        image = _floats(found.image, (pixels,), np.float32, where).astype(np.float64)
        off = ~(np.abs(image - want) <= TOLERANCE * (1.0 + np.abs(want)))
        if off.any():
            i = int(off.argmax())
            raise Invalid(
                f"{where}: pixel {i} is {image[i]:g}; it must be {want[i]:g}, within {TOLERANCE:g} (1 + gray)"
            )
    sums = _floats(found.sums, reference.sums.shape, np.float64, where)
    most = 1.5 * PER_BLOCK * 2 * TOLERANCE  # of the tolerances of the pixels in a sum, by their largest weight
    if not (np.abs(sums - reference.sums) <= most).all():
        raise Invalid(f"{where}: the sums over the pixels differ from those of the reference by more than {most:.2g}")


def _floats(value: Any, shape: tuple[int, ...], dtype: type, where: str) -> np.ndarray:
    if type(value) is not np.ndarray or value.dtype != dtype or value.shape != shape:
        raise Invalid(f"{where}: what came back is no {dtype.__name__} array of shape {shape}")
    return value


def mix(x: np.ndarray) -> np.ndarray:
    """Returns the same hash of 32 bits as host.py's kernels compute."""
    x = x.astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x *= np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def gray(pixels: int, key: Sequence[int]) -> np.ndarray:
    """Returns in float64 what the image of a key is in gray, (pixels,).

    The key has 96 bits, mixed in one after another: who could tell it from a few pixels would not have to read the rest.
    """
    drawn = np.arange(3 * pixels, dtype=np.uint32)
    for word in key:
        drawn = mix(drawn + np.uint32(word))
    rgb = (drawn >> np.uint32(8)).astype(np.float64).reshape(-1, 3) * 2.0**-24
    return rgb @ np.array([0.2989, 0.5870, 0.1140])
