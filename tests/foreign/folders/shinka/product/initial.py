# EVOLVE-BLOCK-START
def parts(seed):
    return [0.3, 0.2]


# EVOLVE-BLOCK-END
