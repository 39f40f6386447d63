"""`evolve upgrade URL|RUN`: brings a database that an older Evolve wrote to this one's schema."""

from __future__ import annotations

import argparse

from evolve.cli.plain import plain
from evolve.runner import rundir


def upgrade(arguments: argparse.Namespace) -> int:
    from evolve.population.migrations import upgrade as bring

    place = arguments.place
    ref = rundir.RunRef(run_id="", database=place) if "://" in place and "#" not in place else rundir.find(place)
    before, after = bring(ref.url())
    done = f"upgraded from version {before} to {after}" if before != after else f"is of version {after} already"
    print(plain(f"{ref.database} {done}"))  # noqa: T201
    return 0
