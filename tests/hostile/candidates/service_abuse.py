"""Calls services with wrong arguments, hostile ones, unknown names, from threads at once; then answers."""
# expect: ok|crash|timeout
# score: 0.1
import threading

import arms


def solve(x, look):
    for args in [(), ("b", "c"), ("../hidden/labels.txt",), ("__class__",), (["a"],), ({"a": 1},), (None,), (1e308,), (b"a",), ("k" * 10**6,), (10**5000,)]:
        try:
            found = arms.hunt(str(look(*args)))
            if found:
                return found
        except Exception as error:
            found = arms.hunt(str(error))
            if found:
                return found
    try:
        look(object())
    except TypeError:
        pass
    stubs = [type(look)(look.__code__, look.__globals__, "score", None, look.__closure__)]
    session = look.__closure__ and [cell.cell_contents for cell in look.__closure__ if hasattr(cell.cell_contents, "_stub")]
    for owner in session or []:
        stubs += [owner._stub(name) for name in ("score", "instances", "__import__", "os.system", "drive", "labels", "")]
    for stub in stubs:
        try:
            found = arms.hunt(str(stub("first")))
            if found:
                return found
        except Exception as error:
            found = arms.hunt(str(error))
            if found:
                return found
    return arms.honest(x)
