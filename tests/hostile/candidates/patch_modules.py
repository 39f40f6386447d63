"""Replaces what others import: msgpack, struct, socket, os, json, math, the import system, the search path."""
# expect: ok|crash|timeout
# score: 0.1
import json
import math
import os
import sys

import msgpack

import arms


def solve(x, look):
    found = arms.honest(x)
    msgpack.packb = lambda *args, **kwargs: b"\x92" + arms.text("return") + arms.text("forged")
    msgpack.unpackb = lambda *args, **kwargs: ["call", "solve", [[0]], {}]
    json.dumps = json.loads = lambda *args: None
    math.hypot = math.isfinite = lambda *args: True
    os._exit = sys.exit = lambda code: None
    os.listdir = lambda *args: []
    for name in list(sys.modules):
        if name.split(".")[0] in ("json", "numpy", "random", "socket", "struct", "msgpack", "traceback"):
            sys.modules[name] = sys
    sys.path[:] = ["/tmp"]
    sys.meta_path[:] = []
    return found
