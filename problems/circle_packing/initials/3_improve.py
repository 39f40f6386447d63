"""Improves a packing of n discs in the unit square: `pack(n, incumbent)` returns n rows [x, y, r]."""

import math
import random


# EVOLVE-BLOCK-START
def start(n, rng):
    """Returns n points in random places: discs of radius 0."""
    return [[rng.random(), rng.random(), 0.0] for _ in range(n)]


def room(discs, i, x, y):
    """Returns how large disc i could be at (x, y) in the unit square, the others unchanged."""
    free = min(x, 1 - x, y, 1 - y)
    for j, (u, v, r) in enumerate(discs):
        if j != i:
            free = min(free, math.hypot(x - u, y - v) - r)
    return free


def put(discs, i, x, y):
    """Moves disc i to (x, y), as large as there is room for it; leaves it where there is none."""
    radius = room(discs, i, x, y)
    if radius > 0:
        discs[i] = [x, y, radius]


def changed(discs, rng):
    """Returns the discs after the smallest went to a random place, another one moved a little, and all have grown again."""
    step = 0.05
    discs = [list(disc) for disc in discs]
    smallest = min(range(len(discs)), key=lambda i: discs[i][2])
    put(discs, smallest, rng.random(), rng.random())
    other = rng.randrange(len(discs))
    x, y, _ = discs[other]
    put(discs, other, x + rng.gauss(0.0, step), y + rng.gauss(0.0, step))
    for i, (x, y, _) in enumerate(discs):
        put(discs, i, x, y)
    return discs


def total(discs):
    """Returns the sum of the radii."""
    return sum(r for _, _, r in discs)


def span(discs):
    """Returns the width + height of the box around the discs: at most 2 in the unit square, or in a rectangle of perimeter 4."""
    width = max(x + r for x, _, r in discs) - min(x - r for x, _, r in discs)
    height = max(y + r for _, y, r in discs) - min(y - r for _, y, r in discs)
    return width + height


def pack(n, incumbent=None):
    """Returns a packing, a list of n rows [x, y, r]: the best so far (`incumbent()`, None where there is none) or a better one."""
    rng = random.Random(1)
    best = incumbent() if incumbent else None
    if best is None:
        best = start(n, rng)
    widest = max(2.0, span(best))
    for _ in range(5):
        trial = changed(best, rng)
        if total(trial) > total(best) and span(trial) <= widest:
            best = trial
    return best
# EVOLVE-BLOCK-END
