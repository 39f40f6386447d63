"""Three stages, each with longer climbs."""

import importlib.util


def _near(program_path, steps):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return 1.0 - min(1.0, abs(program.height(steps) - steps) / steps)


def evaluate_stage1(program_path):
    return {"runs": 1.0, "near_1": _near(program_path, 1)}


def evaluate_stage2(program_path):
    return {"combined_score": _near(program_path, 10)}


def evaluate_stage3(program_path):
    near = _near(program_path, 100)
    return {"combined_score": near, "rise": 100 * near, "steep": float("inf")}


def evaluate(program_path):
    return evaluate_stage3(program_path)
