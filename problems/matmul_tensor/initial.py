"""Finds a scheme for the product of an n x m by an m x p matrix: `decompose(n, m, p)` returns its factors u, v, w, times 2."""

import numpy as np

GOALS = {(2, 2, 2): 7, (2, 2, 3): 11, (2, 3, 3): 15, (3, 3, 3): 23, (2, 4, 5): 32, (4, 4, 4): 48, (5, 5, 5): 93}


def target(n, m, p):
    """Returns the tensor that the terms must add up to: 1 at [i m + j, j p + k, k n + i]."""
    tensor = np.zeros((n * m, m * p, p * n))
    for i, j, k in np.ndindex(n, m, p):
        tensor[i * m + j, j * p + k, k * n + i] = 1.0
    return tensor


def solve(unfolded, x, y, near, weight):
    """Returns the factor of the least squared error beside x and y, drawn towards `near` with some weight."""
    gram = (x.T @ x) * (y.T @ y)
    known = (x[:, None, :] * y[None, :, :]).reshape(-1, x.shape[1])
    return np.linalg.solve(gram + (weight + 1e-9) * np.eye(len(gram)), (unfolded @ known + weight * near).T).T


def squared_error(tensor, factors):
    """Returns that of the tensor that factors, times 2, make."""
    return float(((np.einsum("ar,br,cr->abc", *factors) / 8.0 - tensor) ** 2).sum())


# EVOLVE-BLOCK-START
def descend(tensor, terms, rng):
    """Alternates least squares, with weights that draw the entries first to 0 and then to whole numbers; rounds to halves."""
    spread = 0.7
    damping = 0.1
    decay = 0.95
    pull = 0.02
    growth = 1.0
    limit = 1.0
    sweeps = 200
    settle = 0.6
    axes = ((0, 1, 2), (1, 2, 0), (2, 0, 1))
    unfolded = [tensor.transpose(order).reshape(tensor.shape[order[0]], -1) for order in axes]
    factors = [rng.normal(0.0, spread, (rows, terms)) for rows in tensor.shape]
    for sweep in range(sweeps):
        for one, two, three in axes:
            weight, near = damping, factors[one] * 0.0
            if sweep > settle * sweeps:
                weight, near = pull, np.clip(np.rint(factors[one]), -limit, limit)
            factors[one] = solve(unfolded[one], factors[two], factors[three], near, weight)
        damping = damping * decay
        if sweep > settle * sweeps:
            pull = pull * growth
    return [np.clip(np.rint(2.0 * factor), -16, 16) for factor in factors]


def decompose(n, m, p):
    """Returns the best of some starts, with as many terms as the best known scheme has, or more."""
    extra = 0
    starts = 3
    tensor = target(n, m, p)
    terms = GOALS.get(tuple(sorted((n, m, p))), n * m * p - 1) + extra
    best, least = None, np.inf
    for start in range(starts):
        factors = descend(tensor, terms, np.random.default_rng(start))
        error = squared_error(tensor, factors)
        if error < least:
            best, least = factors, error
        if error == 0.0:
            break
    return [factor.astype(int) for factor in best]
# EVOLVE-BLOCK-END
