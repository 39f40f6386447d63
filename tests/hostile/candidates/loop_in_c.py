"""Never returns, and never gives up the interpreter's lock: one huge power in C."""
# expect: timeout
# says: timeout_s


def solve(x, look):
    return len(str(bytes(pow(3, 10**9).to_bytes(10**9, "big"))))
