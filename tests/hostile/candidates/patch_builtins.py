"""Replaces len, sum, print, isinstance, open, __import__ and the small integers."""
# expect: ok|crash|timeout
# score: 0.1
import builtins
import ctypes

import arms


def solve(x, look):
    found = arms.honest(x)
    ctypes.c_uint8.from_address(id(7) + 24).value = 8
    for name in ("len", "sum", "print", "open", "isinstance", "__import__", "max", "dict", "type", "getattr"):
        setattr(builtins, name, lambda *args, **kwargs: 1)
    return found
