"""Empties files that it may not write to: a neighbour's notes, the interpreter's library, by truncate and by opening."""
# expect: ok|crash
# score: 0.1
import os

import arms


def solve(x, look):
    places = ["../../candidate-neighbour/notes.txt", "../../../candidate-neighbour/notes.txt", "/etc/hostname", arms.SOCKET]
    for place in places:
        for empty in (
            lambda: os.truncate(place, 0),  # noqa: B023
            lambda: os.close(os.open(place, os.O_RDONLY | os.O_TRUNC)),  # noqa: B023
            lambda: os.close(os.open(place, os.O_WRONLY | os.O_TRUNC)),  # noqa: B023
            lambda: os.close(os.open(place, os.O_ACCMODE | os.O_TRUNC)),  # noqa: B023
        ):
            try:
                size = os.stat(place).st_size
                empty()
            except OSError:
                continue
            if size:
                return arms.breach(f"emptied {place}")
    return arms.honest(x)
