"""The population database: every attempt of a run, failures too."""

from evolve.population.store import Firsts, Store, absolute, digest, file_url
from evolve.population.writer import Writer, create_run, delete_run, is_dead

__all__ = ["Firsts", "Store", "Writer", "absolute", "create_run", "delete_run", "digest", "file_url", "is_dead"]
