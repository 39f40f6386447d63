# EVOLVE-BLOCK-START
def squares(n):
    return [i * i for i in range(n)]


# EVOLVE-BLOCK-END

if __name__ == "__main__":
    import json

    print(json.dumps(squares(5)))
