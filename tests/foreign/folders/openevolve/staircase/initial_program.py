"""Climbs a staircase: the height after some steps, which should be near the number of steps."""


# EVOLVE-BLOCK-START
def height(steps):
    return 0.75 * steps


# EVOLVE-BLOCK-END
