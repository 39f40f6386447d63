"""Scores the bins for an arriving item: `priority(item, bins)`; the item goes into the bin with the highest score."""

import numpy as np

# EVOLVE-BLOCK-START
def priority(item, bins):
    """Returns one score per bin. With these constants it is best fit: the less room is left, the higher the score."""
    avoid = 6.0
    width = 8.0
    left = bins - item
    # a small gap is hard to fill later; up to avoid = e**2 (about 7.4) this keeps the order of best fit
    gap = avoid * left * np.exp(-left / width)
    return -left - gap
# EVOLVE-BLOCK-END
