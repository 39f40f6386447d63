"""What candidates and models write can't do anything to the terminal that it is shown on."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.cli import dispatch
from evolve.cli.plain import UNFIT, plain, plain_all, plain_json
from evolve.cli.screen import screen_for
from evolve.types import StageOutcome, Status
from tests.runner.driving import Judging, case, value_of

ESCAPES = {
    "\x1b]0;owned\x07": "a title",
    "\x1b[2J\x1b[H": "a clear screen",
    "\x1b]8;;https://evil.example\x1b\\": "a link",
    "\x1bP$q\x1b\\": "a question that the terminal answers as if typed",
    "\x9b31m": "C1",
    "\r": "a line from its start again",
    "\x08\x7f": "backspaces",
    "\u202eevil\u2066": "direction",
    "\u200b\ufeff\u2028": "what is not seen",
    "\U000e0041": "tags",
}
HOSTILE = "".join(ESCAPES)


def harmless(text: str) -> bool:
    return not UNFIT.search(text)


@pytest.mark.parametrize("text", ESCAPES, ids=list(ESCAPES.values()))
def test_what_acts_on_a_terminal_is_written_out(text: str) -> None:
    assert harmless(plain(text)) and plain(text) != text


def test_it_is_shown_as_an_escape_and_other_text_stays() -> None:
    assert plain("\x1b[1m \u202e \U000e0041") == r"\x1b[1m \u202e \U000e0041"
    assert plain("a\tb\nñ 漢字 👩‍👩‍👧 ∑ \\x1b") == "a\tb\nñ 漢字 👩‍👩‍👧 ∑ \\x1b"
    assert plain_all({"\x1b": [1, ("\r", None)]}) == {r"\x1b": [1, [r"\r", None]]}


@given(st.text())
def test_json_means_the_same(text: str) -> None:
    line = plain_json(json.dumps(text, ensure_ascii=False))
    assert json.loads(line) == text and harmless(line) and harmless(plain(text))


# ---------------------------------------------------------------- the verbs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run whose model and candidates wrote hostile text wherever they could."""

    def answer(prompt: Any, call: str) -> str:
        value = value_of(prompt.parent["initial.py"]) + 1
        return (
            f"TITLE: better {HOSTILE}\nHYPOTHESIS: because {HOSTILE}\n"
            f"```python\ndef f():\n    return {value}  # \x1b[8m\u202e\x9b\x7f\n```\n"
        )

    def judge(text: str) -> list[StageOutcome]:
        value = float(text.split("return ")[1].split()[0])
        facts: dict[str, Any] = {
            "feedback": f"said {HOSTILE}",
            "score": value,
            "metrics": {"score": value, f"m{HOSTILE}": 1.0},
        }
        return [
            StageOutcome(stage=stage, status=Status.OK, artifacts={f"a{HOSTILE}": b"x"}, **facts)
            for stage in ("small", "main")
        ]

    tried = case(tmp_path_factory.mktemp("plain"), candidates=6, script=answer, evaluator=Judging(judge=judge))
    ended = asyncio.run(tried.start())
    assert ended.state == "finished"
    yield str(tried.folder)


@pytest.mark.parametrize(
    "words",
    [
        ["best", "RUN"],
        ["show", "RUN", "ID"],
        ["lineage", "RUN", "ID"],
        ["diff", "RUN", "1", "ID"],
        ["status", "RUN"],
        ["runs", "RUN"],
        ["best", "RUN", "--json"],
        ["lineage", "RUN", "ID", "--json"],
        ["status", "RUN", "--json"],
    ],
    ids=" ".join,
)
def test_a_stored_run_is_shown_plain(run: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch(["best", run, "--json"]) == 0
    best = json.loads(capsys.readouterr().out)
    assert HOSTILE.strip() in best["feedback"] and "\x1b" in best["title"] and "\x1b" in best["files"]["initial.py"]
    assert dispatch([{"RUN": run, "ID": str(best["id"])}.get(word, word) for word in words]) == 0
    out = capsys.readouterr().out
    assert out and harmless(out)
    if words[0] in ("best", "show", "lineage", "diff") and "--json" not in words:
        assert r"\x1b" in out


def test_a_check_is_shown_plain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "initial.py").write_text(f"def f(x):\n    print({HOSTILE!a})\n    raise ValueError({HOSTILE!a})\n")
    (tmp_path / "evaluator.py").write_text(
        "def instances(stage, rng): return [1]\ndef score(instance, output): return 1.0\n"
    )
    for more in ([], ["--json"], ["--debug"]):
        assert dispatch(["check", str(tmp_path), *more]) == 1
        told = capsys.readouterr()
        shown = told.err.split("unverified")[-1] if more == ["--debug"] else told.out  # it prints there by itself
        assert harmless(shown) and (r"\x1b" in shown or "\\u001b" in shown)
    assert dispatch(["run", f"problem={tmp_path}", f"run_dir={tmp_path}/r", "evaluator.workers=1"]) == 1
    told = capsys.readouterr()
    assert harmless(told.out + told.err) and r"\U000e0041" in told.err


def test_a_note_is_shown_plain() -> None:
    stream = io.StringIO()
    screen_for(stream).note("infra", HOSTILE)
    assert harmless(stream.getvalue()) and r"\x1b" in stream.getvalue()
