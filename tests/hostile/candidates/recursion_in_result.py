"""Returns a list that holds itself."""
# expect: invalid
# says: nested


def solve(x, look):
    loop = []
    loop.append({"again": loop})
    return loop
