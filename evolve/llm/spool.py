"""A folder as the model: each call is a file, and so is its answer. A person, an agent or another machine writes it.

`000041.prompt.md` is asked, `000041.reply.md` is awaited for as long as it takes, over restarts of the run too. A
`000041.reply.json` that is put in place before it says what the answer cost (`model`, `tokens_in`, `tokens_out`, `cost_usd`),
or by `error` that there is none. Whoever answers writes under another name and renames.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import stat
import threading
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from evolve import checks
from evolve.errors import FatalError, ProviderError, TransientError, UsageError
from evolve.llm.provider import Provider
from evolve.llm.redact import one_line
from evolve.types import SEPARATOR, Call, Completion, Prompt

POLL_S = 0.2
MOST_BYTES = 4 * 1024 * 1024  # of a reply
MARK = "run.txt"  # holds the id of the run whose calls are in the folder
TRYING = f"{SEPARATOR}# Try a draft\n"


class Spool(Provider):
    """Writes prompts into the folder `dir` and waits for replies. What is answered there is paid for there.

    `tries` is how often a draft may be run before it is handed in; 0 offers no such thing.
    """

    model = "spool"
    outlives = True

    def __init__(
        self,
        dir: str,
        *,
        concurrency: int = 4,
        evaluation_concurrency: int | None = None,
        attempts: int = 3,
        tries: int = 5,
    ):
        self.take_slots(concurrency, evaluation_concurrency, attempts)
        checks.whole("llm.tries", tries, 0)
        if not dir or not isinstance(dir, str):
            raise UsageError(f"llm.dir={dir}: must be a folder, for example llm.dir=spool")
        self.folder = Path(dir).expanduser()
        self.tries = tries
        self._claiming = threading.Lock()

    async def start(self) -> None:
        """Makes the folder, if need be, and sees that it can be written."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            put(self.folder / ".writable", "")
            (self.folder / ".writable").unlink()
        except OSError as error:
            raise FatalError(f"llm.dir={self.folder}: can't be written ({error.strerror}); choose another") from None

    async def complete(self, prompt: Prompt, *, call: Call) -> Completion:
        """Waits for the reply; one that is there already is taken at once."""
        try:
            await asyncio.to_thread(self._ask, prompt, call)
            text = await self._reply(call.id)
            told = await asyncio.to_thread(told_of, self.folder, call.id)
        except OSError as error:
            raise TransientError(f"llm.dir={self.folder}: {error.strerror or error}") from None
        if "error" in told:
            raise ProviderError(one_line(f"call {call.id}: {told['error']}"))
        guessed = {"tokens_in": len(prompt.text) // 4, "tokens_out": len(text) // 4, "model": self.model}
        return Completion(text=text, **{**guessed, **told})

    def ceiling_usd(self, prompt: Prompt) -> float | None:
        """Returns None: budget.usd belongs to who answers ('evolve answer DIR budget.usd=X')."""
        return None

    def _ask(self, prompt: Prompt, call: Call) -> None:
        """Puts the prompt into the folder."""
        with self._claiming:
            self._claim(call.run)
        path = prompt_path(self.folder, call.id)
        if not path.exists():
            put(path, prompt.text + self._offer(call))

    def _claim(self, run: str) -> None:
        """Marks the folder as the run's. Raises FatalError where it holds another run's calls."""
        mark = self.folder / MARK
        try:
            with mark.open("x", encoding="utf-8") as file:
                file.write(run)
        except FileExistsError:
            other = mark.read_text(encoding="utf-8", errors="replace").strip()
            if not other:  # whoever made it was killed before it was written
                put(mark, run)
            elif other != run:
                raise FatalError(
                    f"llm.dir={self.folder}: holds the calls of run {other}, not of {run}; choose another folder"
                ) from None

    def _offer(self, call: Call) -> str:
        """Returns what tells how a draft can be tried, where that is possible."""
        if not self.tries or not call.where or call.purpose != "propose":
            return ""
        command = f"evolve try {shlex.quote(call.where)} FILE --call {call.id}"
        return (
            f"{TRYING}\nBefore you answer you may run a draft, at most {self.tries} times. Write it to FILE in the form that "
            f"is asked for above, then:\n\n    {command}\n\nIt is run through the first stage, counted and recorded.\n"
        )

    async def _reply(self, call: int) -> str:
        """Waits for a reply that says something and has stopped growing; what is found at first has."""
        path, before = reply_path(self.folder, call), None
        first = True
        while True:
            found = await asyncio.to_thread(_looked_at, path)
            if found is not None and (first or found == before):
                return found
            before, first = found, False
            await asyncio.sleep(POLL_S)


def prompt_path(folder: Path, call: int) -> Path:
    return folder / f"{call:06}.prompt.md"


def reply_path(folder: Path, call: int) -> Path:
    return folder / f"{call:06}.reply.md"


def told_path(folder: Path, call: int) -> Path:
    return folder / f"{call:06}.reply.json"


def put(path: Path, text: str) -> None:
    """Writes a file that is there as a whole or not at all, and stays."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with new.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def pending(folder: Path, known: Container[int] = ()) -> Iterator[int]:
    """Yields the calls without a reply, the oldest first, but for those that are known."""
    numbers = (path.name.partition(".")[0] for path in folder.glob("*.prompt.md"))
    for call in sorted(int(number) for number in numbers if number.isdigit()):
        if call not in known and _looked_at(reply_path(folder, call), most=None) is None:
            yield call


def asked(folder: Path, call: int) -> Prompt:
    """Reads a call's file back into a prompt; a conversation's turns stay in the user part."""
    text = prompt_path(folder, call).read_bytes().decode(errors="replace")
    system, _, user = text.rpartition(TRYING)[0].partition(SEPARATOR) if TRYING in text else text.partition(SEPARATOR)
    return Prompt(system=system, user=user) if user else Prompt(system="", user=system)


def told_of(folder: Path, call: int) -> dict[str, Any]:
    """Returns what the file beside a reply says, without what can't be."""
    try:
        told = json.loads(told_path(folder, call).read_bytes()[:MOST_BYTES])
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(told, Mapping):
        return {}
    counts = {name: value for name in ("tokens_in", "tokens_out") if _fits(value := told.get(name), int)}
    costs = {"cost_usd": cost} if _fits(cost := told.get("cost_usd"), int | float) else {}
    words = {name: value for name in ("model", "error") if isinstance(value := told.get(name), str) and value}
    return counts | costs | words


def _fits(value: object, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < 1e12


def _looked_at(path: Path, most: int | None = MOST_BYTES) -> str | None:
    """Returns the text of a reply, None where there is none that says something."""
    try:
        known = path.stat()
        if not stat.S_ISREG(known.st_mode):
            return None
        if most is not None and known.st_size > most:
            raise ProviderError(f"{path}: the reply has more than {MOST_BYTES // 1024 // 1024} MB")
        text = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    return text if text.strip() else None
