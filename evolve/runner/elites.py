"""Elites: the best of each island, whose constants are tuned further: by idle evaluators, and where the search stagnates."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from evolve.population.schema import ROUND
from evolve.runner.pending import stored_outcomes
from evolve.runner.tuning import Tuning, Values
from evolve.search.randomness import generator
from evolve.search.tuners import METHODS, load
from evolve.types import Evaluation, Status

if TYPE_CHECKING:
    from evolve.runner.runner import Runner

Work = Coroutine[Any, Any, None]
Round = tuple[int, int]  # an elite, and which of its rounds


class Elites:
    """Says what is tried next of told candidates. Belongs to the runner's event loop.

    Round 1 of an elite is for idle evaluators, round n + 1 follows the n-th answer to stagnation that names it. What is left of
    a round follows from its stored trials: a resume goes on with it, or finds that nothing is left. A text that is better
    through all stages becomes a candidate; the stages of one that is not are stored behind the round's trials.
    """

    def __init__(self, runner: Runner, write: Callable[..., Any], evaluations: int):
        self._runner, self._write, self._most = runner, write, evaluations
        self._waiting: dict[Round, deque[Callable[[], Work]]] = {}  # of each round that has begun

    def due(self) -> Work | None:
        """Returns the next step of what answers to stagnation asked for."""
        search = self._runner.search
        return self._next((elite, 2 + n) for elite in search.elites() for n in range(search.to_tune[elite]))

    def spare(self) -> Work | None:
        """Returns the next step for an idle evaluator."""
        return self._next((elite, 1) for elite in self._runner.search.elites())

    def _next(self, rounds: Iterable[Round]) -> Work | None:
        for one in rounds:
            waiting = self._waiting.setdefault(one, deque([partial(self._begin, one)]))
            if waiting:
                return waiting.popleft()()
        return None

    async def _begin(self, one: Round) -> None:
        await self._write()  # what the elite came to is stored
        if (tuning := await asyncio.to_thread(self._stored, *one)) is not None:
            self._go_on(one, tuning)

    def _stored(self, elite: int, number: int) -> Tuning | None:
        """Returns a round as far as it came, None where nothing is left to do."""
        runner, run_id, store = self._runner, self._runner.writer.run_id, self._runner.store
        rng = generator(runner.search.seed, f"tuning, round {number}", elite)
        load(method := METHODS[rng.integers(len(METHODS))])
        known = {row["number"]: row["score"] for row in store.trial_rows(run_id, elite)}
        stored = {place % ROUND: score for place, score in known.items() if place // ROUND == number}
        found, stages = store.candidate(run_id, elite), tuple(stored_outcomes(store, run_id, elite))
        score = runner.search.score(elite)
        before = Evaluation(status=Status.OK, score=score, metrics=found.metrics, stages=stages)
        how: dict[str, Any] = {"method": method, "most": self._most, "rng": rng, "stored": stored}
        tuning = Tuning.begun(found.files, runner.problem.edit, runner.problem.tune.stage, before, **how)
        return tuning if len(stored) <= self._most else None

    def _go_on(self, one: Round, tuning: Tuning) -> None:
        """Goes on where the last batch has ended: by the next one, or by the best text unless that is known."""
        trials = tuning.next()
        self._waiting[one] += [partial(self._try, one, tuning, *trial) for trial in trials.items()]
        if not trials and tuning.improved and not self._runner.proposals.is_known(tuning.files):
            self._waiting[one].append(partial(self._run_through, one, tuning))

    async def _try(self, one: Round, tuning: Tuning, number: int, vector: Values) -> None:
        if await self._runner.try_constants(one[0], tuning, number, vector, first=one[1] * ROUND):
            self._go_on(one, tuning)

    async def _run_through(self, one: Round, tuning: Tuning) -> None:
        (elite, number), runner = one, self._runner
        evaluation = await runner.run_through_alone(elite, tuning.files)
        tuning.end(evaluation, runner.problem)
        better = tuning.won and not runner.proposals.is_known(tuning.files)
        own = [outcome for outcome in evaluation.stages if better and runner.proposals.stands(outcome)]
        aside = [outcome for outcome in evaluation.stages if not better or not runner.proposals.stands(outcome)]
        runner.spent.evaluations += len(aside)
        numbered = enumerate(aside, number * ROUND + self._most)
        rows = [runner.writer.trial(elite, place, tuning.vector, outcome) for place, outcome in numbered]
        self._write(*rows, *(runner.add_tuned(tuning.files, elite, own) if better else []))
