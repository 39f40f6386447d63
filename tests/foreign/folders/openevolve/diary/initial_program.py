# EVOLVE-BLOCK-START
def word():
    return "a"


# EVOLVE-BLOCK-END
