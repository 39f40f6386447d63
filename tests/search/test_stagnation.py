"""What the search does when nothing better comes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evolve.errors import UsageError
from evolve.search import Search
from evolve.search.stagnation import Stagnation
from evolve.types import ProposalRequest, Status
from tests.search.driving import strategy


def stagnating(answers: list[str], islands: int = 1, **changes: int) -> Search:
    """Returns a search of one initial program per island and one more, the first the best."""
    rule = Stagnation(after=3, answers=answers, **changes)
    search = Search(seed=1, islands=islands, strategy=replace(strategy(), stagnation=rule))
    for number in range(islands + 1):
        search.tell(search.add("initial", [number % islands]), Status.OK, -float(number), {})
    search.take_events()
    return search


def worse(search: Search, count: int) -> list[ProposalRequest]:
    asked = []
    for _ in range(count):
        asked.append(search.ask())
        search.tell(asked[-1].id, Status.OK, -9.0 - asked[-1].id, {})
    return asked


def answers(search: Search) -> list[str]:
    return [event.data["answer"] for event in search.take_events() if event.kind == "stagnated"]


def test_another_way_is_asked_for_so_often_from_the_best():
    search = stagnating(["explore"], ideas=2)
    asked = worse(search, 6)
    assert [request.operator == "explore" for request in asked] == [False] * 3 + [True] * 2 + [False]
    assert {request.parent for request in asked[3:5]} == {search.best} and asked[3].inspirations == ()


def test_what_was_tried_from_the_best_is_told_at_length():
    search = stagnating(["explore"])
    for _ in range(30):
        worse(search, 1)
    explored = [request for request in worse(search, 6) if request.operator == "explore"]
    assert explored and len(explored[0].tried) > 8


def test_answers_follow_one_another_until_something_better_comes():
    search = stagnating(["tune", "explore"])
    worse(search, 9)
    assert answers(search) == ["tune", "explore", "tune"]
    request = search.ask()
    search.tell(request.id, Status.OK, 99.0, {})
    worse(search, 3)
    assert answers(search) == ["tune"]


def test_a_new_best_ends_the_exploring():
    search = stagnating(["explore"], ideas=4)
    worse(search, 4)
    search.tell(search.ask().id, Status.OK, 99.0, {})
    assert search.ask().operator != "explore"


def test_the_weakest_island_begins_anew_from_a_program_that_nobody_comes_from():
    search = stagnating(["formulation"], islands=2)
    worse(search, 6)
    (event,) = [event for event in search.take_events() if event.kind == "stagnated"]
    assert event.data == {"answer": "formulation", "island": 1, "founder": 3, "answered": 1}
    assert list(search.islands[1]) == [3] and search.islands[1].founders == [3]


def test_what_has_nothing_to_do_is_passed_over():
    search = stagnating(["formulation", "explore"])
    worse(search, 3)
    assert answers(search) == ["explore"]


def test_an_unknown_answer_names_the_known_ones():
    with pytest.raises(UsageError, match="no answer 'pray'; known: tune, explore, formulation"):
        Stagnation(answers=["pray"])
