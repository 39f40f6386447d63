def run_experiment(seed):
    return seed
