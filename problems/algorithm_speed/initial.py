"""Solves two numerical tasks, as fast as it can: `solve(problem)`."""

import numpy as np

# EVOLVE-BLOCK-START
def convolve(a, b):
    """Returns the full 2-D convolution: a sum of shifted copies for few entries of b, else by Fourier transforms."""
    copies = 1200.0
    pad = 1.5
    rows, columns = a.shape[0] + b.shape[0] - 1, a.shape[1] + b.shape[1] - 1
    if b.size < copies:
        out = np.zeros((rows, columns))
        for i in range(b.shape[0]):
            for j in range(b.shape[1]):
                out[i : i + a.shape[0], j : j + a.shape[1]] += b[i, j] * a
        return out
    shape = (int(rows * pad), int(columns * pad))
    product = np.fft.rfft2(a, shape) * np.fft.rfft2(b, shape)
    return np.fft.irfft2(product, shape)[:rows, :columns]


def factor(a):
    """Returns p, l, u with a[p] = l u, column by column within panels, the rest of the matrix once for each panel."""
    width = 4.0
    n = len(a)
    p = np.arange(n)
    for first in range(0, n, int(width)):
        last = min(first + int(width), n)
        for k in range(first, last):
            top = k + int(np.abs(a[k:, k]).argmax())
            if top != k:
                a[[k, top]] = a[[top, k]]
                p[[k, top]] = p[[top, k]]
            a[k + 1 :, k] /= a[k, k]
            a[k + 1 :, k + 1 : last] -= np.outer(a[k + 1 :, k], a[k, k + 1 : last])
        for k in range(first, last):
            a[k + 1 : last, last:] -= np.outer(a[k + 1 : last, k], a[k, last:])
        a[last:, last:] -= a[last:, first:last] @ a[first:last, last:]
    return {"p": p, "l": np.tril(a, -1) + np.eye(n), "u": np.triu(a)}


def solve(problem):
    """Returns the answer to a problem: of the task "convolve" (arrays a, b) or "factor" (a square array a)."""
    if problem["task"] == "convolve":
        return convolve(problem["a"], problem["b"])
    return factor(problem["a"])
# EVOLVE-BLOCK-END
