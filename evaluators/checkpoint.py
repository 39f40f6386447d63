"""`checkpoint`, what evaluator.py keeps of a long stage: it outlives the worker, its node and the runner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evaluators.harness import wire
from evaluators.sandbox import Failure
from evolve.errors import EvaluatorError
from evolve.types import Status

MOST = 16 << 20  # bytes of one saved state


class Checkpoint:
    """The last state saved for this instance of this replicate, for a retry of the stage to go on from.

    `ask` takes the state's bytes to the runner, or None to have those that are stored. `hardware` is what the problem's
    scores depend on: a state of other hardware is not loaded.
    """

    def __init__(self, ask: Callable[[bytes | None], bytes | None], hardware: str = ""):
        self._ask = ask
        self._hardware = hardware

    def load(self) -> Any:
        """Returns the data saved last, None where there is none (the first try, or outside a run)."""
        body = self._ask(None)
        stored = {} if body is None else wire.decode(body)
        return stored["data"] if stored.get("hardware") == self._hardware else None

    def save(self, data: Any) -> None:
        """Keeps data (what may cross to a candidate, `MOST` bytes) in place of what was saved before; durable on return."""
        try:
            body = wire.encode({"hardware": self._hardware, "data": data}, MOST)
            wire.decode(body)  # what could not be loaded is refused now
        except TypeError as error:
            raise EvaluatorError(f"evaluator.py: checkpoint.save(): {error}") from None
        except wire.WireError as error:  # large is what a candidate makes large
            raise Failure(Status.LIMIT, f"checkpoint.save(): the state is too large: {error}") from None
        self._ask(body)
