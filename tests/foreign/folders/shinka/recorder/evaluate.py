"""Keeps a record beside itself, and may be given a key."""

import json
import os
import runpy


def main(program_path, results_dir, record="record.json"):
    with open(record, encoding="utf-8") as file:
        levels = json.load(file)
    levels.append(runpy.run_path(program_path)["LEVEL"])
    with open(record, "w", encoding="utf-8") as file:
        json.dump(levels, file)
    with open(os.path.join(results_dir, "metrics.json"), "w", encoding="utf-8") as file:
        json.dump({"combined_score": levels[-1], "records": len(levels), "keys": "KEYED_SCORE_KEY" in os.environ}, file)
    with open(os.path.join(results_dir, "correct.json"), "w", encoding="utf-8") as file:
        json.dump({"correct": True, "error": ""}, file)
