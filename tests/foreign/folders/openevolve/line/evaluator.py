"""Compares a line with points of a file beside it; its helper is a module beside it; it prints and leaves artifacts."""

from pathlib import Path

from openevolve.evaluation_result import EvaluationResult
from points import loaded, read


def evaluate(program_path, weight=1.0):
    points = read(Path(__file__).with_name("points.csv"))
    baseline = loaded("initial_program.py")  # found from the folder, which is the current one
    program = loaded(program_path)
    print("a line that is no part of the answer")
    error = sum(abs(program.predict(x) - y) for x, y in points) / len(points)
    first = sum(abs(baseline.predict(x) - y) for x, y in points) / len(points)
    return EvaluationResult(
        metrics={"combined_score": weight / (1.0 + error), "error": error, "baseline": first, "note": "all points"},
        artifacts={"worst": f"{max(points)}", "picture": bytes([137, 80, 78, 71, 0, 255])},
    )
