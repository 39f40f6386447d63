"""Scores the machines for an arriving job: `score(required, free)`; the job goes to the one with room and the highest score."""

import numpy as np

# EVOLVE-BLOCK-START
def score(required, free):
    """Returns one score per machine: best fit, the less is left in sum the higher; what is uneven counts a little."""
    uneven = 0.01
    fullness = 1.0
    likeness = 0.01
    left = np.maximum(free - required, 0.0)
    cpu = left[:, 0]
    memory = left[:, 1]
    tilt = np.abs(cpu - memory)
    before = np.abs(free[:, 0] - free[:, 1])
    return -fullness * (cpu + memory) - uneven * tilt - likeness * (tilt - before)
# EVOLVE-BLOCK-END
