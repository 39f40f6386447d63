"""Raises an exception whose text takes a gigabyte, and one of 150 MB for the second instance."""
# expect: memory|crash|limit


class Huge(Exception):
    def __str__(self):
        return "x" * (1 << 30)

    __repr__ = __str__


def solve(x, look):
    raise Huge
