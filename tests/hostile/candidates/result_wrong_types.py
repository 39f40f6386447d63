"""Returns what is no data: functions, classes, modules, generators, sets, complex numbers, files, locks, arrays of objects."""
# expect: invalid
# says: not data
import threading

import numpy


def solve(x, look):
    return [solve, int, numpy, (k for k in x), {1}, 1j, open(__file__), threading.Lock(), numpy.array([object()]), look]
