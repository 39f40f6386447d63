"""Runs one stage of one candidate in the worker: every instance driven, scored, aggregated into a StageOutcome."""

from __future__ import annotations

import contextlib
import inspect
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evaluators import gpu, machine
from evaluators.asking import Ask, Asking
from evaluators.build import build
from evaluators.harness import command, wire
from evaluators.lm import BadQuestion, Lm
from evaluators.pool import StageJob
from evaluators.sandbox import Built, Clock, Failure, Sandbox, Zygote
from evaluators.scoring import ARTIFACT_BYTES, Scorer, mean
from evaluators.watch import clock_s
from evolve.errors import EvaluatorError
from evolve.problem import TEXT, Instance, Invalid, Result
from evolve.types import OUTPUT, Files, StageOutcome, Status, worst

FEEDBACK = 4_000  # characters in an outcome
CASE_FEEDBACK = 1_000  # in one instance of several
INCUMBENT = "incumbent"  # the service that lends the best output so far


class CandidateProxy:
    """What `drive` gets: `candidate.<name>(...)` calls into the sandbox; `services` are references to hand over.

    `files` and `text` (the file that changes, or the first of several) are what the candidate is. `restart()` ends its
    process: the next call is the first of a new one. In a block `with candidate.replaced(files)` the calls go to another
    program, such as a reference, in processes of its own; what goes wrong there is evaluator.py's fault. `ready()` starts
    the process and loads it, which the next call does otherwise; `cpu_s()` is what its processes that are there have used.
    `evaluators.timing` uses these.
    """

    def __init__(self, run: StageRun, call: Callable[..., Any], services: Mapping[str, wire.Service]):
        self._call = call
        self.files = run.files
        self.text = run.text
        self.services = services
        self.restart = run.restart
        self.replaced = run.replaced
        self.ready = run.ready
        self.cpu_s = run.cpu_s
        self.is_python = run.is_python

    def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Calls any function by name (for names that this object has itself)."""
        return self._call(name, args, kwargs)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(name, args, kwargs)


@dataclass(slots=True, kw_only=True)
class Case:
    """The outcome of one instance."""

    instance: Instance
    status: Status = Status.OK
    result: Result = field(default_factory=lambda: Result({}))
    feedback: str = ""


class StageRun:
    """One candidate's stage. Made for one `run`; one process for all instances, a new one after a failure in `partial`."""

    def __init__(self, scorer: Scorer, zygote: Zygote, job: StageJob, ask: Ask):
        self._scorer = scorer
        self._zygote = zygote
        self._job = job
        self._stage = job.problem.stage(job.stage)
        self._clock = Clock(self._stage.timeout_s, self._stage.wall_s)
        self._sandbox: Sandbox | None = None
        self._built: Built = {}
        self._fallen: Failure | None = None  # of a process that `drive` has replaced
        self.files = job.files
        self._lends = job.stage in job.problem.lending and not job.holdout
        self._asking = Asking(scorer, job, self._clock, ask)
        self._services: Mapping[str, Callable[..., Any]] = {}
        self._cpu_s = 0.0
        self._memory_mb = 0.0

    def run(self) -> StageOutcome:
        with self._asking.lent():
            outcome = self._ran()
        ended = self._asking.ended  # stands, whatever evaluator.py made of it
        if ended is None:
            return outcome
        metrics = {**self._asking.last_value(), **outcome.metrics}
        return replace(outcome, status=ended.status, feedback=ended.reason[:FEEDBACK], score=None, metrics=metrics)

    def _ran(self) -> StageOutcome:
        try:
            cases = self._cases()
            sandbox = self._sandbox
            self._close()
            if sandbox is not None and sandbox.failure is not None:
                raise sandbox.failure
            return self._outcome(cases)
        except Failure as failure:  # of the process's end, or of aggregate's
            return self._failed(failure.status, failure.reason)
        except EvaluatorError as error:
            return self._failed(Status.EVALUATOR_ERROR, str(error))
        finally:
            self._close()

    def _prepare(self) -> None:
        if self._stage.profile == "gpu" and not gpu.assigned():
            raise Failure(Status.SKIPPED, "the stage needs a GPU (profile: gpu), and this worker has none")
        if self._job.problem.build is not None:
            self._built = build(self._zygote, self._job.problem, self._stage, self.files)

    def _cases(self) -> list[Case]:
        self._prepare()
        cases: list[Case] = []
        for index, instance in self._chosen(self._scorer.instances(self._job)):
            self._asking.instance = index
            cases.append(self._case(instance))
            if self._asking.ended is not None:
                break
            if cases[-1].status is not Status.OK and not self._stage.partial:
                break
        return cases

    def _chosen(self, instances: list[Instance]) -> list[tuple[int, Instance]]:
        """Returns the instances to run with their indices: all, or the one that the job names."""
        only, all_of_them = self._job.only, list(enumerate(instances))
        if not only:
            return all_of_them
        named = [one for one in all_of_them if only in (one[1].name, str(one[0]))]
        if not named:
            names = ", ".join(instance.name for instance in instances[:10] if instance.name)
            told = f"; some names: {names}" if names else ""
            raise EvaluatorError(
                f"stage '{self._stage.name}' has no instance '{only}', only 0 to {len(instances) - 1}{told}"
            )
        return [max(named, key=lambda one: one[1].name == only)]  # the first, rather by its name

    def _case(self, instance: Instance) -> Case:
        try:
            output = self._drive(instance)
            kept = {OUTPUT: _encoded(output)} if self._lends else {}
            result = self._scorer.score(instance, output)
            result = replace(result, artifacts={**result.artifacts, **kept})
            return Case(instance=instance, result=result, feedback=result.feedback)
        except Failure as failure:
            failure = self._failure() or failure  # whatever drive made of it
            printed = self._close()
            text = failure.reason + (f"\nlast output:\n{printed}" if printed else "")
            return Case(instance=instance, status=failure.status, feedback=text, result=self._counted())

    def _counted(self) -> Result:
        """What a failed instance counts as, where the stage tolerates failures."""
        value = self._stage.failure_value
        return Result({} if not self._stage.partial or value is None else {self._job.problem.objective: value})

    def _drive(self, instance: Instance) -> Any:
        lent = {INCUMBENT: self._asking.incumbent} if self._lends else {}
        self._services, self._fallen = {**lent, **self._scorer.services(instance)}, None
        if self._clock.left_s <= 0:
            raise self._clock.overrun()
        if self._job.problem.entry == TEXT:
            return self._scorer.drive(instance, self._proxy(self._read))
        self._open()
        try:
            output = self._scorer.drive(
                instance, self._proxy(self._command if self._job.problem.command else self._call)
            )
        except EvaluatorError:
            if self._failure() is None:
                raise
        if failure := self._failure():  # the first failure stands, whatever drive made of it
            raise failure
        return output

    @property
    def is_python(self) -> bool:
        return not self._job.problem.command

    def ready(self) -> None:
        self._open()

    def cpu_s(self) -> float:
        return sum(map(clock_s, self._zygote.pids()))

    def _failure(self) -> Failure | None:
        return self._fallen or (self._sandbox.failure if self._sandbox is not None else None)

    def _proxy(self, call: Callable[..., Any]) -> CandidateProxy:
        return CandidateProxy(self, call, {name: wire.Service(name) for name in self._services})

    @property
    def text(self) -> str:
        return self.files.get(self._job.problem.edit[0], "")

    def restart(self) -> None:
        """Ends the process, so that the next call is the first of a new one. Raises Failure where it had failed."""
        sandbox = self._sandbox
        self._close()
        self._fallen = self._fallen or (sandbox.failure if sandbox is not None else None)
        if self._fallen is not None:
            raise self._fallen

    @contextlib.contextmanager
    def replaced(self, files: Files, *, built: bool = True) -> Iterator[None]:
        """Has another program called in a block; neither its time nor its failures are the candidate's."""
        self.restart()
        kept = self.files, self._built, self._clock.turn_s
        used = self._cpu_s, self._memory_mb
        try:
            self.files = files
            self._clock.turn_s = 0.0
            if built:
                self._prepare()
            yield
            self.restart()
        except Failure as failure:
            raise EvaluatorError(f"evaluator.py: the program put in the candidate's place: {failure.reason}") from None
        finally:
            self._close()
            self.files, self._built, self._clock.turn_s = kept
            self._cpu_s, self._memory_mb = used
            self._fallen = None

    def _read(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Stands for the candidate that is text: the default `drive` gets it; it has nothing else to call."""
        if name != TEXT:
            raise EvaluatorError(f"evaluator.py: drive calls candidate.{name}; with entry: text, use .text and .files")
        return self.text

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._open().call(name, args, kwargs, [INCUMBENT] if self._lends else [])

    def _command(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a candidate that is a command: with a name as a line of JSON, without one by running it on one input."""
        try:
            if name:
                line = command.to_json({"call": name, "args": args, "kwargs": kwargs})
            elif kwargs or len(args) > 1:
                raise TypeError("a command is run on one input; to ask it and to lend it services, write a drive")
            else:
                line = command.to_text(args[0]) if args else ""
        except (TypeError, ValueError) as error:
            raise EvaluatorError(f"evaluator.py: {error}") from None
        return self._call(name, (line,), {})

    def _open(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._new_sandbox()
            self._sandbox.open(self._job.problem, self._stage, self.files, self._built)
        return self._sandbox

    def _new_sandbox(self) -> Sandbox:
        return Sandbox(self._zygote, self._clock, self._answer)

    def _close(self) -> str:
        """Ends the candidate's process; returns the end of what it printed."""
        if self._sandbox is None:
            return ""
        cpu_s, memory_mb, printed = self._sandbox.close()
        self._sandbox = None
        self._cpu_s += cpu_s
        self._memory_mb = max(self._memory_mb, memory_mb)
        return printed

    def _answer(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        """Runs a service. What the candidate got wrong, and Invalid, is raised in the candidate; all else is ours."""
        function = self._services.get(name)
        try:
            if function is None:
                raise Invalid(f"there is no service '{name}'")
            with contextlib.suppress(ValueError):  # builtins without a signature
                inspect.signature(function).bind(*args, **kwargs)
        except (TypeError, ValueError, Invalid) as error:
            return ["raised", f"{name}: {error}"]
        try:
            with self._scorer.guard():
                value = function(*args, **kwargs)
                wire.encode(value)
            return ["return", value]
        except Failure as refusal:
            if self._asking.ended is not None:
                raise
            return ["raised", refusal.reason]
        except EvaluatorError as error:
            lent = isinstance(getattr(function, "__self__", function), Lm)
            if lent and isinstance(error.__cause__, BadQuestion):
                return ["raised", f"{name}: {error.__cause__}"]
            raise

    # ------------------------------------------------------------ summing up

    def _outcome(self, cases: list[Case]) -> StageOutcome:
        failed: list[Status] = [case.status for case in cases if case.status != Status.OK]
        tolerated = self._stage.partial and len(failed) < len(cases)
        instances = tuple(_row(case) for case in cases)
        feedback = _joined(cases)
        if failed and not tolerated:
            return self._failed(worst(failed), feedback, metrics=_mean_metrics(cases), instances=instances)
        results = [case.result for case in cases]
        weights = [case.instance.weight for case in cases]
        metrics = self._scorer.aggregate(results, weights)
        return self._made(
            status=Status.OK,
            metrics=metrics,
            score=self._job.problem.score_of(metrics),
            feedback=feedback[:FEEDBACK],
            features=mean([result.features for result in results], weights),
            artifacts=_artifacts(cases),
            instances=instances,
        )

    def _failed(self, status: Status, feedback: str, **facts: Any) -> StageOutcome:
        return self._made(status=status, feedback=feedback[:FEEDBACK], **facts)

    def _made(self, **facts: Any) -> StageOutcome:
        return StageOutcome(
            stage=self._stage.name,
            curve=self._asking.curve,
            seconds=self._clock.elapsed_s,
            turn_s=self._clock.turn_s,
            cpu_s=self._cpu_s,
            memory_mb=self._memory_mb,
            node=platform.node(),
            isolation=self._zygote.level,
            node_class=machine.node_class(),
            **facts,
        )


def _encoded(output: Any) -> bytes:
    """Returns an output as it is kept to be lent. Raises Failure where it is too large, EvaluatorError where it is no data."""
    try:
        body = wire.encode(output, ARTIFACT_BYTES)
        wire.decode(body)  # by whoever it is lent to
    except (wire.TooLarge, wire.WireError) as error:
        raise Failure(Status.LIMIT, f"the output is too large to be lent: {error}") from None
    except TypeError as error:
        raise EvaluatorError(
            f"evaluator.py: incumbent: true lends what drive returns, and that is no data: {error}"
        ) from None
    return body


def _mean_metrics(cases: list[Case]) -> dict[str, float]:
    """What was measured before the first failure."""
    done = [case for case in cases if case.status is Status.OK]
    return mean([case.result.metrics for case in done], [case.instance.weight for case in done])


def _row(case: Case) -> Mapping[str, Any]:
    return {
        "name": case.instance.name,
        "status": case.status.value,
        "metrics": dict(case.result.metrics),
        "feedback": case.feedback[:CASE_FEEDBACK],
    }


def _joined(cases: list[Case]) -> str:
    if len(cases) == 1:
        return cases[0].feedback
    ordered = sorted(cases, key=lambda case: case.status is Status.OK)  # failures first: the text is cut at its end
    return "\n".join(_named(case) for case in ordered if case.feedback)


def _named(case: Case) -> str:
    name = case.instance.name
    return case.feedback if not name or case.feedback.startswith(name) else f"{name}: {case.feedback}"


def _artifacts(cases: list[Case]) -> dict[str, Any]:
    if len(cases) == 1:
        return dict(cases[0].result.artifacts)
    return {f"{i}/{name}": data for i, case in enumerate(cases) for name, data in case.result.artifacts.items()}
