"""What the search does when nothing better comes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evolve.errors import UsageError
from evolve.search import Search
from evolve.search.stagnation import Stagnation
from evolve.types import ProposalRequest, Status
from tests.search.driving import strategy

TUNED = {"method": "hill", "before": 1.0, "after": None}


def stagnating(answers: list[str], islands: int = 1, window: int | None = None, **changes: int) -> Search:
    """Returns a search of one initial program per island and one more, the first the best."""
    rule = Stagnation(after=3, answers=answers, **changes)
    search = Search(seed=1, islands=islands, strategy=replace(strategy(), stagnation=rule), window=window)
    for number in range(islands + 1):
        search.tell(search.add("initial", [number % islands]), Status.OK, -float(number), {})
    search.take_events()
    return search


def worse(search: Search, count: int, **facts: Any) -> list[ProposalRequest]:
    asked = []
    for _ in range(count):
        asked.append(search.ask())
        search.tell(asked[-1].id, Status.OK, -9.0 - asked[-1].id, {}, **facts)
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
    worse(search, 1, tuned=TUNED)
    worse(search, 8)
    assert answers(search) == ["tune", "explore", "tune"]
    request = search.ask()
    search.tell(request.id, Status.OK, 99.0, {})
    worse(search, 3)
    assert answers(search) == ["tune"]


@pytest.mark.parametrize(("window", "facts"), [(None, {}), (1, {"tuned": TUNED})])
def test_tuning_is_passed_over_where_nothing_has_constants_and_in_ordered_runs(window, facts):
    search = stagnating(["tune", "explore"], window=window)
    worse(search, 3, **facts)
    assert answers(search) == ["explore"]


def test_the_elites_that_are_to_be_tuned_are_the_best_of_each_island():
    search = stagnating(["tune"], islands=2)
    worse(search, 6, tuned=TUNED)
    (event,) = [event for event in search.take_events() if event.kind == "stagnated"]
    assert event.data["elites"] == search.elites() == [1, 2] and search.to_tune == {1: 1, 2: 1}


def test_what_is_made_of_an_elite_is_a_member_and_no_founder_and_can_end_the_stagnation():
    search = stagnating(["tune"])
    worse(search, 2)
    made = search.add("tuned", [0], parent=1)
    search.tell(made, Status.OK, 1.0, {})
    assert (search.best, search.elites(), search.told) == (made, [made], 2)
    assert made not in search.islands[0].founders and search.ancestors(made, 9) == [1] and search.home(made) == 0
    worse(search, 2, tuned=TUNED)
    assert answers(search) == []


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
