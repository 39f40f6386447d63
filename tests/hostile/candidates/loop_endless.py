"""Never returns."""
# expect: timeout
# says: timeout_s


def solve(x, look):
    while True:
        pass
