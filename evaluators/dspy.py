"""DSPy: instructions, demonstrations or the source of a dspy.Module as the candidate, a metric and a train set as the problem.

A module runs beside the scorer, one whose source may change in the sandbox; its calls are the run's (see `evaluators.lm`):
counted, bounded, stored. Does not cover tools, images and streaming. Needs the extra `dspy`.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from evaluators.lm import BadQuestion
from evolve.capture import Capture
from evolve.errors import UsageError
from evolve.problem import Instance, Invalid, Result

DEMOS = "demos.json"
CALLS = 20  # of the model, that a candidate's source may make for one example
ASKING = """# asks the module of program.py, with the run's model; not to be changed
from __future__ import annotations

from typing import Any

import dspy
from program import {name}

Invalid = ValueError


{engine}

def answer(inputs, lm):
    with dspy.context(lm=dspy.LM("evolve/run", engine=_Engine(lm), cache=False, num_retries=0)):
        return dict({name}()(**inputs))
"""


def problem(
    program: Callable[[], Any],
    metric: Callable[..., Any],
    trainset: Iterable[Any],
    *,
    parts: Sequence[str] = ("instructions",),
    devset: Iterable[Any] = (),
    name: str = "dspy",
    **keys: Any,
) -> Any:
    """Returns an `evolve.Problem`; `keys` are more of its keywords (`model` answers where the run has no model).

    `program` makes the module: a class or a function. The candidate has a file for each predictor's instructions, one for
    all `demos`, or both (`parts`); with `parts=["source"]` it is the source of `program`, with what that uses. `metric(example,
    prediction)` is one of DSPy's, also one that returns a prediction with `score` and `feedback`. The `devset` is the hold-out.
    """
    import evolve

    _train, _held = ([Instance(dict(one.inputs()), dict(one)) for one in given] for given in (trainset, devset))
    keys = {**({"holdout": {"instances": len(_held)}} if _held else {}), "name": name, **keys}

    def instances(stage: Any, rng: Any) -> Any:
        return _held if stage.name == "holdout" else _train

    def score(instance: Any, output: Any) -> Any:
        return graded(metric, instance, output)

    if "source" in parts:
        if len(parts) > 1:
            raise UsageError(
                f"parts={list(parts)}: the source holds instructions and demonstrations too; give it alone"
            )

        def services(instance: Any, lm: Any) -> Any:
            return {"lm": counted(lm)}

        engine = inspect.getsource(_Engine)
        captured = Capture({program.__name__: program}, "program.py").files
        if len(captured) > 1:
            raise UsageError(
                f"parts=['source']: {program.__name__} uses an array, which no candidate can read; make it in the module"
            )
        files = {path: text.decode() for path, text in captured.items()}
        files["answer.py"] = ASKING.format(name=program.__name__, engine=engine)
        keys = {"entry": "answer", "edit": ["program.py"], "preload": ["dspy"], **keys}
        return evolve.Problem(score=score, instances=instances, services=services, initial=files, **keys)

    predictors = dict(program().named_predictors())
    files = {}
    if "instructions" in parts:
        files |= {f"{path}.md": predictor.signature.instructions for path, predictor in predictors.items()}
    if "demos" in parts:
        demos = {path: [dict(demo) for demo in predictor.demos] for path, predictor in predictors.items()}
        files[DEMOS] = json.dumps(demos, indent=1, ensure_ascii=False)

    def drive(instance: Any, candidate: Any, lm: Any) -> Any:
        return answer(program(), candidate.files, instance.input, lm)

    keys = {"entry": "text", "edit": list(files), **keys}
    return evolve.Problem(score=score, instances=instances, drive=drive, initial=files, **keys)


def answer(module: Any, files: Mapping[str, str], inputs: Mapping[str, Any], lm: Any) -> Any:
    """Returns the prediction of a module that a candidate's files have changed.

    Raises Invalid for files that can't be read and for an answer that DSPy can't; a stage with `partial: true` counts it.
    """
    import dspy
    from dspy.utils.exceptions import AdapterParseError, LMUnexpectedError

    for path, predictor in module.named_predictors():
        if f"{path}.md" in files:
            predictor.signature = predictor.signature.with_instructions(files[f"{path}.md"])
        if DEMOS in files:
            predictor.demos = [dspy.Example(**demo) for demo in _demos(files[DEMOS]).get(path, [])]
    with dspy.context(lm=dspy.LM("evolve/run", engine=_Engine(lm), cache=False, num_retries=0)):
        try:
            return module(**inputs)
        except AdapterParseError as error:
            raise Invalid(f"the model's answer has no such fields: {error}") from None
        except LMUnexpectedError as error:  # what the engine raised: a call that failed, the run's end
            raise error.__cause__ or error from None


def _demos(text: str) -> dict[str, list[dict[str, Any]]]:
    try:
        demos = json.loads(text)
        if all(isinstance(demo, dict) for several in demos.values() for demo in several):
            return dict(demos)
    except (ValueError, AttributeError, TypeError) as error:
        raise Invalid(f"{DEMOS}: {error}") from None
    raise Invalid(f"{DEMOS}: must map each predictor to a list of demonstrations")


def graded(metric: Callable[..., Any], instance: Instance, prediction: Any) -> Result:
    """Returns what a metric says of a prediction, or of the fields that a candidate's source returned."""
    import dspy

    example = dspy.Example(**instance.secret).with_inputs(*instance.input)
    if not isinstance(prediction, dict):
        said = metric(example, prediction)
    else:
        try:
            prediction = dspy.Prediction(**prediction)
            said = metric(example, prediction)
        except Exception as error:  # noqa: BLE001 whose fault, the fields' or the metric's, nobody can tell
            raise Invalid(f"the metric can't judge {prediction}: {type(error).__name__}: {error}") from None
    feedback = getattr(said, "feedback", "") or f"{instance.input} gave {dict(prediction)}"
    return Result({"score": float(getattr(said, "score", said))}, feedback=feedback)


def counted(lm: Any) -> Callable[..., str]:
    """Returns a model that a candidate may ask CALLS times."""
    asked = 0

    def ask(prompt: Any, *, system: Any = "", temperature: Any = None, max_tokens: Any = None) -> str:
        nonlocal asked
        asked += 1
        if asked > CALLS:
            raise Invalid(f"the module asks the model more than {CALLS} times for one example")
        try:
            return str(lm(prompt, system=system, temperature=temperature, max_tokens=max_tokens))
        except BadQuestion as error:
            raise Invalid(str(error)) from None

    return ask


class _Engine:
    """What dspy.LM calls (its protocol since 3.4): one request, answered by the run's model."""

    def __init__(self, lm: Any):
        self._lm = lm

    def complete(self, request: Any) -> Any:
        from dspy.lm15 import Message, Response, TextPart, Usage

        if request.tools:
            raise Invalid("the module calls tools, which an evaluation's model has not")
        prompt = "\n\n".join(message.text or "" for message in request.messages)
        settings = {name: getattr(request.config, name) for name in ("temperature", "max_tokens")}
        text = self._lm(prompt, system=request.system or "", **settings)
        message, usage = Message.assistant([TextPart(text)]), Usage(input_tokens=0, output_tokens=0, total_tokens=0)
        return Response(id=None, model="run", message=message, finish_reason="stop", usage=usage)
