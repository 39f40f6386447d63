"""Works endlessly while it is imported, before it is asked anything."""
# expect: timeout
# says: timeout_s
while True:
    pass


def solve(x, look):
    return 0
