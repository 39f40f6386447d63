"""Raises an exception that runs code where it is pickled, with such a cause, context, traceback note and arguments."""
# expect: crash
import os

import arms


class Bomb(Exception):
    def __reduce__(self):
        return os.system, (f"touch /tmp/{arms.MARK}pickle",)

    __reduce_ex__ = __setstate__ = __getstate__ = lambda self, *args: self.__reduce__()


def solve(x, look):
    error = Bomb(Bomb())
    error.add_note(repr(Bomb().__reduce__()))
    raise error from Bomb()
