"""Measures the steady state: `python -m tests.benchmarks.steady [--lognormal] [--json]`. A whole run against the ideal time.

Calls of 1 s (or lognormal with that mean) on 8 slots, evaluations of 0.5 s on 8 more, 200 different candidates, the real runner
and an SQLite store. The time goes from the first call to the last result. `scheduled_s` is that of the same calls and
evaluations, each begun as soon as a slot is free; the ideal is that, or for constant times 200 / 8 calls in a row and a fill.
Utilisation is compared with what the provider and the evaluator here saw themselves. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import math
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from evolve.llm.scripted import Scripted
from evolve.proposer import Proposing
from evolve.types import Call, Evaluation, Files, Prompt, StageOutcome, Status
from tests.runner.driving import Case, Judging, Notes, case, rewrite, value_of

CALL_S, EVALUATION_S, SIGMA, SLOTS = 1.0, 0.5, 0.6, 8
CONSTANT_MOST, LOGNORMAL_MOST, UTILISATION_MOST = 1.08, 1.10, 0.02
SEED = 7


@dataclass
class Spans:
    """When each piece of work of a pool began and ended, by the monotonic clock."""

    found: list[tuple[float, float]] = field(default_factory=list)

    @contextmanager
    def one(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.found.append((began, time.monotonic()))

    def busy_s(self, since: float) -> float:
        return sum(end - begin for begin, end in self.found if begin >= since)


def constant_s(call: int) -> float:
    return CALL_S


def lognormal_s(call: int) -> float:
    """Returns the seconds that a call takes: drawn for its id, so that they are known beforehand."""
    return math.exp(random.Random(f"{SEED}:{call}").gauss(math.log(CALL_S) - SIGMA**2 / 2, SIGMA))


class SlowModel(Scripted):
    """Answers with another program each time, after `latency_s` of the call's id."""

    def __init__(self, latency_s: Callable[[int], float]):
        values = count(1)
        super().__init__(lambda prompt, call: rewrite(next(values)), concurrency=SLOTS)
        self.spans = Spans()
        self._latency_of = latency_s

    async def complete(self, prompt: Prompt, *, call: Call) -> Any:
        with self.spans.one():
            await asyncio.sleep(self._latency_of(call.id))
            return await super().complete(prompt, call=call)


class SlowJudge(Judging):
    """Scores by a scrambled number of the program after a fixed time: about six candidates become the best on the way."""

    def __init__(self) -> None:
        super().__init__(slots=SLOTS)
        self.spans = Spans()

    async def evaluate(
        self,
        problem: Any,
        files: Files,
        *,
        done: Sequence[StageOutcome],
        on_stage: Callable[[StageOutcome], None],
        **_: Any,
    ) -> Evaluation:
        if done:  # the draft that became the candidate was measured
            return Evaluation.of(done)
        outcome = await self.measure(problem, files)
        on_stage(outcome)
        return Evaluation.of([outcome])

    async def measure(self, problem: Any, files: Files, replicate: int = 0, **_: Any) -> StageOutcome:
        with self.spans.one():
            await asyncio.sleep(EVALUATION_S)
        score = random.Random(value_of(files["initial.py"])).random()
        return StageOutcome(stage="main", status=Status.OK, score=score, metrics={"score": score}, replicate=replicate)


class Stopwatch(Notes):
    """A screen that knows when the runner began and ended."""

    began = ended = 0.0

    @contextmanager
    def watch(self, runner: Any) -> Iterator[None]:
        self.began = time.monotonic()
        try:
            yield
        finally:
            self.ended = time.monotonic()


def scheduled_s(latencies: Sequence[float]) -> float:
    """Returns when the last result is there if each call and each evaluation begins as soon as a slot is free."""
    return max(listed(sorted(listed([0.0] * len(latencies), latencies)), [EVALUATION_S] * len(latencies)))


def listed(ready: Sequence[float], lengths: Sequence[float]) -> list[float]:
    """Returns when each piece of work ends, taken in order on SLOTS slots, none before it is ready."""
    free = [0.0] * SLOTS
    ends = []
    for at, length in zip(ready, lengths, strict=True):
        ends.append(max(at, heapq.heappop(free)) + length)
        heapq.heappush(free, ends[-1])
    return ends


def run(folder: Path, candidates: int, lognormal: bool) -> dict[str, Any]:
    latency_s = lognormal_s if lognormal else constant_s
    model, judge, watch = SlowModel(latency_s), SlowJudge(), Stopwatch()
    driven: Case = case(
        folder, candidates, provider=model, evaluator=judge, spec="stages: {main: {}}", proposing=Proposing()
    )
    driven.screen = watch
    cpu = time.process_time()
    ended = asyncio.run(driven.start())
    cpu = time.process_time() - cpu
    status = driven.status()
    counts = status["candidates"]
    assert ended.state == "finished" and counts["ok"] == counts["asked"] == candidates, (ended, counts)
    assert len(model.spans.found) == candidates, "a candidate took more than one call"
    scheduled = scheduled_s([latency_s(call + 1) for call in range(candidates)])
    ideal = scheduled if lognormal else candidates / SLOTS * CALL_S + CALL_S + EVALUATION_S
    took = max(end for _, end in judge.spans.found) - min(begin for begin, _ in model.spans.found)
    measured = {
        name: spans.busy_s(watch.began) / SLOTS / (watch.ended - watch.began)
        for name, spans in (("llm", model.spans), ("evaluators", judge.spans))
    }
    return {
        "latency": "lognormal" if lognormal else "constant",
        "candidates": candidates,
        "evaluations": len(judge.spans.found),
        "seconds": took,
        "scheduled_s": scheduled,
        "ideal_s": ideal,
        "ratio": took / ideal,
        "most": LOGNORMAL_MOST if lognormal else CONSTANT_MOST,
        "cpu_s": cpu,
        "reported": status["utilisation"],
        "measured": measured,
        "apart": max(abs(status["utilisation"][name] - measured[name]) for name in measured),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lognormal", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--candidates", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), arguments.candidates, arguments.lognormal)
    if arguments.json:
        print(json.dumps(found))
    else:
        times = "{seconds:.2f} s, ideal {ideal_s:.2f} s (scheduled {scheduled_s:.2f} s)"
        print(f"{{latency}}: {times}, ratio {{ratio:.3f}} (at most {{most}})".format(**found))
        for name, share in found["measured"].items():
            print(f"{name:<12}{found['reported'][name]:6.1%} busy as reported, {share:6.1%} as measured")
    if found["ratio"] > found["most"] or found["apart"] > UTILISATION_MOST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
