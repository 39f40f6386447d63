"""The runner: when things happen, and what makes them durable."""
