"""Decides the order in which one machine works on jobs: `order(jobs)`, a list of indices."""


# Only what is between these markers changes (without markers: everything).
# EVOLVE-BLOCK-START
def order(jobs):
    """Works on what is most urgent first. A first program should run, be simple, and leave room above it."""

    # numbers with a point are tuned; a line may say their range
    patience = 1.0  # tune: [0.1, 10]

    def urgency(duration, due, weight):
        return weight - patience * due - 0.1 * duration

    return sorted(range(len(jobs)), key=lambda index: -urgency(*jobs[index]))


# EVOLVE-BLOCK-END
