"""Runs the program as a script of its own, and tells what went wrong as `error`."""

import json
import subprocess
import sys


def evaluate(program_path):
    done = subprocess.run([sys.executable, program_path], capture_output=True, text=True, timeout=20)
    if done.returncode:
        return {"combined_score": 0.0, "error": done.stderr.strip().splitlines()[-1]}
    given = json.loads(done.stdout)
    return {"combined_score": sum(a == b * b for b, a in enumerate(given)) / 10, "validity": True}
