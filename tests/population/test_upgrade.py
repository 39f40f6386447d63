"""`evolve upgrade`: a database that version 4 wrote keeps all that it holds, and its run goes on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from evolve.cli import dispatch
from evolve.errors import RunError, StoreError
from evolve.population import Store, file_url
from evolve.population.migrations import upgrade
from evolve.population.schema import VERSION
from evolve.population.writer import owner
from evolve.runner import rundir
from tests.runner.driving import RUN, Case, calls, case, store_of

DUMP = Path(__file__).with_name(
    "version_4.sql"
)  # of a run of tests.runner.driving with budget 10, killed at the 7th answer
KEPT = "SELECT id, score, status, title, files, sketch FROM candidates", "SELECT * FROM events", "SELECT * FROM calls"


@pytest.fixture
def old(tmp_path: Path) -> Case:
    """A run of version 4 in its directory."""
    made = case(tmp_path, 10)
    made.folder.mkdir()
    sqlite3.connect(made.database).executescript(DUMP.read_text()).connection.close()
    ref = rundir.RunRef(run_id=RUN, database=file_url(made.database), problem="tiny", folder=made.folder)
    rundir.write(made.folder, ref, "0.1.0")
    return made


def rows(old: Case, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(old.database) as database:
        found = database.execute(query).fetchall()
    database.close()
    return found


def test_an_older_database_is_refused_with_the_command_that_upgrades_it(old):
    with pytest.raises(
        StoreError, match=rf"version 4, this Evolve reads version {VERSION}; 'evolve upgrade sqlite:///"
    ):
        old.run()


def test_an_upgrade_keeps_every_row_and_text(old, capsys):
    before = [rows(old, query) for query in KEPT]
    bodies = dict(rows(old, "SELECT hash, body FROM texts"))
    assert dispatch(["upgrade", str(old.folder)]) == 0 and f"from version 4 to {VERSION}" in capsys.readouterr().out
    assert [rows(old, query) for query in KEPT] == before
    assert store_of(old).texts(RUN, bodies) == bodies
    assert [row["admitted"] for row in store_of(old).rows(RUN)][:3] == [None, 1, 2] and store_of(old).proposed(RUN) == 6
    assert dispatch(["upgrade", file_url(old.database)]) == 0 and "already" in capsys.readouterr().out


async def test_an_upgraded_run_goes_on(old):
    upgrade(file_url(old.database))
    bought = {row["id"] for row in calls(old)}
    assert (await old.resume()).state == "finished"
    counts = old.status()["candidates"]
    assert counts["asked"] == 10 and counts["in_flight"] == 0
    assert not bought & {int(call.rpartition("/")[2]) for call in old.provider.calls}


def test_an_upgraded_database_has_the_tables_of_a_new_one(old, tmp_path):
    upgrade(file_url(old.database))
    Store(f"sqlite:///{tmp_path}/new.db", create=True).close()
    made = case(tmp_path / "other", 1)
    columns = (
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1, 2"
    )
    indices = "SELECT name FROM sqlite_master WHERE type = 'index' ORDER BY 1"
    made.folder.mkdir()
    (tmp_path / "new.db").rename(made.database)
    assert rows(old, columns) == rows(made, columns) and rows(old, indices) == rows(made, indices)


def test_a_run_that_is_being_written_is_not_upgraded(old):
    with sqlite3.connect(old.database) as database:
        database.execute("UPDATE runs SET lease_owner = ?, heartbeat_at = unixepoch()", [owner()])
    database.close()
    with pytest.raises(RunError, match="is being run; stop it first"):
        upgrade(file_url(old.database))
    assert rows(old, "SELECT version FROM schema") == [(4,)]


def test_an_upgrade_that_fails_half_way_leaves_the_old_database(old):
    with sqlite3.connect(old.database) as database:
        database.execute("CREATE TABLE texts_4 (x)")
    database.close()
    with pytest.raises(StoreError):
        upgrade(file_url(old.database))
    assert rows(old, "SELECT version FROM schema") == [(4,)]
    assert "admitted" not in rows(old, "SELECT sql FROM sqlite_master WHERE name = 'candidates'")[0][0]


@pytest.mark.parametrize("version", [3, VERSION + 1])
def test_other_versions_have_no_way(old, version):
    with sqlite3.connect(old.database) as database:
        database.execute("UPDATE schema SET version = ?", [version])
    database.close()
    with pytest.raises(StoreError, match="from which there is no upgrade"):
        upgrade(file_url(old.database))
