"""Runs `evolve check` on every hostile candidate, each in a process of its own, a few at a time.

`python -m tests.hostile.checks LEVEL [NAME ...]` prints one JSON line per candidate: what the command printed and returned.
The command's modules are imported once and forked, which saves a second each; all else is as the installed script does it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from evolve import cli
from evolve.cli import authoring  # noqa: F401 imported here, so that the forks have it
from tests.hostile.bait import Bait, Marks, lasting_processes, remove
from tests.hostile.cast import Hostile, chosen, label, make_problem

AT_ONCE = 3


class Check:
    """One `evolve check` in progress, of a hostile candidate or (None) of the honest one."""

    def __init__(self, candidate: Hostile | None, problem: Path, level: str):
        self.candidate = candidate
        self.began = time.monotonic()
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 lives as long as this
        self._err: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        words = ["evolve", "check", str(problem), f"evaluator.isolation={level}", "--json"]
        self.pid = os.fork()
        if not self.pid:
            self._become(words if candidate is None else [*words, "--candidate", str(candidate.path)])

    def _become(self, words: list[str]) -> None:
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(self._out.fileno(), 1)
            os.dup2(self._err.fileno(), 2)
            sys.argv = words
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:  # noqa: BLE001 the edge of a process
            traceback.print_exc()
            code = 99
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def ended(self, status: int) -> dict[str, Any]:
        """Returns the candidate's name, the exit code and what was printed, read as JSON where it is that."""
        texts = []
        for file in (self._out, self._err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
            file.close()
        try:
            found = json.loads(texts[0])
        except ValueError:
            found = {"status": "no JSON", "score": None, "feedback": texts[0][:500]}
        return {
            "name": "honest" if self.candidate is None else self.candidate.name,
            "code": os.waitstatus_to_exitcode(status),
            "stderr": texts[1][-1000:],
            "seconds": round(time.monotonic() - self.began, 2),
            **{name: found[name] for name in ("status", "score", "feedback")},
        }


def report(level: str, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yields a row for each candidate as it ends, and one named `all` that tells what was left behind."""
    folder = tempfile.mkdtemp(prefix="checks-")
    before, tempfile.tempdir = tempfile.tempdir, None
    os.environ["TMPDIR"] = folder
    marks = Marks()
    problem = make_problem(Path(folder, "problem"), marks)
    bait = Bait(label(problem), marks)
    bait.set()
    waiting = list(reversed(chosen(level, names)))
    running: dict[int, Check] = {}
    try:
        first = Check(None, problem.path, level)
        honest = first.ended(os.waitpid(first.pid, 0)[1])
        if honest["code"]:
            yield {"name": "refused", "feedback": honest["stderr"] or honest["feedback"]}
            return
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                check = Check(waiting.pop(), problem.path, level)
                running[check.pid] = check
            pid, status = os.wait()
            if pid in running:  # else the bait's
                yield running.pop(pid).ended(status)
        left = [f"process {pid} lives on" for pid in lasting_processes(marks)]
        left += [f"{path} was left" for path in os.listdir(folder) if path != "problem"]
        yield {"name": "all", "breaches": left + [f"{what} was reached" for what in set(bait.reached)]}
    finally:
        bait.take_away()
        tempfile.tempdir = before
        remove(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("level")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    for row in report(arguments.level, arguments.names):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
