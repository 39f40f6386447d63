"""Variation of prose: new lines come from the feedback and from inspirations, markers and the rest stay."""

from __future__ import annotations

from numpy.random import PCG64, Generator

from evolve.llm.prose import vary_text

TEXT = "Be brief.\nSay why.\n"
MARKED = "Frozen.\n# EVOLVE-BLOCK-START\nBe brief.\n# EVOLVE-BLOCK-END\nLast.\n"


def children(text: str, others=(), heard=(), crossover: bool = False, mutations: float = 1.0) -> list[str]:
    found = [
        vary_text(text, others, heard, Generator(PCG64(seed)), mutations=mutations, crossover=crossover)
        for seed in range(200)
    ]
    assert all(found)
    return [child.text for child in found if child]


def test_one_edit_hears_a_line_removes_one_or_moves_one() -> None:
    found = set(children(TEXT, heard=["  Cite it.  ", "", "Say why."]))
    heard = {"Cite it.\nBe brief.\nSay why.\n", "Be brief.\nCite it.\nSay why.\n", "Be brief.\nSay why.\nCite it.\n"}
    assert found == heard | {"Say why.\n", "Be brief.\n", "Say why.\nBe brief.\n"}


def test_crossover_takes_lines_that_the_inspiration_alone_has() -> None:
    found = set(children(TEXT, others=["Say why.\nAsk back.\nBe kind.\n"], crossover=True))
    assert found == {TEXT + "Ask back.\n", TEXT + "Be kind.\n", TEXT + "Ask back.\nBe kind.\n"}


def test_every_child_keeps_what_is_outside_of_the_markers() -> None:
    for child in children(MARKED, others=["Ask back.\n# EVOLVE-BLOCK-END\n"], heard=["Cite it."], mutations=3.0):
        head, tail = "Frozen.\n# EVOLVE-BLOCK-START\n", "# EVOLVE-BLOCK-END\nLast.\n"
        assert child.startswith(head) and child.endswith(tail) and child.count("EVOLVE-BLOCK") == 2


def test_a_text_in_which_nothing_may_change_has_no_child() -> None:
    nothing = "# EVOLVE-BLOCK-START\n# EVOLVE-BLOCK-END\n"
    assert vary_text(nothing, [], [], Generator(PCG64(1)), mutations=1.0, crossover=False) is None
