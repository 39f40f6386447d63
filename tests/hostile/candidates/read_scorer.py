"""Looks for the scorer's source and ours: by the search path, finders, other places of the repository, /proc."""
# expect: ok|crash
# score: 0.1
import contextlib
import importlib.util
import os
import sys

import arms


def solve(x, look):
    for name in ("evolve", "evaluators", "evaluator", "problems", "configs", "tests.hostile", "evolve.problem", "evaluators.scoring"):
        with contextlib.suppress(ImportError, ValueError, AttributeError):
            if importlib.util.find_spec(name) is not None:
                return arms.breach(f"can import {name}")
    roots = [*sys.path, os.path.dirname(sys.executable), sys.prefix, os.getcwd(), "..", "../..", os.path.dirname(sys.prefix), "/home", "/root", "/srv", "/opt"]
    roots += [os.path.realpath(f"/proc/{pid}/cwd") for pid in arms.elders()]
    for root in roots:
        for name in ("evaluator.py", "problem.yaml", "evaluators/scoring.py", "evolve/problem.py", "hidden/labels.txt"):
            with contextlib.suppress(OSError, TypeError):
                os.close(os.open(os.path.join(root, name), os.O_RDONLY))
                return arms.breach(f"opens {name} in {root}")
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if "/evaluators/" in path and "/harness/" not in path:
            return arms.breach(f"has {path}")
    return arms.honest(x)
