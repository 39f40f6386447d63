"""The offline provider: the format of its answers, where they come from, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evolve.errors import ProviderError, UsageError
from evolve.llm.ensemble import Ensemble
from evolve.llm.offline import Offline, diff
from evolve.llm.scripted import Scripted
from evolve.types import Files, Prompt

RINGS = Path(__file__).parents[2].joinpath("problems/circle_packing/initials/1_rings.py").read_text()
TWICE = "def f(x):\n    a = 1.0\n    a = 1.0\n    b = x * a\n    a = 1.0\n    return a + b\n"
START, END = "# EVOLVE-BLOCK-START\n", "# EVOLVE-BLOCK-END\n"
MARKED = f"import math\n\nK = 2.0\n{START}{TWICE}{END}{START}M = 2.0\n{END}"


def prompt(*texts: str, operator: str = "diff", seed: int = 1, **files: str) -> Prompt:
    parent = {"initial.py": texts[0]} if texts else files
    others = tuple({"initial.py": text} for text in texts[1:])
    return Prompt(
        system="",
        user="",
        operator=operator,
        parent=parent,
        inspirations=others,
        editable=tuple(parent),
        seed=(seed, 7),
    )


def answer(asked: Prompt) -> str:
    return asyncio.run(Offline().complete(asked, call="1")).text


def applied(text: str, blocks: str) -> str:
    """Applies SEARCH/REPLACE blocks one after the other, each of which must match whole lines exactly once."""
    lines, original = text.split("\n"), text.split("\n")
    for block in blocks.split("<<<<<<< SEARCH\n")[1:]:
        search, rest = block.split("=======\n", 1)
        old = search.split("\n")[:-1]
        new = rest.split(">>>>>>> REPLACE\n", 1)[0].split("\n")[:-1]
        for where in (original, lines):
            hits = [i for i in range(len(where)) if where[i : i + len(old)] == old]
            assert len(hits) == 1
        lines[hits[0] : hits[0] + len(old)] = new
        assert new != old and not any("EVOLVE-BLOCK" in line for line in old + new)
    return "\n".join(lines)


@settings(max_examples=120, deadline=None)
@given(
    st.sampled_from((RINGS, TWICE, MARKED)), st.integers(0, 2**32), st.sampled_from(("diff", "rewrite", "crossover"))
)
def test_every_answer_has_the_format_and_applies(text: str, seed: int, operator: str) -> None:
    said = answer(prompt(text, TWICE, operator=operator, seed=seed))
    first, second, third, fourth = said.split("\n")[:4]
    assert first.startswith("TITLE: ") and 0 < len(first.split()[1:]) <= 8
    assert second.startswith("HYPOTHESIS: ") and third == "" and fourth == "<<<<<<< SEARCH"
    assert applied(text, said) != text


def test_the_answer_follows_from_the_seed_and_the_files_alone() -> None:
    script = (
        "import asyncio, sys; from evolve.llm.offline import Offline; from evolve.types import Prompt; t = sys.stdin.read()\n"
        "p = lambda k: Prompt(system='', user='', operator='crossover', parent={'a.py': t}, editable=('a.py',), seed=(3, k),\n"
        "    inspirations=({'a.py': t.replace('0.28', '0.3')},))\n"
        "print(*(asyncio.run(Offline().complete(p(k), call=str(k))).text for k in range(6)))\n"
        "assert not {'litellm', 'ray', 'evolve.proposer'} & set(sys.modules)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            input=RINGS,
            env={**os.environ, "PYTHONHASHSEED": hashseed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashseed in ("0", "1")
    }
    assert len(texts) == 1
    assert answer(prompt(RINGS, seed=3)) != answer(prompt(RINGS, seed=4))


async def test_many_at_once_answer_as_one_by_one() -> None:
    provider = Offline()
    await provider.start()
    together = await asyncio.gather(*(provider.complete(prompt(RINGS, seed=k), call=str(k)) for k in range(6)))
    assert [c.text for c in together] == [
        (await provider.complete(prompt(RINGS, seed=k), call="x")).text for k in range(6)
    ]
    assert together[0].cost_usd == 0.0 and provider.ceiling_usd(prompt(RINGS)) == 0.0
    await provider.close()


def test_a_path_stands_before_the_block_where_there_are_several_files() -> None:
    files: Files = {"lib/a.py": TWICE, "notes.md": "x = 1.0\n", "z.py": "q = 1.0\n"}
    for seed in range(10):
        asked = Prompt(system="", user="", parent=files, editable=("lib/a.py", "notes.md"), seed=(seed,))
        lines = answer(asked).split("\n")
        assert lines[lines.index("<<<<<<< SEARCH") - 1] == "lib/a.py"


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"main.cpp": "int f() { return 1; }"}, r"changes Python \(\.py\), or prose \(\.md and \.txt\), and not \.cpp"),
        ({"prompt.md": "# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END\n"}, "nothing to change in prompt.md"),
        ({"a.py": "def f(:\n"}, "can't parse a.py"),
        ({"a.py": ""}, "nothing to change in a.py"),
        ({}, "no file"),
    ],
)
def test_what_can_not_be_mutated_is_refused_in_one_line(files: dict[str, str], fault: str) -> None:
    with pytest.raises(ProviderError, match=fault) as refused:
        answer(prompt(**files))
    assert "use another llm" in str(refused.value) and "\n" not in str(refused.value)


def test_an_ensemble_can_not_do_what_a_member_can_not() -> None:
    able, unable = Scripted([]), Offline()
    assert "and not .cpp and .h" in Ensemble([(able, 0.5), (unable, 0.5)]).refusal(["a.cpp", "b.cpp", "a.h"])
    assert not Ensemble([(able, 0.5)]).refusal(["a.cpp"]) and not unable.refusal(["a.cpp", "b.md"])


def test_fewer_than_one_edit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"llm\.mutations=0\.5"):
        Offline(mutations=0.5)


def test_context_grows_until_a_block_is_unique() -> None:
    blocks = diff(TWICE, TWICE.replace("    a = 1.0\n    return", "    a = 2.0\n    return"))
    context = "    b = x * a\n"
    assert blocks == f"<<<<<<< SEARCH\n{context}    a = 1.0\n=======\n{context}    a = 2.0\n>>>>>>> REPLACE\n"


def test_a_change_that_blocks_can_not_express_has_no_diff() -> None:
    assert diff("=====\n", "a\n") is None
    twins = "# EVOLVE-BLOCK-START\na = 1\n# EVOLVE-BLOCK-END\n" * 2
    assert diff(twins, twins.replace("1", "2", 1)) is None
