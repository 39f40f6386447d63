"""Packs n discs into the unit square by gradient ascent: `pack(n)` returns n rows [x, y, r]."""

import numpy as np


# EVOLVE-BLOCK-START
def start(n):
    """Returns n discs [x, y, r] on a spiral of golden angles around the middle, as an array."""
    reach = 0.55
    radius = 0.02
    k = np.arange(n) + 0.5
    distance = reach * np.sqrt(k / n)
    angle = 2.4 * k
    x = 0.5 + distance * np.cos(angle)
    y = 0.5 + distance * np.sin(angle)
    return np.column_stack([x, y, np.full(n, radius)])


def slope(discs, penalty):
    """Returns the gradient of the sum of radii - penalty / 2 * the squares of all overlaps, of discs and of walls."""
    x, y, r = discs.T
    dx = x[:, None] - x
    dy = y[:, None] - y
    distance = np.sqrt(dx * dx + dy * dy) + np.eye(len(discs))
    overlap = np.maximum(r[:, None] + r - distance, 0.0) * (1.0 - np.eye(len(discs)))
    left = np.maximum(r - x, 0.0)
    right = np.maximum(x + r - 1.0, 0.0)
    below = np.maximum(r - y, 0.0)
    above = np.maximum(y + r - 1.0, 0.0)
    along_x = (overlap * dx / distance).sum(axis=1) + left - right
    along_y = (overlap * dy / distance).sum(axis=1) + below - above
    along_r = overlap.sum(axis=1) + left + right + below + above
    return np.column_stack([penalty * along_x, penalty * along_y, 1.0 - penalty * along_r])


def climb(discs):
    """Returns the discs after some steps up the slope, ever shorter and with an ever larger penalty."""
    step = 0.001
    decay = 0.98
    penalty = 10.0
    growth = 1.05
    for _ in range(40):
        discs = discs + step * slope(discs, penalty)
        step = step * decay
        penalty = penalty * growth
    return discs


def fit(discs):
    """Returns discs that fit, whatever the centres: radii shrink, first to the walls, then pair by pair."""
    centres = np.clip(discs[:, :2], 0.01, 0.99)
    radii = np.minimum(np.abs(discs[:, 2]), np.minimum(centres, 1.0 - centres).min(axis=1))
    for i in range(len(radii)):
        for j in range(i):
            distance = np.hypot(*(centres[i] - centres[j]))
            both = radii[i] + radii[j]
            if both > distance:
                radii[i] = radii[i] * distance / both
                radii[j] = radii[j] * distance / both
    return np.column_stack([centres, radii])


def pack(n):
    """Returns the packing: an array of n rows [x, y, r]."""
    return fit(climb(start(n)))
# EVOLVE-BLOCK-END
