"""Asks the same service without end."""
# expect: timeout


def solve(x, look):
    while True:
        look("a")
