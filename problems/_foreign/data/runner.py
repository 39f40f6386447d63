"""Runs a folder's own evaluator on the program beside it, in the sandbox; prints one JSON object and nothing else.

Needs Python 3.9 and no package. The folder is copied first, so that its evaluator may write beside itself.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import inspect
import json
import os
import shutil
import signal
import sys
import traceback
import types
from dataclasses import dataclass, field
from typing import Any

FOLDER = "folder"
LARGE = 8 << 20  # bytes of a file
STAND_INS = ("openevolve.evaluation_result", "skydiscover.evaluation.evaluation_result")
RESULTS = ("correct.json", "metrics.json")


@dataclass
class EvaluationResult:
    """Stands in for the class of that name where its package is not installed."""

    metrics: dict[str, Any]
    artifacts: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # what is too large for a file ends it, and is told as a limit
    call = json.load(sys.stdin)
    answer = os.dup(1)
    os.dup2(2, 1)  # what the evaluator prints is no part of the answer
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), FOLDER)
    program, folder, results = (os.path.abspath(name) for name in (call["program"], FOLDER, "results"))
    copy(source, folder)
    os.chdir(folder)
    sys.path[0] = folder
    for name in STAND_INS:
        stand_in(name)
    text = json.dumps(evaluated(call, program, results), default=plain, skipkeys=True).encode()
    with os.fdopen(answer, "wb") as file:
        file.write(text)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # whatever threads it left


def copy(source: str, target: str) -> None:
    """Copies a folder, with the modes of files when they are made: not every level lets them be changed.

    Large files, of which there is no room for one, are links: they can be read, and not written to.
    """
    os.makedirs(target)
    for entry in os.scandir(source):
        into = os.path.join(target, entry.name)
        if entry.is_dir():
            copy(entry.path, into)
            continue
        if entry.stat().st_size > LARGE:
            os.symlink(entry.path, into)
            continue
        made = os.open(into, os.O_WRONLY | os.O_CREAT, entry.stat().st_mode & 0o777 | 0o600)
        with open(entry.path, "rb") as given, os.fdopen(made, "wb") as file:
            shutil.copyfileobj(given, file)


def stand_in(name: str) -> None:
    """Makes a module with EvaluationResult importable, unless its package can be imported."""
    parts = name.split(".")
    if importlib.util.find_spec(parts[0]) is not None:
        return
    for end in range(1, len(parts) + 1):
        sys.modules[".".join(parts[:end])] = types.ModuleType(".".join(parts[:end]))
    sys.modules[name].EvaluationResult = EvaluationResult  # type: ignore[attr-defined]
    sys.modules[parts[0]].EvaluationResult = EvaluationResult  # type: ignore[attr-defined]


def evaluated(call: dict[str, Any], program: str, results: str) -> dict[str, Any]:
    """Returns what the evaluator found; `fault` where it can't be imported, which is no candidate's doing."""
    try:
        module = importlib.import_module(call["evaluator"].removesuffix(".py"))
    except BaseException as error:  # noqa: BLE001 a border: it is told
        show(error)
        return {"fault": f"{call['evaluator']} can't be imported: {type(error).__name__}: {error}"}
    function = getattr(module, call["function"], None)
    if not callable(function):
        return {"fault": f"{call['evaluator']} has no function {call['function']}"}
    if call["function"] != "main":
        return of_returned(awaited(function(program, **call["kwargs"])))
    os.makedirs(results)
    awaited(function(program, results))
    return of_files(results)


def awaited(found: Any) -> Any:
    """Returns what a function returned, of an asynchronous one what it came to, whatever tasks and threads it left."""
    if not inspect.isawaitable(found):
        return found
    import asyncio  # takes a tenth of a second

    async def done() -> Any:
        return await found

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop.run_until_complete(done())


def of_returned(found: Any) -> dict[str, Any]:
    """Returns metrics and artifacts of an EvaluationResult (theirs or the stand-in), or of a mapping."""
    artifacts = dict(getattr(found, "artifacts", None) or {})
    binary = {k: base64.b64encode(v).decode() for k, v in artifacts.items() if isinstance(v, bytes)}
    texts = {k: v for k, v in artifacts.items() if k not in binary}
    return {"metrics": getattr(found, "metrics", found), "artifacts": texts, "binary": binary}


def of_files(results: str) -> dict[str, Any]:
    """Returns what correct.json and metrics.json say."""
    read = []
    for name in RESULTS:
        try:
            with open(os.path.join(results, name), encoding="utf-8") as file:
                read.append(json.load(file))
        except (OSError, ValueError) as error:
            return {"metrics": {}, "correct": False, "error": f"{name} of results_dir can't be read: {error}"}
    correct, metrics = read
    stated = correct if isinstance(correct, dict) else {}
    return {"metrics": metrics, "correct": stated.get("correct", False), "error": stated.get("error")}


def plain(value: Any) -> Any:
    """Returns numpy's arrays and numbers as lists and numbers, all else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def show(error: BaseException) -> None:
    """Prints what the evaluator or the program raised, with their frames alone."""
    trace = link = error.__traceback__
    while link and link.tb_next:
        own, link = link.tb_frame.f_code.co_filename == __file__, link.tb_next
        trace = link if own else trace
    traceback.print_exception(type(error), error, trace)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:  # noqa: BLE001 the process's edge; threads that they left don't keep it alive
        show(error)
        sys.stderr.flush()
        os._exit(1)
