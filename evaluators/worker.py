"""The worker program, `python -m evaluators.worker PARENT_PID LEVEL`: the trusted side of evaluations, one at a time.

Its standard input is a socket: pickled StageJobs come in (from the process that started it, which it trusts), `began`,
`ask` and `outcome` messages go out in the wire codec; an `ask` is answered by one `answer` or `refused`. It ends when that
socket closes or the thread that started it does. Candidates run in processes that its zygote forks, never here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from evaluators.asking import Ask
from evaluators.harness import tree, wire
from evaluators.isolation import lacking
from evaluators.pool import StageJob
from evaluators.sandbox import LOST_ZYGOTE, Failure, Zygote
from evaluators.scoring import Scorer, unload
from evaluators.stage import StageRun
from evolve.errors import EvaluatorError
from evolve.problem import LEVELS, Problem
from evolve.types import StageOutcome, Status

MESSAGE = 1 << 28  # bytes in a job or an outcome
TRACE = 4_000
ASKING = threading.Lock()  # evaluator.py may ask from threads of its own


class Worker:
    """Keeps one problem loaded: its scorer, and a zygote with its preloads."""

    def __init__(self, level: str, ask: Ask) -> None:
        self._ask = ask
        self._scorer: Scorer | None = None
        self._zygote = Zygote(level)

    def run(self, job: StageJob, began: Callable[[], None]) -> StageOutcome:
        """Runs a stage to its outcome; what neither candidate nor evaluator.py did (a full disk, say) is `infra`.

        Calls `began` once the problem is loaded.
        """
        try:
            scorer = self._loaded(job.problem)
            began()
            outcome = StageRun(scorer, self._zygote, job, self._ask).run()
            if outcome.status is Status.CRASH and LOST_ZYGOTE in outcome.feedback:  # by whom? once more tells
                outcome = StageRun(scorer, self._zygote, job, self._ask).run()
            return outcome
        except EvaluatorError as error:
            return job.failed(Status.EVALUATOR_ERROR, str(error))
        except Exception:  # noqa: BLE001 the task's edge: the fault becomes a fact with its traceback
            return job.failed(Status.INFRA, traceback.format_exc()[-TRACE:])

    def _loaded(self, problem: Problem) -> Scorer:
        """Loads a problem unless it is loaded. Raises EvaluatorError."""
        if self._scorer is not None and self._scorer.problem.hash == problem.hash:
            return self._scorer
        if self._scorer is not None:
            unload(str(self._scorer.problem.path))
            self._scorer = None
        self._zygote.close()
        self._zygote = Zygote(self._zygote.level, problem)
        self._zygote.start()  # imports while evaluator.py does
        try:
            scorer = Scorer(problem)
            self._zygote.wait_ready()
        except EvaluatorError:
            unload(str(problem.path))
            raise
        self._scorer = scorer
        return scorer


def tried(wanted: str) -> tuple[str, dict[str, str]]:
    """Returns the best level that works here, of `auto` or the one wanted, and why each better one does not."""
    faults = {}
    for level in reversed(LEVELS) if wanted == "auto" else (wanted,):
        faults[level] = lacking(level) or _try(level)
        if not faults[level]:
            return level, faults
    return "", faults


def _try(level: str) -> str:
    if level == "bare":
        return ""
    try:
        with contextlib.closing(Zygote(level)) as zygote:
            zygote.ensure()
    except (EvaluatorError, OSError) as error:
        return str(error)
    return ""


def serve(channel: wire.Channel, wanted: str) -> None:
    """Answers jobs until the channel closes."""
    level, faults = tried(wanted)
    worker = Worker(level, lambda question: _asked(channel, question))
    try:
        channel.send(["ready", level, faults])
        while True:
            job = pickle.loads(channel.receive())
            _report(channel, job, worker.run(job, lambda: channel.send(["began"])))
    except wire.Closed:  # the runner is dead, and this process about to be killed: its zygote ends what it may leave
        tree.remove_worker(os.environ["HOME"])
        os._exit(0)


def _asked(channel: wire.Channel, question: Mapping[str, Any]) -> Any:
    """Asks the runner, and waits. Raises EvaluatorError or Failure (infra) where it refuses."""
    with ASKING:
        channel.send(["ask", dict(question)])
        kind, value, *status = channel.receive()
    if kind == "refused":
        raise Failure(Status.INFRA, str(value)) if status == [Status.INFRA] else EvaluatorError(str(value))
    return value


def _report(channel: wire.Channel, job: StageJob, outcome: StageOutcome) -> None:
    try:
        channel.send(["outcome", dataclasses.asdict(outcome)])
    except (TypeError, wire.TooLarge) as error:
        reason = f"evaluator.py: what it gave as result can't be stored: {error}"
        channel.send(["outcome", dataclasses.asdict(job.failed(Status.EVALUATOR_ERROR, reason))])


def main() -> None:
    if os.getppid() != int(sys.argv[1]):  # killed while this process started
        tree.remove_worker(os.environ["HOME"])
    tree.die_with_parent(int(sys.argv[1]))
    tree.adopt_orphans()
    sock = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what evaluator.py prints goes to the log
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    serve(wire.Channel(sock, limit=MESSAGE), sys.argv[2])


if __name__ == "__main__":
    main()
