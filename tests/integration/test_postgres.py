"""PostgreSQL: the contract of a store on a real server, whole runs on it, and what a server can suffer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

from evolve.errors import RunError, StoreError
from evolve.llm.scripted import Scripted
from evolve.population import Store, Writer
from evolve.types import Prompt
from tests.command import evolve, evolve_json, ok
from tests.population.contract import FACTS, RUN, StoreContract
from tests.population.orphans import orphans
from tests.postgres import Server
from tests.runner import driving
from tests.runner.driving import answer, case, store_of

pytestmark = pytest.mark.integration


class TestPostgreSQL(StoreContract):
    @pytest.fixture
    def url(self, postgres: Server) -> str:
        return postgres.new()

    def test_what_is_written_is_durable_whatever_the_servers_default(self, postgres, store):
        with store.writers.connect() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"

    async def test_a_database_that_is_kept_locked_is_told(self, store, url, monkeypatch):
        monkeypatch.setattr("evolve.population.store.WAIT_S", 0.1)
        with psycopg.connect(url) as other, pytest.raises(StoreError, match="another program keeps it locked"):
            other.execute("LOCK TABLE runs")
            Writer(Store(url), RUN).claim()

    async def test_a_database_that_may_not_be_written_is_told_and_can_be_read(self, postgres, store, url):
        postgres.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
        only_reading = Store(url)
        assert only_reading.run(RUN)["problem"] == FACTS["problem"]
        with pytest.raises(StoreError, match="may not be written here"):
            Writer(only_reading, RUN).claim()
        only_reading.close()

    async def test_of_runners_that_claim_at_once_one_gets_the_run(self, store, url):
        stores = [Store(url) for _ in range(4)]
        claims = [asyncio.to_thread(Writer(one, RUN).claim) for one in stores]
        refused = [one for one in await asyncio.gather(*claims, return_exceptions=True) if one is not None]
        assert [type(one) for one in refused] == [RunError] * 3 and store.run(RUN)["lease_epoch"] == 1


def refused(url: str) -> str:
    with pytest.raises(StoreError) as caught:
        Store(url, create=True)
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
    return str(caught.value)


def test_a_server_or_database_that_is_not_there_is_told(postgres):
    assert "its server can't be reached; start it" in refused("postgresql://me:secret@127.0.0.1:1/db")
    assert "its server can't be reached" in refused("postgresql://me:secret@no-such-host.invalid/db")
    assert "no such database or user; make it (createdb NAME)" in refused(postgres.url("nowhere"))


def test_a_driver_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'evolve-engine[postgres]'" in refused("postgresql://me:secret@127.0.0.1/db")


@pytest.fixture
def server(postgres_programs: Path) -> Iterator[Server]:
    """A server of the test's own, which it may stop."""
    made = Server(postgres_programs)
    yield made
    made.remove()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_server_that_stops_interrupts_the_run_which_goes_on_when_it_is_back(tmp_path, server, mode):
    answers, bought = count(1), []

    def script(prompt: Prompt, call: str) -> str:
        if next(answers) == 9:
            server.stop(mode)
        bought.append(call)
        return answer(prompt, call)

    run = case(tmp_path, 25, provider=Scripted(script, concurrency=3), url=server.new())
    ended = await run.start()
    assert (
        ended.state == "failed" and "its server can't be reached; start it" in ended.reason and "\n" not in ended.reason
    )
    server.start()
    with psycopg.connect(run.url) as connection:
        connection.execute("UPDATE runs SET lease_owner = ''")  # this process, which the lease names, lives on
    assert run.run().state() == "interrupted"
    assert (await run.resume(provider=Scripted(script, concurrency=3))).state == "finished"
    counts = run.status()["candidates"]
    assert counts["asked"] == 25 and counts["in_flight"] == 0 and run.status()["llm"]["lost"] <= 3
    assert len(bought) == len(set(bought)) and orphans(store_of(run), driving.RUN) == []


def test_several_runs_in_one_database_by_command(tmp_path: Path, postgres: Server) -> None:
    url = postgres.new()
    words = ("database=postgres", "budget.candidates=8")
    ok("run", *words, f"database.url={url}", "run_dir=A", cwd=tmp_path)
    ok("run", *words, "run_dir=B", cwd=tmp_path, EVOLVE_DATABASE_URL=url)
    listed = evolve_json("runs", url, cwd=tmp_path)["runs"]
    assert [line["candidates"]["asked"] for line in listed] == [8, 8] and {line["state"] for line in listed} == {
        "finished"
    }
    for line in listed:
        assert evolve_json("status", f"{url}#{line['run_id']}", cwd=tmp_path)["candidates"]["asked"] == 8
    ok("resume", f"{url}#{listed[1]['run_id']}", "budget.candidates=12", cwd=tmp_path)
    assert evolve_json("status", "B", cwd=tmp_path)["candidates"]["asked"] == 12
    assert not list(tmp_path.glob("*/run.db"))


def test_a_password_is_refused_where_it_would_be_stored(tmp_path: Path) -> None:
    done = evolve("run", "database=postgres", "database.url=postgresql://me:secret@host/db", cwd=tmp_path)
    assert done.returncode == 2 and "export EVOLVE_DATABASE_URL" in done.stderr and "secret" not in done.stderr
    done = evolve("run", "database=postgres", cwd=tmp_path)
    assert done.returncode == 2 and "database.url must be set" in done.stderr
