"""The population database: every attempt of a run, failures too."""

from evolve.population.store import Store, digest
from evolve.population.writer import Writer, create_run, is_dead

__all__ = ["Store", "Writer", "create_run", "digest", "is_dead"]
