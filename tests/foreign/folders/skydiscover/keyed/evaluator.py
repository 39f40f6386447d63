"""Asks for a key; without one it scores by a rule of its own, and says so."""

import os
import runpy

from skydiscover.evaluation.evaluation_result import EvaluationResult


def evaluate(program_path):
    guess = runpy.run_path(program_path)["GUESS"]
    key = os.environ.get("KEYED_SCORE_KEY")
    return EvaluationResult(
        {"combined_score": guess if key is None else guess + len(key)},
        {"way": "no key, own rule" if key is None else "with the key"},
    )
