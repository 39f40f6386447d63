"""SQLite: the contract of a store, and what a file can suffer."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from evolve.errors import StoreError
from evolve.population import Store, Writer, create_run
from tests.population.contract import FACTS, RUN, StoreContract, event


class TestSQLite(StoreContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/run.db"

    def test_it_is_a_write_ahead_log_that_is_synced(self, store):
        with store.writers.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL

    async def test_a_full_disk_is_told_and_nothing_is_half_written(self, store, url):
        writer = full(store, Writer(store, RUN))
        with pytest.raises(StoreError, match="no space left on the disk; free some and run 'evolve resume'"):
            await writer.write(writer.log([event(1)]), writer.texts(["x" * 5_000_000]))
        writer.close()
        again = Store(url)
        assert list(again.events(RUN)) == []
        again.close()

    def test_a_database_that_is_kept_locked_is_told(self, store, url, monkeypatch):
        monkeypatch.setattr("evolve.population.store.WAIT_S", 0.01)
        other = sqlite3.connect(url.removeprefix("sqlite:///"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program keeps it locked; end that program"):
            Writer(Store(url), RUN).claim()
        other.close()

    @pytest.mark.parametrize("change", [Path.unlink, lambda file: file.replace(file.with_name("moved.db"))])
    async def test_a_file_that_is_gone_ends_the_writing(self, store, writer, url, change):
        change(Path(url.removeprefix("sqlite:///")))
        with pytest.raises(StoreError, match="its file was removed or replaced while a run wrote to it"):
            await writer.write(writer.log([event(1)]))

    async def test_a_damaged_file_is_told(self, store, writer, url):
        await writer.write(writer.log([event(n, text="x" * 3000) for n in range(1, 200)]))
        with store.writers.connect() as connection:
            connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.close()
        with open(url.removeprefix("sqlite:///"), "r+b") as file:
            file.seek(100_000)
            file.write(b"\xff" * 400_000)
        with pytest.raises(StoreError, match="it is damaged; restore a copy"):
            list(Store(url).events(RUN))

    async def test_one_that_may_only_be_read_is_read(self, store, writer, url, monkeypatch):
        await writer.write(writer.log([event(1)]))
        monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)
        assert len(list(Store(url).events(RUN))) == 1  # with a log that a live runner keeps
        writer.close()
        writer.release("finished")
        store.close()
        kept = Store(url)
        assert len(list(kept.events(RUN))) == 1
        with pytest.raises(StoreError, match="may not be written here; check the permissions"):
            Writer(kept, RUN).claim()

    def test_a_process_killed_half_way_through_a_transaction_leaves_nothing(self, store, url):
        subprocess.run([sys.executable, "-c", KILLED, url], check=False)
        assert list(store.events(RUN)) == []
        with store.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"

    async def test_a_database_that_may_not_be_written_is_told(self, store, url):
        only_reading = Store(url)
        sa.event.listen(only_reading.writers, "connect", lambda c, _: c.execute("PRAGMA query_only=ON"))
        with pytest.raises(StoreError, match="may not be written here; check the permissions"):
            Writer(only_reading, RUN).claim()
        only_reading.close()


KILLED = """
import os, signal, sys
import sqlalchemy as sa
from evolve.population import Store
from evolve.population.schema import events
from tests.population.contract import RUN
with Store(sys.argv[1]).writers.begin() as connection:
    rows = [{"run_id": RUN, "seq": n, "kind": "told", "data": {"x": "y" * 10_000}, "at": 0.0} for n in range(2000)]
    connection.execute(sa.insert(events), rows)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def full(store: Store, writer: Writer) -> Writer:
    """Returns the writer, started, its database not allowed to grow further."""
    store.writers.dispose()
    sa.event.listen(store.writers, "connect", lambda c, _: c.execute("PRAGMA max_page_count=1"))
    writer.claim()
    writer.start()
    return writer


def refused(url: str, create: bool = True) -> str:
    with pytest.raises(StoreError) as caught:
        Store(url, create=create)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("my notes\n" * 200)
    assert "is not an SQLite database" in refused(f"sqlite:///{file}")
    assert file.read_text() == "my notes\n" * 200


def test_another_programs_database_is_refused_unless_a_run_starts_there(tmp_path):
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (x)").connection.close()
    assert "holds no Evolve tables" in refused(f"sqlite:///{tmp_path}/other.db", create=False)


def test_a_folder_that_is_missing_is_named(tmp_path):
    message = refused(f"sqlite:///{tmp_path}/no/run.db")
    assert str(tmp_path / "no" / "run.db") in message and "its folder does not exist; create it" in message


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    assert "can't be opened" in refused(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"])
def test_a_database_in_memory_is_refused(url):
    assert "an in-memory database would lose the run; give a file" in refused(url)


@pytest.mark.parametrize("url", ["no url", "nosuch://host/db", "", "sqlite+nosuch:///x.db"])
def test_a_url_that_means_nothing_is_shown(url):
    assert refused(url).startswith(f"database.url={url}: ")


def test_a_password_is_never_shown():
    message = refused("nosuch://me:secret@host/db")
    assert "secret" not in message and "host/db" in message


def test_opening_a_file_that_is_missing_makes_none(tmp_path):
    refused(f"sqlite:///{tmp_path}/run.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_path_with_odd_characters_is_a_path(tmp_path):
    folder = tmp_path / "a b#c=é'"
    folder.mkdir()
    store = Store(f"sqlite:///{folder}/run.db", create=True)
    create_run(store, RUN, **FACTS)
    store.close()
    assert (folder / "run.db").is_file()
