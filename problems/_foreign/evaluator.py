"""Reads what a folder's own evaluator found in the sandbox: data that its candidate may have forged, and no more than that.

An error, `correct: false`, and a `combined_score` that is missing or not finite are a status, never a score; 0 is a score.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evolve.errors import EvaluatorError
from evolve.problem import Instance, Invalid, Result, Stage

SCORE = "combined_score"
CALLS: dict[str, Any] = json.loads(Path(__file__).with_name("calls.json").read_text(encoding="utf-8"))
REASON = 3_000  # characters of why there is no score
LARGEST = 8 << 20  # bytes of artifacts


def instances(stage: Stage, rng: Any) -> list[Instance]:
    """Has their evaluator called once, by the function that this stage stands for."""
    stated = CALLS[stage.name]
    return [Instance(input=stated["call"], secret=stated)]


def score(instance: Instance, output: Any) -> Result:
    found = output if isinstance(output, dict) else {}
    if "fault" in found:
        raise EvaluatorError(str(found["fault"]))
    said = found.get("metrics")
    if not isinstance(said, dict):
        raise Invalid(f"the evaluator returned no metrics: {json.dumps(found or output)[:REASON]}")
    if "correct" in found:  # ShinkaEvolve: `public` holds more metrics, `private` is for no model
        public, _ = said.pop("public", None), said.pop("private", None)
        said.update(public if isinstance(public, dict) else {"public": public})
    feedback = str(said.pop("text_feedback", "") or "")
    artifacts = _artifacts(found, said)
    stated = said.get("error")  # a number may be what an evaluator measured
    error = found.get("error") or (stated if stated is True or not _is_number(stated) else "")
    if error or not found.get("correct", True):
        raise Invalid(_reason(str(error or "correct is not true"), feedback, artifacts))
    metrics = dict(_numbers(said))
    if SCORE not in said and not instance.secret["last"] and metrics:
        metrics[SCORE] = math.fsum(metrics.values()) / len(metrics)  # a gate alone: what OpenEvolve compares with it
    if SCORE not in metrics:
        fault = f"is {said[SCORE]!r}, not a finite number" if SCORE in said else "is missing"
        raise Invalid(_reason(f"{SCORE} {fault}", feedback, artifacts))
    features = {name: metrics[name] for name in instance.secret["features"] if name in metrics}
    return Result(metrics, feedback, features, artifacts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _numbers(said: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yields the finite numbers; true counts as 1, as it does with them."""
    for name, value in said.items():
        if _is_number(value) and abs(value) <= sys.float_info.max:
            yield name, float(value)


def _artifacts(found: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, bytes | str]:
    """Returns artifacts, and what is no number among the metrics. Raises Invalid where these are too large."""
    stated, binary = found.get("artifacts"), found.get("binary")
    texts = {**said, **(stated if isinstance(stated, dict) else {})}
    texts = {k: v for k, v in texts.items() if not _is_number(v) and v not in (None, "") and k != SCORE}
    made: dict[str, bytes | str] = {k: v if isinstance(v, str) else json.dumps(v) for k, v in texts.items()}
    for name, text in (binary if isinstance(binary, dict) else {}).items():
        try:
            made[name] = base64.b64decode(str(text))
        except ValueError as error:
            raise Invalid(f"artifact {name}: {error}") from None
    size = sum(map(len, made.values()))
    if size > LARGEST:
        raise Invalid(f"the evaluator left artifacts of {size:,} bytes; at most {LARGEST:,} are kept")
    return made


def _reason(text: str, feedback: str, artifacts: Mapping[str, bytes | str]) -> str:
    shown = [text, feedback, *(f"{k}: {v}" for k, v in artifacts.items() if isinstance(v, str) and v != text)]
    return "\n".join(filter(None, shown))[:REASON]
