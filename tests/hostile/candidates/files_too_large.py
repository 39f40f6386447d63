"""Makes a sparse file of a terabyte, and grows one by allocation."""
# expect: crash|limit
# says: MB|large|EFBIG|space
import os


def solve(x, look):
    try:
        with open("sparse", "wb") as file:
            file.truncate(1 << 40)
    except OSError:
        pass
    with open("grown", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 40)
    return 0
