"""Raises exceptions whose text is no text, whose name is a megabyte long, whose args are hostile."""
# expect: crash


class Text(str):
    def __str__(self):
        raise SystemExit(0)

    def encode(self, *args):
        raise SystemExit(0)

    def __getitem__(self, key):
        return self


def solve(x, look):
    kind = type("N" * 10**6, (Exception,), {"__str__": lambda self: Text("\ud800\x00")})
    raise kind
