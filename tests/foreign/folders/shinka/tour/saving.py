"""Writes the two files that the other engine reads."""

import json
from pathlib import Path


def save(results_dir, metrics, correct, error):
    Path(results_dir, "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    Path(results_dir, "correct.json").write_text(json.dumps({"correct": correct, "error": error}), encoding="utf-8")
