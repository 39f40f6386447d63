"""Gives a program numbers on its standard input, and compares what it prints with the known counts of primes."""

from evolve.problem import Instance

KNOWN = {10: 4, 1_000: 168, 100_000: 9_592}


def instances(stage, rng):
    return [Instance(input=[n], secret=count, name=f"n={n}") for n, count in KNOWN.items()]


def score(instance, output):
    return float(output == {"primes": instance.secret})
