"""Who gets which host, and where new ones start: the Ray pool's policy, without Ray."""

from __future__ import annotations

import pytest

from evaluators.placement import SWITCH_S, Host, Node, Shape, Waiter, capacity, impossible, plan
from evolve.problem import Problem, Stage

CPU, TWO = Shape.of(Stage(name="a")), Shape.of(Stage(name="b", cpus=2))
GPU = Shape.of(Stage(name="c", profile="gpu"))


def node(name: str, **total: float) -> Node:
    return Node(id=name, name=name, total=total)


def idle(shape: Shape, at: Node) -> Host:
    return Host(shape=shape, node=at, ready=True)


def busy(shape: Shape, at: Node) -> Host:
    return Host(shape=shape, node=at, ready=True, busy=True)


def waiters(*shapes: Shape, since: float = 0.0) -> list[Waiter]:
    return [Waiter(shape=shape, since=since) for shape in shapes]


@pytest.mark.parametrize(
    ("keys", "needs"),
    [
        ({}, {"CPU": 1}),
        ({"cpus": 0.5, "resources": {"big": 2}}, {"CPU": 0.5, "big": 2}),
        ({"profile": "gpu"}, {"CPU": 1, "GPU": 1}),
        ({"profile": "gpu", "gpus": 0.5}, {"CPU": 1, "GPU": 0.5}),
        ({"profile": "gpu", "gpus": 0.4}, {"CPU": 1, "GPU": 0.5}),  # two fit on a device, not two and a half
        ({"profile": "gpu", "gpus": 0.5, "exclusive_gpu": True}, {"CPU": 1, "GPU": 1}),
        ({"profile": "gpu", "gpus": 1.5, "cpus": 0}, {"GPU": 2}),
    ],
)
def test_a_shape_is_what_ray_is_asked_for(keys: dict[str, object], needs: dict[str, float]) -> None:
    assert dict(Shape.of(Stage(name="s", **keys)).needs) == needs


def test_jobs_are_spread_over_nodes() -> None:
    a, b = node("a", CPU=2), node("b", CPU=2)
    started = plan([a, b], [], waiters(*[CPU] * 5), 9, 0.0).start
    assert [at.name for _, at in started] == ["a", "b", "a", "b"]


def test_no_more_hosts_than_the_limit() -> None:
    assert len(plan([node("a", CPU=9)], [], waiters(*[CPU] * 5), 3, 0.0).start) == 3


def test_the_oldest_job_gets_the_idle_host_and_a_starting_one_counts() -> None:
    a = node("a", CPU=3)
    host, jobs = idle(CPU, a), waiters(CPU, CPU, CPU)
    made = plan([a], [host, Host(shape=CPU, node=a)], jobs, 9, 0.0)
    assert made.give == [(jobs[0], host)] and made.start == [(CPU, a)]


def test_nodes_that_rest_or_are_refused_get_no_host() -> None:
    a, b = node("a", CPU=9), node("b", CPU=9)
    a.rest(0.0, 0.5)
    b.refused = "old"
    assert plan([a, b], [], waiters(CPU), 9, 0.5).start == []
    assert plan([a, b], [], waiters(CPU), 9, 1.5).start == [(CPU, a)]


def test_each_loss_makes_the_rest_longer_to_a_minute() -> None:
    a = node("a")
    rests = [a.rest(0.0, 0.5) or a.rests_until for _ in range(8)]
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60]


def test_idle_hosts_of_another_shape_are_released_where_that_makes_room() -> None:
    a, b = node("a", CPU=2), node("b", CPU=2)
    hosts = [busy(CPU, a), idle(CPU, a), idle(CPU, b), idle(CPU, b)]
    made = plan([a, b], hosts, waiters(TWO), 9, 0.0)
    assert made.release == hosts[2:] and made.start == [(TWO, b)]
    assert plan([a, b], hosts[:2] + [busy(CPU, b)] * 2, waiters(TWO), 9, 0.0).release == []


def test_idle_hosts_of_another_shape_make_room_under_the_limit() -> None:
    a, g = node("a", CPU=1), node("g", CPU=1, GPU=1)
    host = idle(CPU, a)
    made = plan([a, g], [host], waiters(GPU), 1, 0.0)
    assert made.release == [host] and made.start == [(GPU, g)]


def test_a_larger_idle_host_serves_rather_than_being_swapped() -> None:
    a = node("a", CPU=2, GPU=1)
    host, jobs = idle(TWO, a), waiters(CPU, CPU)
    assert plan([a], [host], jobs, 9, 0.0).give == [(jobs[0], host)]
    host = idle(GPU, a)
    assert plan([a], [host], waiters(CPU), 1, 0.0).release == [host]  # a GPU is not held by a job without one


def test_an_overdue_job_keeps_a_node_free_of_others_until_it_fits() -> None:
    a = node("a", CPU=2)
    hosts, jobs = [idle(CPU, a), busy(CPU, a)], [*waiters(TWO), *waiters(CPU, since=5.0)]
    assert plan([a], hosts, jobs, 9, SWITCH_S - 1).give == [(jobs[1], hosts[0])]
    late = plan([a], hosts, jobs, 9, SWITCH_S)
    assert late.give == [] and late.start == []
    hosts[1].busy = False
    assert plan([a], hosts, jobs, 9, SWITCH_S).start == [(TWO, a)]


def test_an_overdue_job_that_no_node_could_hold_blocks_nobody() -> None:
    a = node("a", CPU=1)
    host, jobs = idle(CPU, a), waiters(GPU, CPU)
    assert plan([a], [host], jobs, 9, 2 * SWITCH_S).give == [(jobs[1], host)]


def test_capacity_follows_the_most_modest_shape() -> None:
    nodes = [node("a", CPU=4), node("b", CPU=3)]
    assert capacity(nodes, [TWO, GPU]) == 3 and capacity([], [TWO]) == 1
    shared = Shape.of(Stage(name="s", cpus=0, profile="gpu", gpus=0.4))
    assert shared.fits({"GPU": 2}) == 4


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ({"cpus": 4}, "needs CPU=4, and no node of the Ray cluster has more than 2; set stage.main.cpus lower"),
        ({"profile": "gpu"}, "needs GPU=1, and .* has more than 0; set stage.main.gpus lower, or .*--num-gpus=1"),
        ({"resources": {"big": 3}}, "needs big=3, .* more than 1; .*resources lower, .*--resources='{\"big\": 3}'"),
        ({"cpus": 2, "resources": {"big": 1}}, "needs CPU=2, big=1 on one node, and no node .* together"),
        ({"cpus": 2}, "^$"),
    ],
)
def test_what_no_node_can_give_is_named_with_the_remedy(make_problem, stage: dict[str, object], says: str) -> None:
    problem: Problem = make_problem(**stage)
    import re

    found = impossible([node("a", CPU=2), node("b", CPU=1, big=1)], problem)
    assert re.search(says, found), found
