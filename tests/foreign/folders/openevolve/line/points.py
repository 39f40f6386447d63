"""What the evaluator needs: points, and programs by their path."""

import csv
import importlib.util


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [(float(x), float(y)) for x, y in csv.reader(file)]


def loaded(path):
    spec = importlib.util.spec_from_file_location("program", path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program
