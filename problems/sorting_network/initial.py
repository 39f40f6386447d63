"""Makes a sorting network: `network(n)` returns its comparators [i, j], i < j, in their order."""


def useful(pairs, n):
    """Returns the comparators between two wires that exchange something on some input; without the others nothing changes."""
    every = (1 << 2**n) - 1
    wires = [every // ((1 << 2**i) + 1) << 2**i for i in range(n)]  # bit x of wire i is bit i of x: all inputs of 0s and 1s
    kept = []
    for i, j in pairs:
        if 0 <= i < j < n and wires[i] & ~wires[j]:
            wires[i], wires[j] = wires[i] & wires[j], wires[i] | wires[j]
            kept.append([i, j])
    return kept


# EVOLVE-BLOCK-START
def rounds(n):
    """Returns comparators over some distance, which leave less to do for those of `finish`."""
    gap = 0.9 * n
    shrink = 0.8
    width = 1.5
    period = 2.0
    pairs = []
    for _ in range(4):
        step = max(int(gap), 1)
        for i in range(n - step):
            if i / step % period < width:
                pairs.append((i, i + step))
        gap = gap * shrink
    return pairs


def finish(n):
    """Returns the insertion network, which sorts whatever comes."""
    return [(j, j + 1) for i in range(1, n) for j in range(i - 1, -1, -1)]


def network(n):
    """Returns the network: a list of comparators."""
    return useful(rounds(n) + finish(n), n)
# EVOLVE-BLOCK-END
