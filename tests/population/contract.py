"""What every population database must do: subclass `StoreContract` and give it a fixture `url` of an empty database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from evolve.errors import LeaseLost, RunError, StoreError
from evolve.population import Store, Writer, create_run, digest, is_dead
from evolve.population import schema as tables
from evolve.population.writer import STALE_S, owner
from evolve.types import Completion, Event, StageOutcome, Status

RUN = "run-1"
FACTS: dict[str, Any] = {
    "problem": "p",
    "problem_path": "/p",
    "problem_hash": "0f",
    "config": {"seed": 1},
    "words": ["a=b"],
    "versions": {},
}


def event(seq: int, kind: str = "told", candidate: int | None = None, **data: Any) -> Event:
    return Event(seq=seq, kind=kind, candidate=candidate, data=data)


def dead_owner() -> str:
    """Returns the name that a process of this machine had whose pid is another's by now."""
    return " ".join([*owner().split(" ")[:4], "1"])


def set_run(store: Store, **columns: Any) -> None:
    with store.writers.begin() as connection:
        connection.execute(sa.update(tables.runs).where(tables.runs.c.run_id == RUN).values(**columns))


class StoreContract:
    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        store = Store(url, create=True)
        create_run(store, RUN, **FACTS)
        yield store
        store.close()

    @pytest.fixture
    async def writer(self, store: Store) -> AsyncIterator[Writer]:
        writer = Writer(store, RUN)
        writer.claim()
        writer.start()
        yield writer
        writer.close()

    # ------------------------------------------------------------ rows

    async def test_a_run_comes_back(self, store, writer):
        await writer.write(writer.run_columns(wall_s=2.5, busy={"llm": 0.25}))
        row = store.run(RUN)
        assert {name: row[name] for name in FACTS} == FACTS
        assert (row["wall_s"], row["busy"], row["state"]) == (2.5, {"llm": 0.25}, "running")

    async def test_a_candidate_comes_back_with_its_files(self, store, writer):
        files = {"a.py": "x = 'é'\n", "b/c.txt": ""}
        await writer.write(
            writer.candidate(5, "asked", island=2, operator="diff", parent=3, inspirations=[1, 4]),
            writer.files(5, files, title="t", hypothesis="h", fingerprint="f0"),
        )
        found = store.candidate(RUN, 5)
        assert found.files == files and (found.title, found.hypothesis) == ("t", "h")
        assert (found.island, found.operator, found.parent, found.inspirations) == (2, "diff", 3, (1, 4))
        assert found.status is None and store.first_text(RUN).get("f0") == 5

    async def test_a_candidates_outcome_comes_back_exactly(self, store, writer):
        measured = {"score": 0.1 + 0.2, "metrics": {"m": 1e-300}, "features": {"f": -0.0}, "feedback": "line 1\nline 2"}
        await writer.write(writer.candidate(1, "asked"))
        await writer.write(writer.candidate_columns(1, status="ok", stage="main", **measured))
        found = store.candidate(RUN, 1)
        assert {name: getattr(found, name) for name in measured} == measured
        assert (found.status, found.stage) == (Status.OK, "main")

    async def test_a_call_comes_back(self, store, writer):
        columns = {"candidate": 2, "purpose": "propose", "number": 0, "model": "m", "reserved_usd": 0.5}
        await writer.write(writer.call_sent(1, prompt="ask", **columns))
        answer = Completion(text="answer", tokens_in=10, tokens_out=20, cost_usd=0.25)
        await writer.write(writer.call_done(1, answer, 1.5))
        [row] = store.call_rows(RUN, 2)
        assert {name: row[name] for name in columns} == columns
        assert (row["state"], row["tokens_in"], row["tokens_out"], row["cost_usd"]) == ("done", 10, 20, 0.25)
        assert store.texts(RUN, [row["prompt"], row["completion"]]) == {
            digest("ask"): "ask",
            digest("answer"): "answer",
        }

    async def test_a_text_of_any_characters_comes_back(self, store, writer):
        odd = "\0 \x10 \x100 \x10d \\u0000 é \U0001f600 ' \" %s :x"
        files = {"a.py": odd, odd: "x"}
        await writer.write(
            writer.candidate(1, "asked", feedback=odd, metrics={odd: 1.0}),
            writer.files(1, files, title=odd),
            writer.log([event(1, text=odd, score=float("-inf"))]),
        )
        found = store.candidate(RUN, 1)
        assert (found.feedback, found.title, found.files, found.metrics) == (odd, odd, files, {odd: 1.0})
        assert [dict(one.data) for one in store.events(RUN)] == [{"text": odd, "score": float("-inf")}]

    async def test_texts_that_are_alike_take_little_room(self, store, writer):
        lines = [f"line {number} of the program = {number * 7919 % 1000}" for number in range(300)]
        bodies = ["\n".join([*lines[:n], f"changed = {n}", *lines[n:]]) for n in range(100)]
        bodies += [
            "\n".join(digest(f"{n} {line}") for line in range(300)) for n in range(3)
        ]  # unlike them, and each other
        await asyncio.gather(*(writer.write(writer.texts([body])) for body in [*bodies, *bodies[:50]]))
        assert store.texts(RUN, map(digest, bodies)) == {digest(body): body for body in bodies}
        with store.reading() as connection:
            packed = connection.execute(sa.select(sa.func.sum(sa.func.length(tables.texts.c.body)))).scalar()
        assert packed < sum(map(len, bodies)) / 8
        again = Writer(store, RUN)  # packs with what it stores itself, which may be there in another form
        again.start()
        again.epoch = writer.epoch
        await again.write(again.texts([bodies[7], bodies[7] + "\nanother = 1"]))
        again.close()
        assert list(store.texts(RUN, [digest(bodies[7] + "\nanother = 1")]).values()) == [bodies[7] + "\nanother = 1"]

    async def test_an_evaluation_and_its_artifacts_come_back(self, store, writer):
        outcome = StageOutcome(
            stage="main", status=Status.OK, score=1.5, metrics={"m": 1.5, "bad": float("nan")}, features={"f": 2.0},
            feedback="fine", instances=({"name": "i", "status": "ok"},), artifacts={"log": b"\0\xff"}, seconds=0.5, node="n",
            node_class={"cpu_model": "A"}, isolation="strict", replicate=2, curve=((1.0, 0.5), (2.0, 0.75)),
        )  # fmt: skip
        await writer.write(writer.evaluation(1, 7, outcome))
        [row] = store.evaluation_rows(RUN, 7)
        assert (row["stage"], row["status"], row["score"], row["instances"]) == (
            "main",
            "ok",
            1.5,
            list(outcome.instances),
        )
        assert row["metrics"] == {"m": 1.5, "bad": None} and row["features"] == {"f": 2.0} and row["node"] == "n"
        assert (row["replicate"], row["isolation"], row["node_class"]) == (2, "strict", {"cpu_model": "A"})
        assert row["curve"] == [[1.0, 0.5], [2.0, 0.75]]
        for most, body in ((None, b"\0\xff"), (1, b"\0")):
            [kept] = store.artifacts(RUN, [7], most)
            assert (kept["stage"], kept["replicate"], kept["name"], kept["size"], kept["body"]) == (
                "main",
                2,
                "log",
                2,
                body,
            )
        assert store.artifact_bytes(RUN) == 2 and store.artifacts(RUN, [8]) == []

    async def test_a_candidate_comes_with_what_its_last_stage_left(self, store, writer):
        await writer.write(writer.candidate(7, "asked"), writer.candidate_columns(7, stage="main", stderr=0.5, n=3))
        for evaluation, (stage, replicate) in enumerate([("small", 0), ("main", 0), ("main", 1), ("holdout", 0)], 1):
            body = f"{stage} {replicate}".encode()
            outcome = StageOutcome(stage=stage, status=Status.OK, replicate=replicate, artifacts={"log": body})
            await writer.write(writer.evaluation(evaluation, 7, outcome))
        found = store.candidate(RUN, 7)
        assert [one.head for one in found.artifacts] == ["main 0"] and (found.stderr, found.n) == (0.5, 3)

    async def test_the_hold_out_and_the_hardware_of_a_run(self, store, writer):
        assert store.holdout_row(RUN) is None and store.measured_on(RUN, "cpu_model") == ""
        rows = [
            ("main", "crash", "A"),
            ("main", "ok", ""),
            ("main", "ok", "B"),
            ("holdout", "ok", "C"),
            ("holdout", "infra", "D"),
        ]
        for evaluation, (stage, status, model) in enumerate(rows, 1):
            outcome = StageOutcome(stage=stage, status=Status(status), node_class={"cpu_model": model})
            await writer.write(writer.evaluation(evaluation, evaluation, outcome))
        assert store.holdout_row(RUN)["candidate"] == 4
        assert (store.measured_on(RUN, "cpu_model"), store.measured_on(RUN, "any")) == ("B", "")

    async def test_the_progress_of_a_run_is_what_was_told_in_sequence_and_what_each_candidate_used(self, store, writer):
        for candidate, (status, score) in enumerate([("ok", 1.5), ("invalid", 7.0), ("ok", None)], 1):
            await writer.write(writer.candidate(candidate, "asked" if candidate > 1 else "initial"))
            await writer.write(writer.candidate_columns(candidate, status=status, score=score))
        await writer.write(writer.log([event(9, "told", 2), event(4, "told", 1), event(5, "asked", 3)]))
        for evaluation, stage in enumerate(["small", "main", "holdout"], 1):
            await writer.write(writer.evaluation(evaluation, 1, StageOutcome(stage=stage, status=Status.OK)))
        columns = {"purpose": "propose", "number": 1, "model": "m", "prompt": "p"}
        for call, candidate, usd in ((1, 1, 0.25), (2, 1, 0.5), (3, 2, None)):
            await writer.write(writer.call_sent(call, candidate=candidate, reserved_usd=1.0, **columns))
            await writer.write(writer.call_done(call, Completion(text="t", cost_usd=usd), seconds=1.0))
        await writer.write(writer.call_sent(4, candidate=1, reserved_usd=2.0, **columns), writer.calls_lost())
        told, used = store.progress(RUN)
        names = ("candidate", "asked", "score")
        assert [tuple(one[name] for name in names) for one in told] == [(1, False, 1.5), (2, True, None)]
        assert used == {"evaluations": {1: 2}, "trials": {}, "usd": {1: 2.75, 2: None}}

    async def test_events_come_back_in_sequence_whatever_the_order_of_writing(self, store, writer):
        written = [event(3, "told", 1, score=0.5), event(1, "asked", 1, inspirations=[2]), event(2, "migrated")]
        await writer.write(writer.log(written))
        assert list(store.events(RUN)) == sorted(written, key=lambda e: e.seq)
        assert sorted(store.event_times(RUN)) == [1, 2, 3]

    async def test_events_about_some_candidates(self, store, writer):
        await writer.write(
            writer.log([event(1, "asked", 1), event(2, "asked", 2), event(3, "told", 1), event(4, "told", 2)])
        )
        assert [e.seq for e in store.events_of(RUN, ["asked"], [1, 2])] == [1, 2]
        assert [e.seq for e in store.events_of(RUN, ["asked", "told"], [2])] == [2, 4]

    async def test_a_text_is_stored_once(self, store, writer):
        for candidate in (1, 2, 3):
            await writer.write(
                writer.candidate(candidate, "asked"), writer.files(candidate, {"a": "same", "b": "same"})
            )
        with store.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(tables.texts)).scalar() == 1

    async def test_runs_of_one_database_are_apart(self, store, writer):
        create_run(store, "run-2", **FACTS)
        other = Writer(store, "run-2")
        other.claim()
        other.start()
        await writer.write(writer.candidate(1, "asked"), writer.files(1, {"a": "x"}), writer.log([event(1)]))
        await other.write(other.candidate(1, "asked"), other.files(1, {"a": "x"}), other.log([event(1)]))
        other.close()
        assert store.size(RUN) == store.size("run-2") == 1 and len(list(store.events(RUN))) == 1

    async def test_more_ids_than_one_statement_takes(self, store, writer):
        for candidate in range(1, 1203):
            last = writer.write(writer.candidate(candidate, "asked"))
        await last
        assert list(store.candidates(RUN, range(1, 1203))) == list(range(1, 1203))

    async def test_unknown_ids_are_absent_and_a_single_one_an_error(self, store, writer):
        await writer.write(writer.candidate(1, "asked"))
        assert list(store.candidates(RUN, [1, 99])) == [1]
        with pytest.raises(RunError, match="no candidate 99; its ids go from 1 to 1"):
            store.candidate(RUN, 99)
        with pytest.raises(RunError, match="holds no run 'other'; 'evolve runs' lists"):
            store.run("other")

    # ------------------------------------------------------------ sums

    async def test_the_best_is_the_first_of_the_highest_ok_scores(self, store, writer):
        assert store.best(RUN) is None
        outcomes = [("ok", 1.0), ("ok", 3.0), ("rejected", 9.0), ("ok", 3.0), ("crash", None)]
        for candidate, (status, score) in enumerate(outcomes, 1):
            await writer.write(
                writer.candidate(candidate, "asked"), writer.candidate_columns(candidate, status=status, score=score)
            )
        assert store.best(RUN) == 2

    async def test_counts_are_of_asked_candidates_by_status(self, store, writer):
        for candidate, status in enumerate(["ok", "ok", "crash", None], 1):
            await writer.write(writer.candidate(candidate, "asked", status=status))
        await writer.write(writer.candidate(5, "initial", status="ok"))
        assert store.counts(RUN) == {"ok": 2, "crash": 1, None: 1}

    async def test_call_totals_tell_lost_unpriced_and_held_apart(self, store, writer):
        for call in range(1, 6):
            columns = {"candidate": call, "purpose": "propose", "number": 0, "model": "m", "reserved_usd": 1.0}
            await writer.write(writer.call_sent(call, prompt="p", **columns))
        await writer.write(
            writer.call_done(1, Completion(text="a", tokens_in=3, tokens_out=4, cost_usd=0.25), 1.0),
            writer.call_done(2, Completion(text="b", tokens_in=3, tokens_out=4, cost_usd=None), 1.0),
            writer.call_failed(3, "busy", 1.0),
        )
        totals = dict(store.call_totals(RUN))
        used = {"calls": 5, "tokens_in": 6, "tokens_out": 8, "tokens_cached": 0, "cost_usd": 0.25, "unpriced": 1}
        assert totals == {**used, "lost": 0, "held_usd": 2.0}
        await writer.write(writer.calls_lost())
        assert dict(store.call_totals(RUN)) == {**used, "lost": 2, "held_usd": 2.0}

    async def test_only_calls_still_sent_become_lost(self, store, writer):
        for call in (1, 2, 3):
            columns = {"candidate": call, "purpose": "propose", "number": 0, "model": "m", "reserved_usd": None}
            await writer.write(writer.call_sent(call, prompt="p", **columns))
        await writer.write(writer.call_done(1, Completion(text="a"), 1.0), writer.call_failed(2, "busy", 1.0))
        await writer.write(writer.calls_lost())
        assert [row["state"] for row in store.call_rows(RUN)] == ["done", "failed", "lost"]

    async def test_the_first_of_a_fingerprint_is_kept(self, store, writer):
        for candidate in (3, 2, 4):
            await writer.write(writer.candidate(candidate, "asked", fingerprint="f"))
        await writer.write(writer.candidate(5, "asked"))
        firsts = store.first_text(RUN)
        assert firsts.get("f") == 2 and firsts.get("g") is None
        assert (firsts.note("f", 9), firsts.note("g", 9), firsts.note("g", 10), firsts.get("g")) == (2, 9, 9, 9)

    async def test_last_ids(self, store, writer):
        assert store.last_ids(RUN) == (0, 0)
        await writer.write(writer.evaluation(7, 1, StageOutcome(stage="main", status=Status.OK)))
        columns = {"candidate": 1, "purpose": "propose", "number": 0, "model": "m", "reserved_usd": None}
        await writer.write(writer.call_sent(4, prompt="p", **columns))
        assert store.last_ids(RUN) == (4, 7)

    # ------------------------------------------------------------ the writer

    async def test_what_waits_goes_into_few_transactions_in_its_order(self, store):
        writer = Writer(store, RUN)
        writer.claim()
        commits: list[object] = []
        sa.event.listen(store.writers, "commit", commits.append)
        written = [writer.write(writer.run_columns(wall_s=float(n)), writer.log([event(n)])) for n in range(1, 301)]
        writer.start()
        await asyncio.gather(*written)
        writer.close()
        assert len(commits) == 2
        assert store.run(RUN)["wall_s"] == 300.0 and [e.seq for e in store.events(RUN)] == list(range(1, 301))

    async def test_what_is_resolved_can_be_read(self, store, writer):
        for n in range(1, 20):
            await writer.write(writer.log([event(n)]))
            assert len(list(store.events(RUN))) == n

    async def test_closing_writes_what_waits(self, store):
        writer = Writer(store, RUN)
        writer.claim()
        writer.start()
        for n in range(1, 50):
            writer.write(writer.log([event(n)]))
        writer.close()
        assert len(list(store.events(RUN))) == 49

    async def test_a_failed_transaction_fails_all_that_waits_and_leaves_nothing(self, store):
        writer = Writer(store, RUN)
        writer.claim()
        written = [writer.write(writer.log([event(seq)])) for seq in (1, 2, 1, 3)]
        writer.start()
        failed = await asyncio.gather(*written, return_exceptions=True)
        assert [type(error) for error in failed] == [StoreError] * 4
        assert list(store.events(RUN)) == []
        writer.close()

    async def test_after_a_failed_transaction_nothing_more_is_written(self, store, writer):
        with pytest.raises(StoreError):
            await writer.write(writer.log([event(1), event(1)]))
        with pytest.raises(StoreError):
            await writer.write(writer.log([event(2)]))
        assert list(store.events(RUN)) == []

    async def test_reading_goes_on_while_writing_and_sees_whole_transactions(self, store, writer):
        await writer.write(writer.log([event(n) for n in range(1, 2001)]))
        reading = store.events(RUN)
        first = next(reading)
        await writer.write(writer.log([event(n) for n in range(2001, 2101)]))
        assert [first.seq, *(e.seq for e in reading)] == list(range(1, 2001))
        assert len(list(store.events(RUN))) == 2100

    # ------------------------------------------------------------ the lease

    def test_a_second_writer_is_refused_while_the_first_is_alive(self, store):
        Writer(store, RUN).claim()
        with pytest.raises(RunError, match=r"is being run by process \d+ on .* stop that one first"):
            Writer(store, RUN).claim()

    def test_a_dead_owners_lease_is_free(self, store):
        Writer(store, RUN).claim()
        set_run(store, lease_owner=dead_owner())
        Writer(store, RUN).claim()
        assert store.run(RUN)["lease_owner"] == owner()

    def test_another_machines_lease_is_free_only_when_it_is_stale(self, store):
        foreign = "boot space elsewhere 1 1"
        Writer(store, RUN).claim()
        set_run(store, lease_owner=foreign)
        with pytest.raises(RunError, match="process 1 on elsewhere"):
            Writer(store, RUN).claim()
        set_run(store, heartbeat_at=store.clock() - STALE_S - 1)
        Writer(store, RUN).claim()

    def test_an_owner_is_dead_only_when_it_is_known_to_be(self):
        assert is_dead(dead_owner())
        assert not is_dead(owner()) and not is_dead("boot space elsewhere 1 1") and not is_dead("")

    async def test_a_writer_whose_lease_was_taken_fails_and_writes_nothing(self, store, writer):
        set_run(store, heartbeat_at=store.clock() - STALE_S - 1)
        Writer(store, RUN).claim()
        with pytest.raises(LeaseLost, match="taken over by another runner"):
            await writer.write(writer.log([event(1)]))
        assert list(store.events(RUN)) == []

    async def test_every_transaction_renews_the_lease(self, store, writer):
        set_run(store, heartbeat_at=0.0)
        await writer.write(writer.log([event(1)]))
        assert store.run(RUN)["heartbeat_age_s"] < 20

    def test_a_claim_sets_the_run_going_and_counts_epochs(self, store):
        set_run(store, state="paused", reason="because")
        writer = Writer(store, RUN)
        writer.claim()
        row = store.run(RUN)
        assert (row["state"], row["reason"], row["lease_epoch"], writer.epoch) == ("running", "", 1, 1)

    # ------------------------------------------------------------ checkpoints

    async def test_a_checkpoint_is_the_last_one_saved_in_its_place_until_its_candidate_is_told(self, store, writer):
        place = {"candidate": 3, "stage": "main", "replicate": 0, "instance": 0}
        elsewhere = [{**place, name: other} for name, other in zip(place, (4, "main holdout", 1, 1), strict=True)]
        for body in (b"old", b"new"):
            await writer.write(writer.checkpoint(body=body, **place))
        await writer.write(writer.checkpoint(body=b"other", **elsewhere[0]))
        found = [store.checkpoint(RUN, **at) for at in (place, *elsewhere)]
        assert found == [b"new", b"other", None, None, None]
        await writer.write(
            writer.no_checkpoints(9), writer.checkpoint(body=b"newer", **place), writer.no_checkpoints(3)
        )
        assert [store.checkpoint(RUN, **at) for at in (place, elsewhere[0])] == [None, b"other"]

    # ------------------------------------------------------------ the schema

    def test_it_opens_again_with_what_it_held(self, store, url):
        again = Store(url)
        assert again.run(RUN)["problem"] == FACTS["problem"]
        again.close()

    def test_another_version_is_refused(self, store, url):
        with store.writers.begin() as connection:
            connection.execute(sa.update(tables.schema).values(version=99))
        with pytest.raises(StoreError, match=f"version 99, this Evolve reads version {tables.VERSION}; use the Evolve"):
            Store(url)

    def test_a_database_without_tables_is_not_opened_unasked(self, url):
        with pytest.raises(StoreError, match="start a run there with 'evolve run'"):
            Store(url)

    def test_runs_that_start_at_once_in_an_empty_database_all_open_it(self, url):
        begin = threading.Barrier(4)

        def open_it() -> None:
            begin.wait()
            Store(url, create=True).close()

        with ThreadPoolExecutor(4) as pool:
            opened = [pool.submit(open_it) for _ in range(4)]
        assert [future.exception() for future in opened] == [None] * 4

    async def test_the_inbox_gives_no_id_twice_and_keeps_wishes_until_they_are_answered(self, store, writer):
        first = store.put(RUN, "try", {"call": 1})
        assert [row["body"] for row in store.inbox(RUN)] == [{"call": 1}] and store.answered(first) is None
        await writer.write(writer.answer(first, {"left": 2}))
        assert store.inbox(RUN) == [] and store.answered(first) == {"left": 2}
        store.withdraw(first)
        assert store.put(RUN, "try", {}) != first

    async def test_a_drafts_evaluation_is_the_candidates_own_once_it_is_promoted(self, store, writer):
        outcome = StageOutcome(stage="main", status=Status.OK, score=1.0, metrics={"score": 1.0})
        await writer.write(
            writer.candidate(1, "asked"),
            writer.evaluation(1, 1, outcome, "turn 0"),
            writer.evaluation(2, 1, outcome, "turn 1"),
        )
        assert store.evaluation_rows(RUN, 1) == [] and store.evaluations(RUN) == 2
        await writer.write(writer.promoted(1, "turn 1"))
        assert [row["id"] for row in store.evaluation_rows(RUN, 1)] == [2]
        assert [row["draft"] for row in store.evaluation_rows(RUN, 1, drafts=True)] == ["turn 0"]

    async def test_the_evaluations_of_a_tuned_candidate_change_places_and_its_trials_count(self, store, writer):
        outcome = StageOutcome(stage="main", status=Status.OK, score=1.0, metrics={"score": 1.0})
        failed = replace(outcome, status=Status.CRASH, score=None)
        drafts = [(1, None), (2, "tuned"), (3, "turn 0")]
        await writer.write(
            writer.candidate(1, "asked"),
            writer.candidate(2, "asked"),
            *(writer.evaluation(n, 1, outcome, draft) for n, draft in drafts),
            writer.evaluation(4, 2, outcome),
            writer.trial(1, 0, [0.5, 2.0], outcome),
            writer.trial(1, 1, [0.25, 2.0], failed),
        )
        await writer.write(writer.tuned(1, {"a.py": "x = 0.5"}))
        assert [row["id"] for row in store.evaluation_rows(RUN, 1)] == [2]
        assert [row["id"] for row in store.evaluation_rows_aside(RUN, 1)] == [1]
        assert [row["id"] for row in store.evaluation_rows(RUN, 2)] == [4]
        assert store.candidate(RUN, 1).files == {"a.py": "x = 0.5"}
        found = [(row["number"], row["vector"], row["status"], row["score"]) for row in store.trial_rows(RUN, 1)]
        assert found == [(0, [0.5, 2.0], "ok", 1.0), (1, [0.25, 2.0], "crash", None)]
        assert store.trial_rows(RUN, 2) == [] and store.evaluations(RUN) == 4 + 2
