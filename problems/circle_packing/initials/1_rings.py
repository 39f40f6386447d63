"""Packs n discs into the unit square: `pack(n)` returns n rows [x, y, r]."""

import math

# EVOLVE-BLOCK-START
def place(n):
    """Returns n centres: one in the middle, then rings of 8, 16, 24, ... around it."""
    middle = 0.5
    spacing = 0.28
    growth = 1.25
    twist = 0.2
    squash = 1.0
    per_ring = 8.0
    centres = []
    ring, slot, room = 0, 0, 1
    for _ in range(n):
        angle = math.tau * slot / room + twist * ring
        reach = spacing * ring**growth
        x = middle + reach * math.cos(angle)
        y = middle + squash * reach * math.sin(angle)
        centres.append((x, y))
        slot = slot + 1
        if slot >= room:
            ring, slot = ring + 1, 0
            room = per_ring * ring
    return centres


def fit(centres):
    """Returns discs [x, y, r] that fit, whatever the centres: first as large as the walls allow, then pairs shrink."""
    margin = 0.01
    discs = []
    for x, y in centres:
        x = min(max(x, margin), 1 - margin)
        y = min(max(y, margin), 1 - margin)
        discs.append([x, y, min(x, 1 - x, y, 1 - y)])
    for i in range(len(discs)):
        for j in range(i + 1, len(discs)):
            distance = math.dist(discs[i][:2], discs[j][:2])
            both = discs[i][2] + discs[j][2]
            if both > distance:
                discs[i][2] = discs[i][2] * distance / both
                discs[j][2] = discs[j][2] * distance / both
    return discs


def pack(n):
    """Returns the packing: a list of n rows [x, y, r]."""
    return fit(place(n))
# EVOLVE-BLOCK-END
