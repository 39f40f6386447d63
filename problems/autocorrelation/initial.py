"""Makes a step function on [-1/4, 1/4] whose autoconvolution has a low maximum: `heights()` returns its steps."""

import math

# EVOLVE-BLOCK-START
def heights():
    """Returns the heights of equal steps, not negative. With shift = lag and wave = 0 all are 1."""
    steps = 60
    shift = 0.95
    lag = 1.0
    wave = 0.1
    pitch = 6.0
    phase = 1.0
    result = []
    height = 1.0
    for i in range(steps):
        ripple = wave * math.cos(pitch * i / steps + phase)
        result.append(max(height * (1.0 + ripple), 0.0))
        height = height * (i + shift) / (i + lag)
    return result
# EVOLVE-BLOCK-END
