"""Returns objects that run code wherever they are pickled, and pickles as bytes, text, keys and arrays."""
# expect: invalid
import os
import pickle

import numpy

import arms


class Bomb:
    def __reduce__(self):
        return os.system, (f"touch /tmp/{arms.MARK}pickle",)


def solve(x, look):
    raw = pickle.dumps(Bomb(), 0)
    if x[0] == 0:
        return {"score": raw, raw.decode("latin-1"): raw, "metrics": {"score": 1.0}, "array": numpy.frombuffer(raw, "u1")}
    return {"score": Bomb(), "array": numpy.array([Bomb()], object)}
