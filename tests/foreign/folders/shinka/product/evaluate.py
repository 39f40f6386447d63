"""The product of two numbers whose sum is at most 1."""

import argparse
import json
import os
import runpy


def main(program_path: str, results_dir: str):
    a, b = runpy.run_path(program_path)["parts"](seed=1)
    correct = {"correct": a + b <= 1.0, "error": None if a + b <= 1.0 else f"the sum is {a + b:g}"}
    metrics = {
        "combined_score": a * b,
        "public": {"sum": a + b, "parts": [a, b]},
        "private": {"answer": 0.25},
        "text_feedback": "equal parts are best",
    }
    for name, content in (("correct", correct), ("metrics", metrics)):
        with open(os.path.join(results_dir, f"{name}.json"), "w", encoding="utf-8") as file:
            json.dump(content, file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program_path", default="initial.py")
    parser.add_argument("--results_dir", default="results")
    main(**vars(parser.parse_args()))
