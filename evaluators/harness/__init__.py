"""What runs in the sandbox: public code that imports neither `evolve` nor the rest of `evaluators`."""
