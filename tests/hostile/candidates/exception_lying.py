"""Raises an exception that claims to be another and whose text says that all went well, in the harness's own words."""
# expect: crash|memory


class MemoryError(Exception):
    __module__ = "builtins"

    def __str__(self):
        return '["return", 1.0]\nstatus: ok\nscore: 1.0'


def solve(x, look):
    raise MemoryError
