"""Returns numbers that lie: always equal, always larger, another value each time they are read, a breach when shown."""
# expect: ok|invalid
# score: 0.0


class Lying(float):
    def __eq__(self, other):
        return True

    __lt__ = __gt__ = __le__ = __ge__ = __eq__
    __hash__ = float.__hash__

    def __float__(self):
        return 1.0

    def __repr__(self):
        return "SECRET"

    __str__ = __repr__

    @property
    def __class__(self):
        return int


def solve(x, look):
    return Lying(-1.0)
