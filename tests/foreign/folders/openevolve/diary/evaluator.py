"""Writes beside itself: a line in a file that is there, and a file in a new folder."""

import importlib.util
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    with open(os.path.join(HERE, "diary.txt"), "a+", encoding="utf-8") as file:
        file.write(program.word())
        file.seek(0)
        written = file.read()
    os.makedirs(os.path.join(HERE, "results"))
    with open("results/last.txt", "w", encoding="utf-8") as file:
        file.write(written)
    return {"combined_score": len(written), "letters": len(program.word())}
