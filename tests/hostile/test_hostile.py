"""No hostile candidate earns more than it earned, spoils another's score, lasts, or ends without the cause being told.

Each is run in two ways: on one worker with an honest candidate after it (gauntlet), and by the command `evolve check`; at
the levels *strict* and *guarded*, as root and as an ordinary user.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.command import environment
from tests.hostile.cast import EARNED, Hostile, candidates
from tests.levels import granted

ROOT = Path(__file__).parents[2]
LEVELS = ("strict", "guarded")
USERS = ("root", "ordinary")
UID = 64321  # of the ordinary user, where the tests run as root
ALL = {hostile.name: hostile for hostile in candidates()}
REPORT_S = 400
LONGEST_S = 12.0  # the problem's wall_s and some more
LOOT = re.compile(r"BREACH: |knew a secret label|SECRET-(?!0{16})\w|:99999:")

QUICK = """
    child_holds_pipes daemon exit_zero loop_endless memory_slowly message_of_4_gb patch_builtins patch_modules
    pickle_as_message print_a_gigabyte read_environment result_wrong_types segfault threads_that_outlive walk_frames
"""

Rows = dict[str, dict[str, Any]]
Job = tuple[str, str, str]  # gauntlet or checks, level, user


def halves(level: str, user: str) -> list[str]:
    """Returns the half of the names that `evolve check` runs here: each name once per level and once per user."""
    return sorted(ALL)[(level == "strict") ^ (user == "root") :: 2]


# ---------------------------------------------------------------- judging


def judge(hostile: Hostile, row: dict[str, Any]) -> None:
    told = f"{row['status']}, score {row['score']}: {row['feedback']}"
    assert not LOOT.search(row["feedback"]), told
    assert row["score"] is None or row["score"] <= (hostile.score or 0.0), told
    # an attack that came to nothing may have used up its time, or have scored differently in check's second look
    in_vain = row["status"] in ("timeout", "suspect") and "ok" in hostile.expect
    assert in_vain or row["status"] in hostile.expect, told
    assert row["status"] == "ok" or (row["feedback"].strip() and re.search(hostile.says, row["feedback"])), told
    assert row["seconds"] < LONGEST_S


def judge_all_around(row: dict[str, Any]) -> None:
    assert not row["breaches"]
    assert (row["honest"]["status"], row["honest"]["score"]) == ("ok", EARNED), row["honest"]["feedback"]


@pytest.mark.integration
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", LEVELS)
def test_on_one_worker(reports: Callable[..., Rows], level: str, user: str, name: str) -> None:
    row = reports("gauntlet", level, user)[name]
    judge(ALL[name], row)
    judge_all_around(row)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("level", "user", "name"),
    [(level, user, name) for level in LEVELS for user in USERS for name in halves(level, user)],
)
def test_by_the_command(reports: Callable[..., Rows], level: str, user: str, name: str) -> None:
    row = reports("checks", level, user)[name]
    judge(ALL[name], row)
    assert row["code"] == (0 if row["status"] == "ok" else 1) and not row["stderr"]


@pytest.mark.integration
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("level", LEVELS)
def test_the_command_leaves_nothing(reports: Callable[..., Rows], level: str, user: str) -> None:
    assert not reports("checks", level, user)["all"]["breaches"]


def test_a_dozen_at_the_best_level() -> None:
    with Reporter("gauntlet", "auto", names=QUICK.split()) as reporter:
        rows = reporter.rows()
    if "refused" in rows:
        pytest.skip(rows["refused"]["feedback"])
    assert set(rows) == set(QUICK.split())
    for name, row in rows.items():
        judge(ALL[name], row)
        judge_all_around(row)


def test_there_are_forty_with_their_attack_told() -> None:
    assert len(ALL) >= 40
    assert all(hostile.text.startswith('"""') and hostile.expect for hostile in ALL.values())


# ---------------------------------------------------------------- reports


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Iterator[Callable[..., Rows]]:
    """Returns a report's rows by name; skips where it can't be had. All that are needed are made at once."""
    jobs = list(
        dict.fromkeys(_job(item) for item in request.session.items if "reports" in getattr(item, "fixturenames", ()))
    )
    reporters = {job: Reporter(*job) for job in jobs}
    pools = {"gauntlet": ThreadPoolExecutor(2), "checks": ThreadPoolExecutor(1)}  # a gauntlet mostly waits
    futures: dict[Job, Future[Rows]] = {job: pools[job[0]].submit(reporters[job].rows) for job in jobs}

    def rows(*job: str) -> Rows:
        found = futures[job].result()  # type: ignore[index]
        if "refused" in found:
            pytest.skip(found["refused"]["feedback"])
        return found

    try:
        yield rows
    finally:
        for pool in pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        for reporter in reporters.values():
            reporter.close()
        for pool in pools.values():
            pool.shutdown()


def _job(item: Any) -> Job:
    params = item.callspec.params
    kind = "gauntlet" if item.originalname == "test_on_one_worker" else "checks"
    return kind, params["level"], params["user"]


class Reporter:
    """Runs `python -m tests.hostile.<kind>` as a user, in a temporary folder of that user's own."""

    def __init__(self, kind: str, level: str, user: str = "", names: list[str] | None = None):
        self._kind, self._level, self._user = kind, level, user
        self._names = names if names is not None else halves(level, user) if kind == "checks" else []
        self._process: subprocess.Popen[str] | None = None
        self._home = ""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self) -> Rows:
        if refusal := self._refusal():
            return {"refused": {"feedback": refusal}}
        self._process = self._start([f"tests.hostile.{self._kind}", self._level, *self._names])
        out, err = self._process.communicate(timeout=REPORT_S)
        assert self._process.returncode == 0, err[-3000:]
        found = {row["name"]: row for row in map(json.loads, out.splitlines())}
        if "refused" in found:  # only for want of what the kernel does not grant
            uid = UID if self._user == "ordinary" and os.geteuid() == 0 else None
            assert not granted(self._level, uid), found["refused"]["feedback"]
        return found

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    def _refusal(self) -> str:
        """Says why it can't be run here, if it can't."""
        if self._user == "root" and os.geteuid() != 0:
            return "not root"
        try:
            probe = self._start(["tests.hostile.cast"])
        except OSError as error:
            return f"another user can't run {sys.executable}: {error.strerror}"
        _, err = probe.communicate(timeout=60)
        assert not probe.returncode or self._user == "ordinary", err
        return f"this user can't run the tests: {err.strip().splitlines()[-1]}" if probe.returncode else ""

    def _start(self, words: list[str]) -> subprocess.Popen[str]:
        other = (
            {"user": UID, "group": UID, "extra_groups": []} if self._user == "ordinary" and os.geteuid() == 0 else {}
        )
        if not self._home:
            self._home = tempfile.mkdtemp(prefix="hostile-")
            if other:
                os.chown(self._home, UID, UID)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(
            [sys.executable, "-B", "-m", *words],
            cwd=ROOT,
            env=environment(HOME=self._home, TMPDIR=self._home, PYTHONPATH=path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **other,
        )
