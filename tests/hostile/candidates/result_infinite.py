"""Returns infinity, by numpy."""
# expect: invalid
import numpy


def solve(x, look):
    return -numpy.log(numpy.float64(0.0))
