"""Raises from code whose file names are the scorer's and the system's, so that whoever prints the traceback reads those."""
# expect: crash
import os


def solve(x, look):
    body = "\n" * 2 + "def inner(): raise ValueError('look above')"
    for name in (os.path.abspath("link.py"), "/etc/shadow", "evaluator.py"):
        try:
            os.symlink("/etc/shadow", "link.py")
        except OSError:
            pass
        scope = {}
        exec(compile(body, name, "exec"), scope)
        solve.__globals__.setdefault("inners", []).append(scope["inner"])
    solve.__globals__["inners"][0]()
