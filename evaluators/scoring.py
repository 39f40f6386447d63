"""A problem's evaluator.py as the worker uses it: functions with the problem's parameters, checked metrics, plain faults.

Runs in the worker, which is trusted; no candidate's code is ever imported here.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from evaluators.harness.session import own_frames
from evaluators.pool import StageJob
from evaluators.sandbox import Failure
from evolve.errors import EvaluatorError
from evolve.problem import Instance, Invalid, Problem, Result, Stage
from evolve.types import HOLDOUT, Status

ARTIFACT_BYTES = 16 << 20
KEY = "hidden/key"
MOST = 1_000_000  # instances of a stage


class Scorer:
    """The functions of one problem's evaluator.py, loaded once; every fault in them raises EvaluatorError."""

    def __init__(self, problem: Problem):
        self.problem = problem
        self.lent: dict[str, Any] = {}  # what the present stage gives to functions that name it: lm, report, checkpoint
        self._fixed: dict[str, list[Instance]] = {}
        self._key = _key(problem.path / KEY)
        with self.guard():
            self._module = _load(problem.path)
        if self._function("score") is None:
            raise EvaluatorError(f"{problem.path / 'evaluator.py'}: has no function 'score'; a problem needs one")

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turns what evaluator.py raises into Failure (Invalid) or EvaluatorError with file, line and text."""
        try:
            yield
        except (Failure, EvaluatorError):
            raise
        except Invalid as error:
            raise Failure(Status.INVALID, str(error)) from None
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            raise EvaluatorError(own_frames(error, str(self.problem.path)).strip()) from error

    def instances(self, job: StageJob) -> list[Instance]:
        """Returns a job's instances: for draw=fixed always the same, whatever the run's seed.

        All follow from public facts, so that whoever has read evaluator.py can draw them too, unless there is hidden/key.
        """
        stage = job.problem.stage(job.stage)
        if job.holdout:
            return self._draw(replace(stage, name=HOLDOUT), (HOLDOUT,))
        if stage.draw != "fixed":
            fresh = (job.draw_seed,) if stage.draw == "fresh" else ()
            return self._draw(stage, ("instances", stage.name, *fresh, job.replicate))
        if stage.name not in self._fixed:
            self._fixed[stage.name] = self._draw(stage, ("instances", stage.name))
        return self._fixed[stage.name]

    def drive(self, instance: Instance, candidate: Any) -> Any:
        """Has the candidate work on one instance; by default one call with the input, and services by keyword."""
        drive = self._function("drive")
        with self.guard():
            if drive is not None:
                return drive(instance, candidate)
            args = () if instance.input is None else (instance.input,)
            return candidate.call(self.problem.entry, *args, **candidate.services)

    def services(self, instance: Instance) -> Mapping[str, Callable[..., Any]]:
        """Returns what the candidate may call while it works on one instance."""
        services = self._function("services")
        with self.guard():
            return {} if services is None else dict(services(instance))

    def score(self, instance: Instance, output: Any) -> Result:
        """Scores one output. Raises Failure (invalid) for a refused output and for metrics that are not finite."""
        score = self._function("score")
        assert score is not None
        with self.guard():
            return self._checked(score(instance, output), "score")

    def aggregate(self, results: Sequence[Result], weights: Sequence[float]) -> dict[str, float]:
        """Returns the metrics of a stage; by default each metric's weighted mean over the instances."""
        aggregate = self._function("aggregate")
        with self.guard():
            given = (
                mean([result.metrics for result in results], weights) if aggregate is None else aggregate(list(results))
            )
            return dict(self._checked(given, "aggregate").metrics)

    def model(self, prompt: str, system: str) -> str:
        """Returns what evaluator.py's scripted model answers, where there is no other. Raises EvaluatorError without one."""
        model = self._function("model")
        if model is None:
            raise EvaluatorError(
                "evaluator.py asks a model, and llm=offline has none: define model(prompt, system) in evaluator.py, which "
                "answers in its place, or choose another one, for example llm=litellm"
            )
        with self.guard():
            answer = model(prompt, system)
        if not isinstance(answer, str):
            raise EvaluatorError(f"evaluator.py: model() returned {type(answer).__name__}, not text")
        return answer

    def _function(self, name: str) -> Callable[..., Any] | None:
        """Returns a function of evaluator.py that gets, by keyword, the parameters which it names."""
        function = getattr(self._module, name, None)
        if function is None:
            return None
        try:
            names = inspect.signature(function).parameters
        except (TypeError, ValueError):
            raise EvaluatorError(
                f"evaluator.py: {name} is {str(function)[:80]}, whose parameters are unknown; write a def"
            ) from None
        params = {key: value for key, value in {**self.lent, **self.problem.params}.items() if key in names}

        def called(*args: Any) -> Any:
            lacking = [
                p.name for p in list(names.values())[len(args) :] if p.default is p.empty and p.name not in params
            ]
            if "checkpoint" in lacking:
                raise EvaluatorError(
                    f"evaluator.py: {name}() names 'checkpoint', which its stage does not keep; write checkpoint: true under "
                    "the stage in problem.yaml, or checkpoint=None in the function for stages without"
                )
            return function(*args, **params)

        return called

    def _draw(self, stage: Stage, key: tuple[Any, ...]) -> list[Instance]:
        instances = self._function("instances")
        if instances is None:
            return [Instance()]
        with self.guard():
            given = iter(instances(stage, _generator((*self._key, *key))))
            drawn = list(itertools.islice(given, stage.instances or MOST))
        if not drawn:
            raise EvaluatorError(f"evaluator.py: instances() gave none for stage '{stage.name}'")
        if stage.instances is None and len(drawn) == MOST:
            raise EvaluatorError(
                f"evaluator.py: instances() gave {MOST:,} for stage '{stage.name}', perhaps without end; say how many, "
                "'instances: 10' under the stage in problem.yaml"
            )
        return [item if isinstance(item, Instance) else Instance(item) for item in drawn]

    def _checked(self, given: Any, where: str) -> Result:
        result = given if isinstance(given, Result) else Result(self._metrics(given, where))
        metrics = {str(name): _number(value, f"{where}: metric '{name}'") for name, value in result.metrics.items()}
        for name in (*self.problem.objectives, *self.problem.constraints):
            if name not in metrics:
                role = "an objective" if name in self.problem.objectives else "a constraint"
                raise EvaluatorError(f"evaluator.py: {where} gave no '{name}', which problem.yaml makes {role}")
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise Failure(Status.INVALID, f"{name} was {value}")
        features = {str(name): _number(value, f"{where}: feature '{name}'") for name, value in result.features.items()}
        features = {name: value for name, value in features.items() if math.isfinite(value)}
        return Result(metrics, str(result.feedback), features, _artifacts(result))

    def _metrics(self, given: Any, where: str) -> Mapping[str, Any]:
        if isinstance(given, Mapping):
            return given
        return {self.problem.objective: _number(given, where)}


def mean(values: Sequence[Mapping[str, float]], weights: Sequence[float]) -> dict[str, float]:
    """Returns the weighted mean of each key over the mappings that have it."""
    means = {}
    for name in dict.fromkeys(itertools.chain.from_iterable(values)):
        pairs = [(item[name], weight) for item, weight in zip(values, weights, strict=True) if name in item]
        total = sum(weight for _, weight in pairs)
        try:
            means[name] = math.fsum(value * weight for value, weight in pairs) / total if total else 0.0
        except OverflowError:
            means[name] = math.inf  # refused where it is checked
    return means


def _load(folder: Path) -> ModuleType:
    path = folder / "evaluator.py"
    spec = importlib.util.spec_from_file_location("evaluator", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(folder))  # its helper modules; a worker serves few problems, and drops them with the scorer
    sys.modules["evaluator"] = module
    spec.loader.exec_module(module)
    return module


def unload(folder: str) -> None:
    """Forgets the modules of a folder, so that another's of the same name are its own."""
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(folder + "/"):
            del sys.modules[name]


def _key(file: Path) -> tuple[str, ...]:
    """Returns what the problem's author adds to all draws, which no candidate can read; nothing without the file."""
    return (hashlib.sha256(file.read_bytes()).hexdigest(),) if file.is_file() else ()


def _generator(key: tuple[Any, ...]) -> Any:
    import numpy

    entropy = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:16], "big")
    return numpy.random.Generator(numpy.random.PCG64(entropy))


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool | int | float) or getattr(value, "shape", None) == ():  # numpy's scalars
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise EvaluatorError(f"evaluator.py: {where} is {type(value).__name__}, not a number: {str(value)[:80]}")


def _artifacts(result: Result) -> dict[str, bytes]:
    given = {
        str(name): data.encode() if isinstance(data, str) else bytes(data) for name, data in result.artifacts.items()
    }
    size = sum(map(len, given.values()))
    if size > ARTIFACT_BYTES:
        raise EvaluatorError(f"evaluator.py: artifacts of {size:,} bytes; at most {ARTIFACT_BYTES:,} per instance")
    return given
