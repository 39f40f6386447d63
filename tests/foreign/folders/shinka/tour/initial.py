# EVOLVE-BLOCK-START
def tour(towns):
    return list(range(len(towns)))


# EVOLVE-BLOCK-END
