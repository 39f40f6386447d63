"""Kills a run of `driving` at random moments: `python -m tests.runner.killing FOLDER URL SEED KILLS WINDOW`.

Every generation is a forked child that ends itself by SIGKILL: at its n-th statement (most of which are inside a transaction),
commit, answer of the model or evaluated stage. The last one runs to the end. What left for the model is logged in FOLDER/left.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from evolve.llm.scripted import Scripted
from evolve.types import Prompt, StageOutcome
from tests.population.orphans import orphans
from tests.runner.driving import RUN, Case, Judging, answer, calls, case, outcomes, store_of

SLOTS = 3
BUDGET = 25
MOMENTS = {"statement": 40, "commit": 12, "answer": 4, "stage": 8}  # what is counted, and the latest that is chosen


def generation(folder: Path, url: str, window: int | None, moment: tuple[str, int]) -> bool:
    """Runs the case, or goes on with it, in a child; says whether the moment came, at which it was killed."""
    child = os.fork()
    if not child:
        asyncio.run(_live(folder, url, window, moment))
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL, f"{moment}: ended with {status}"
    return status != 0


async def _live(folder: Path, url: str, window: int | None, moment: tuple[str, int]) -> None:
    seen: Counter[str] = Counter()

    def passed(what: str) -> None:
        seen[what] += 1
        if (what, seen[what]) == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def answered(prompt: Prompt, call: str) -> str:
        with (folder / "left").open("a") as log:
            log.write(call + "\n")
        passed("answer")
        return answer(prompt, call)

    def judged(text: str) -> list[StageOutcome]:
        passed("stage")
        return outcomes(text)

    sa.event.listen(Engine, "before_cursor_execute", lambda *_: passed("statement"))
    sa.event.listen(Engine, "commit", lambda *_: passed("commit"))
    made = made_case(folder, url, window, answered, judged)
    ended = await (made.resume() if (made.folder / "run.json").exists() else made.start())
    assert ended.state == "finished", ended.reason


def made_case(
    folder: Path, url: str, window: int | None, script: Any = answer, judge: Callable[..., Any] = outcomes
) -> Case:
    provider, evaluator = Scripted(script, concurrency=SLOTS), Judging(2, judge)
    return case(folder, BUDGET, provider=provider, evaluator=evaluator, window=window, url=url)


def kill(folder: Path, url: str, seed: int, kills: int, window: int | None) -> int:
    """Lets a run be killed so many times, unless it ends before, and then end; returns how often it was."""
    rng = random.Random(seed)
    for done in range(kills):
        what = rng.choice(list(MOMENTS))
        if not generation(folder, url, window, (what, rng.randint(1, MOMENTS[what]))):
            return done
    assert not generation(folder, url, window, ("", 0))
    return kills


def check(folder: Path, url: str, window: int | None, kills: int) -> None:
    """Asserts what must hold of a run however often it was killed."""
    run = made_case(folder, url, window)
    counts = run.status()["candidates"]
    assert (
        counts["asked"] == BUDGET == sum(n for name, n in counts.items() if name != "asked") and not counts["in_flight"]
    )
    left = (folder / "left").read_text().split()
    assert len(left) == len(set(left))  # no id leaves twice
    rows = calls(run)
    assert set(left) <= {f"{RUN}/{row['id']}" for row in rows}
    assert max(Counter((row["candidate"], row["number"]) for row in rows if row["state"] == "done").values()) == 1
    assert run.status()["llm"]["lost"] <= kills * SLOTS
    assert orphans(store_of(run), RUN) == []


def main() -> None:
    folder, url, seed, kills, window = sys.argv[1:]
    width = int(window) or None
    done = kill(Path(folder), url, int(seed), int(kills), width)
    check(Path(folder), url, width, done)
    print(done, *made_case(Path(folder), url, width).export(), sep="\n")


if __name__ == "__main__":
    main()
