"""Rescoring: stored candidates are evaluated again with the problem as it is now, as a new revision of the scores.

A `rescoring` event begins it and takes out of the ranking what is not evaluated again, a `reevaluated` one follows for each
candidate, `rescored` ends it together with the run's new hash of the problem. What was cut short is gone on with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from evolve.errors import RunError
from evolve.population import Store, Writer
from evolve.population.writer import Change
from evolve.problem import Problem
from evolve.runner import confirm
from evolve.search import Search
from evolve.search.randomness import draw_seed
from evolve.types import Evaluation, Files, StageOutcome, Status

if TYPE_CHECKING:
    from evolve.runner.runner import Runner

BEGUN, ENDED = "rescoring", "rescored"
IN_A_ROW = 5  # so many evaluator errors in a row end it
UNKNOWN: dict[str, Any] = {
    "score": None,
    "stderr": None,
    "n": None,
    "metrics": {},
}  # columns of what is out of the ranking
UNSEEN: dict[str, Any] = {"behaviour": None, "behaves_as": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescoring:
    """What is evaluated again, in the order of ids. `left` are those of them that are still to come; None: it has not begun."""

    revision: int
    problem: str
    top: int | None
    candidates: Sequence[int]
    unranked: Sequence[int]
    left: Sequence[int] | None = None


def unfinished(store: Store, run_id: str) -> Mapping[str, Any] | None:
    """Returns the data of the rescoring that was cut short, None where there is none."""
    events = store.events_of(run_id, [BEGUN, ENDED])
    return events[-1].data if events and events[-1].kind == BEGUN else None


def planned(store: Store, run_id: str, problem: Problem, search: Search, top: int | None) -> Rescoring:
    """Returns the rescoring that was cut short, where it was of the problem as it is now, else a new one."""
    known = unfinished(store, run_id)
    if known is not None and known["problem"] == problem.hash and top in (None, known["top"]):
        told = [e for e in store.events_of(run_id, ["reevaluated"]) if e.data["revision"] == known["revision"]]
        done = {event.candidate for event in told if event.data["status"] != Status.EVALUATOR_ERROR}
        return Rescoring(**known, left=[candidate for candidate in known["candidates"] if candidate not in done])
    rows = store.rescorable(run_id)
    ranked = sorted((row for row in rows if row["score"] is not None), key=lambda row: search.key(row["id"]))
    kept = {row["id"] for row in ranked[:top]} | {
        row["id"] for row in rows if top is None or row["origin"] == "initial"
    }
    return Rescoring(
        revision=store.revision(run_id) + 1,
        problem=problem.hash,
        top=top,
        candidates=sorted(kept),
        unranked=sorted(row["id"] for row in ranked if row["id"] not in kept),
    )


def begin(rescoring: Rescoring, search: Search, writer: Writer) -> list[Change]:
    """Returns what is written where it begins."""
    same = {name: getattr(rescoring, name) for name in ("revision", "problem", "top")}
    ids = {"candidates": list(rescoring.candidates), "unranked": list(rescoring.unranked)}
    search.enter(BEGUN, {**same, **ids})
    unseen = [writer.candidate_columns(candidate, **UNSEEN) for candidate in rescoring.candidates]
    unranked = [writer.candidate_columns(candidate, **UNKNOWN, **UNSEEN) for candidate in rescoring.unranked]
    return [writer.log(search.take_events()), *unseen, *unranked]


async def carry_out(runner: Runner, rescoring: Rescoring, **settings: Any) -> None:
    """Evaluates what is left and tells it in the order of ids; the last one is written with the run's settings.

    Raises RunError where that can't end: the evaluator or the machine is at fault, the money is used up, or nobody is ok.
    """
    left = list(rescoring.candidates if rescoring.left is None else rescoring.left)
    free = asyncio.Semaphore(runner.evaluator.slots)
    work = {candidate: asyncio.create_task(_evaluated(runner, candidate, free)) for candidate in left}
    scores = [runner.search.score(candidate) for candidate in rescoring.candidates if candidate not in work]
    best = max((score for score in scores if score == score), default=None)
    faults, last = 0, Evaluation(status=Status.OK)
    try:
        for candidate, task in work.items():
            last = await task
            files, facts = await _facts(runner, candidate)
            if confirm.is_due(last, best):  # as a run does
                last = await confirm.confirmed(partial(_again, runner, files, facts), runner.problem, last)
            best = last.score if confirm.is_due(last, best) else best
            faults = faults + 1 if last.status is Status.EVALUATOR_ERROR else 0
            if candidate in runner.asks.cut or last.status is Status.INFRA or faults == IN_A_ROW:
                raise RunError(_said(runner, candidate, last))
            await runner.writer.write(*runner.retold(candidate, files, last, rescoring.revision))
    finally:
        for task in work.values():
            task.cancel()
        await asyncio.gather(*work.values(), return_exceptions=True)
    if runner.search.best is None and rescoring.candidates:
        raise RunError(
            f"no candidate is ok with the problem as it is now (the last: {last.status}); mend it and rescore again"
        )
    runner.search.enter(ENDED, {"revision": rescoring.revision})
    ended = [runner.writer.log(runner.search.take_events()), runner.writer.run_columns(**settings)]
    await runner.writer.write(*ended)


async def _evaluated(runner: Runner, candidate: int, free: asyncio.Semaphore) -> Evaluation:
    async with free:
        files, facts = await _facts(runner, candidate)
        return await runner.evaluator.evaluate(
            runner.problem, files, thresholds={}, done=(), on_stage=lambda outcome: None, **facts
        )


async def _again(runner: Runner, files: Files, facts: Mapping[str, Any], replicate: int) -> StageOutcome:
    return await runner.evaluator.measure(runner.problem, files, replicate=replicate, **facts)


async def _facts(runner: Runner, candidate: int) -> tuple[Files, dict[str, Any]]:
    found = await asyncio.to_thread(runner.store.candidate, runner.writer.run_id, candidate)
    seed, serve = draw_seed(runner.search.seed, candidate), runner.asks.of(candidate)
    return found.files, {"candidate": candidate, "draw_seed": seed, "serve": serve}


def _said(runner: Runner, candidate: int, evaluation: Evaluation) -> str:
    last = (evaluation.feedback.strip().splitlines() or ["no reason given"])[-1]
    why = runner.reason or f"ended as {evaluation.status}: {last}"
    return f"candidate {candidate}: {why}; mend it, and 'evolve rescore {runner.writer.run_id}' goes on"
