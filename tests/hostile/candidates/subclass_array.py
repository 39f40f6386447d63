"""Returns arrays that lie: a subclass, hostile __array__, dtype with a str that is a property, exits in tobytes."""
# expect: invalid|crash
import numpy


class Lying(numpy.ndarray):
    def tobytes(self, *args):
        raise SystemExit(0)

    def __array__(self, *args, **kwargs):
        raise KeyboardInterrupt

    @property
    def dtype(self):
        raise GeneratorExit


def solve(x, look):
    return [numpy.zeros(3).view(Lying), Lying((2,))]
