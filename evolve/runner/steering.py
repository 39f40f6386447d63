"""Steering: what a person wants of a search becomes an event, durable together with the answer to the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evolve import checks
from evolve.errors import EvolveError, RunError, StoreError, UsageError
from evolve.population.store import Row
from evolve.population.writer import Change
from evolve.proposer import bans
from evolve.runner.budget import Budget
from evolve.types import Event, Files, Prompt

if TYPE_CHECKING:
    from evolve.runner.runner import Runner

BUDGETS = tuple(Budget.__dataclass_fields__)


class Steering:
    """Carries out the `steer` messages of a run's inbox, and repeats those of a record. Belongs to the runner's event loop."""

    def __init__(self, runner: Runner, write: Callable[..., Any]):
        self._runner, self._write = runner, write

    def take(self, message: Row) -> None:
        """Carries out a message, or answers why not. Event and answer are one transaction: a kill leaves both or none."""
        runner, body = self._runner, message["body"]
        try:
            if runner.repeats:
                raise RunError("a replay is steered as its record was; start a run of its own to steer")
            done, changes = self._add(body) if body["do"] == "add" else self._steer(body)
        except StoreError:
            raise  # what was begun is not undone: the run ends
        except EvolveError as error:
            runner.note("steer", f"refused: {error}")
            self._write(runner.writer.answer(message["id"], {"error": str(error)}))
        else:
            runner.note("steer", done)
            self._write(*changes, runner.writer.answer(message["id"], {"done": done}))

    def repeat(self, event: Event) -> None:
        """Does what a person did in a record, but for pausing, and adds the candidates that elites became."""
        runner = self._runner
        if event.kind == "added":
            found = runner.recorded(event.candidate or 0)
            made = event.data["origin"], event.data.get("parent")
            _, changes = runner.add(found.files, found.title, event.data["islands"][0], *made)
        else:
            changes = [] if event.data["do"] in ("pause", "go") else self._carry_out(event.data)[1]
            changes.append(self._event(event.data))
        self._write(*changes)

    def _steer(self, body: Mapping[str, Any]) -> tuple[str, list[Change]]:
        done, changes = self._carry_out(body)
        return done, [*changes, self._event(body)]

    def _event(self, data: Mapping[str, Any]) -> Change:
        self._runner.search.enter("steered", data)
        return self._runner.writer.log(self._runner.search.take_events())

    def _carry_out(self, body: Mapping[str, Any]) -> tuple[str, list[Change]]:
        """Does what goes beyond the event; returns what is done, in words. Raises UsageError or RunError."""
        runner, do, said = self._runner, body["do"], self._runner.search.steered.now
        onward = f"from candidate {runner.search.size + 1} on"
        if do == "pause":
            return "paused: what runs ends, nothing new starts", [runner.hold(True)]
        if do == "go":
            return "goes on", [runner.hold(False)]
        if do == "budget":
            return self._budget(body["name"], body["value"])
        if do == "weight":
            checks.number(f"weight {body['name']}", body["value"], 0)
            runner.search.strategy.operators.weighing(body["name"], body["value"])
            return f"{body['name']} is drawn with weight {body['value']:g} {onward}", []
        if do == "hint":
            return f"shown in prompts {onward}", []
        if do == "clear":
            return f"{len(said.hints)} hints are shown no more {onward}", []
        if do not in ("ban", "unban"):
            raise UsageError(f"steer {do}: not understood by this version")
        bans.pattern(body["line"])
        if (body["line"] in said.bans) == (do == "ban"):
            raise UsageError(f"{do} {body['line']}: banned are {', '.join(said.bans) or 'no lines'}")
        return f"{'banned' if do == 'ban' else 'allowed again'} {onward}", []

    def _budget(self, name: str, value: Any) -> tuple[str, list[Change]]:
        runner = self._runner
        before, budget = getattr(runner.budget, name), replace(runner.budget, **{name: value})
        if runner.search.window is not None:
            budget.check_repeatable()
        if budget.usd is not None and runner.provider.ceiling_usd(Prompt(system="", user="")) is None:
            raise UsageError(f"budget.usd={value}: {runner.provider.model} has no known price")
        return f"budget.{name} is {value}, was {before}", [runner.allow(budget)]

    def _add(self, body: Mapping[str, Any]) -> tuple[str, list[Change]]:
        runner = self._runner
        files, island, count = self._files(body["files"]), body["island"], len(runner.search.islands)
        if island is not None and not 0 <= island < count:
            raise UsageError(f"--island {island}: the run has the islands 0 to {count - 1}")
        candidate, changes = runner.add(files, body["title"], runner.search.size % count if island is None else island)
        return f"candidate {candidate}: 'evolve show' says what becomes of it", changes

    def _files(self, given: Files) -> Files:
        """Returns a whole program: what is given, over the initial program; a lone file may have any name."""
        problem = self._runner.problem
        if len(given) == 1 and len(problem.edit) == 1:
            given = {problem.edit[0]: next(iter(given.values()))}
        strange = [path for path in given if path not in problem.edit]
        if strange or not given:
            raise UsageError(
                f"add: {', '.join(strange) or 'no file'}: not of the files that may change ({', '.join(problem.edit)})"
            )
        return {**(problem.initials[0] if problem.initials else {}), **given}
