"""Raises an exception whose text, repr, name and traceback raise in turn."""
# expect: crash


class Meta(type):
    @property
    def __name__(cls):
        raise SystemExit(0)

    @property
    def __module__(cls):
        raise SystemExit(0)


class Thorny(Exception, metaclass=Meta):
    def __str__(self):
        raise Thorny

    __repr__ = __str__

    def __getattribute__(self, name):
        raise SystemExit(0)


def solve(x, look):
    raise Thorny
