"""Raises KeyboardInterrupt, GeneratorExit and a BaseException of its own, from destructors and handlers too."""
# expect: crash


class Quiet(BaseException):
    def __str__(self):
        raise KeyboardInterrupt

    def __del__(self):
        raise GeneratorExit


def solve(x, look):
    try:
        raise KeyboardInterrupt
    finally:
        raise Quiet(GeneratorExit())
