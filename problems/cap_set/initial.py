"""Ranks the vectors of F_3^n for a greedy builder of cap sets: `priority(element, n)`, the highest is tried first."""

import math

# EVOLVE-BLOCK-START
def priority(element, n):
    """Returns the priority of `element`, a tuple of n digits 0, 1 or 2."""
    one = -1.0
    two = -1.2
    both = 0.1
    wave = 0.5
    pitch = 1.5
    tilt = 2.5
    mirror = 0.1
    ones = element.count(1)
    twos = element.count(2)
    folded = 0.0
    for i in range(n):
        folded = folded + element[i] * element[n - 1 - i] % 3
    ripple = wave * math.cos(pitch * ones + tilt * twos)
    return one * ones + two * twos + both * ones * twos + ripple + mirror * folded
# EVOLVE-BLOCK-END


def priorities(elements, n):
    """Maps `priority` over the elements; the builder calls this."""
    return [priority(tuple(element), n) for element in elements]
