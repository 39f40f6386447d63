"""Who gets which Ray actor, and where new ones start: pure policy over books that the Ray pool keeps.

A stage's resources are its `Shape`; an actor (`Host`) has the shape that it was started for. Jobs wait in order of arrival:
an idle host of the job's shape serves it, else one is started where its resources are free, else an idle host that has more
(but no GPU in vain) serves it, else idle hosts of other shapes are released for it. A job that has waited `SWITCH_S` keeps a
node free of other shapes until it fits, so that no shape starves another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evolve.problem import Problem, Stage

SWITCH_S = 10.0
REST_S = 1.0  # of a node that lost a host, doubled with each further loss
LONGEST_REST_S = 60.0
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Shape:
    """The resources of an actor, in Ray's names (`CPU`, `GPU`, custom ones); sorted, none of them zero."""

    needs: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, stage: Stage) -> Shape:
        """Returns a stage's. A share of a GPU becomes the next 1/n, which is what fits on one device n times."""
        gpus = stage.gpus or float(stage.profile == "gpu")
        if stage.exclusive_gpu or gpus > 1:
            gpus = float(max(1, math.ceil(gpus)))
        elif gpus:
            gpus = 1 / math.floor(1 / gpus)
        needs = {"CPU": float(stage.cpus), "GPU": gpus, **stage.resources}
        return cls(tuple(sorted((name, amount) for name, amount in needs.items() if amount)))

    def options(self) -> dict[str, object]:
        """Returns what Ray calls the needs."""
        needs = dict(self.needs)
        return {"num_cpus": needs.pop("CPU", 0), "num_gpus": needs.pop("GPU", 0), "resources": needs}

    def covers(self, other: Shape) -> bool:
        """Tells whether an actor of this shape may run a job of another: it has as much of all, and the same GPUs."""
        mine, needs = dict(self.needs), dict(other.needs)
        enough = all(mine.get(name, 0.0) >= amount for name, amount in needs.items())
        return enough and mine.get("GPU", 0.0) == needs.get("GPU", 0.0)

    def fits(self, free: Mapping[str, float]) -> int:
        """Returns how many times the needs are in `free`; a stage that needs nothing counts as one CPU."""
        needs = self.needs or (("CPU", 1.0),)
        return max(0, min(math.floor(free.get(name, 0.0) / amount + EPSILON) for name, amount in needs))


@dataclass(eq=False, slots=True, kw_only=True)
class Node:
    """A machine of the cluster. It rests after it lost a host; `refused` says why it is not used at all."""

    id: str
    name: str
    total: Mapping[str, float]
    losses: int = 0  # since it last brought an outcome
    rests_until: float = 0.0
    refused: str = ""

    def usable(self, now: float) -> bool:
        return not self.refused and now >= self.rests_until

    def rest(self, now: float, jitter: float) -> None:
        """Keeps new hosts away for a while; `jitter` is from 0 to 1."""
        self.rests_until = now + min(LONGEST_REST_S, REST_S * 2**self.losses) * (0.5 + jitter)
        self.losses += 1


@dataclass(eq=False, slots=True, kw_only=True)
class Host:
    """An actor, from its request to its end; `idle` once it is ready and has no job."""

    shape: Shape
    node: Node
    ready: bool = False
    busy: bool = False

    @property
    def idle(self) -> bool:
        return self.ready and not self.busy


@dataclass(eq=False, slots=True, kw_only=True)
class Waiter:
    """A job that waits for a host."""

    shape: Shape
    since: float


@dataclass(slots=True)
class Plan:
    """What to do now, in this order."""

    give: list[tuple[Waiter, Host]] = field(default_factory=list)
    release: list[Host] = field(default_factory=list)
    start: list[tuple[Shape, Node]] = field(default_factory=list)


def plan(nodes: Iterable[Node], hosts: Sequence[Host], waiters: Sequence[Waiter], limit: int, now: float) -> Plan:
    """Decides for jobs in order of arrival; at most `limit` hosts exist at once, those that start included."""
    return (
        _Planner([node for node in nodes if node.usable(now)], hosts, limit, now).plan(waiters) if waiters else Plan()
    )


class _Planner:
    def __init__(self, nodes: Sequence[Node], hosts: Sequence[Host], limit: int, now: float):
        self._nodes, self._hosts, self._limit, self._now = nodes, list(hosts), limit, now
        self._idle = [host for host in hosts if host.idle]
        self._at: dict[Node, list[Host]] = {node: [] for node in nodes}
        for host in hosts:
            self._at.setdefault(host.node, []).append(host)
        self._plan = Plan()

    def plan(self, waiters: Sequence[Waiter]) -> Plan:
        starting = Counter(host.shape for host in self._hosts if not host.ready)
        kept = self._kept_for(waiters, starting)
        left = [waiter for waiter in waiters if not self._give(waiter, kept)]
        full, stuck = set[Shape](), set[Shape]()  # what has no room as it is, and none after a release either
        for waiter in left:
            if starting[waiter.shape]:
                starting[waiter.shape] -= 1
            elif waiter.shape in full or not self._start(waiter.shape, kept, release=False):
                full.add(waiter.shape)
                if self._give(waiter, kept, larger=True) or waiter.shape in stuck:
                    continue
                if not self._start(waiter.shape, kept, release=True):
                    stuck.add(waiter.shape)
        return self._plan

    def _kept_for(self, waiters: Sequence[Waiter], starting: Mapping[Shape, int]) -> tuple[Shape, Node] | None:
        """Returns the oldest overdue shape that nothing serves or will serve, and the node kept free for it."""
        served = {host.shape for host in self._hosts}
        for waiter in waiters:
            if self._now - waiter.since >= SWITCH_S and waiter.shape not in served:
                nodes = [node for node in self._nodes if waiter.shape.fits(node.total)]
                return (waiter.shape, min(nodes, key=self._count)) if nodes else None
        return None

    def _give(self, waiter: Waiter, kept: tuple[Shape, Node] | None, larger: bool = False) -> bool:
        idle = [host for host in self._idle if kept is None or host.node is not kept[1]]
        mine = [h for h in idle if (h.shape.covers(waiter.shape) if larger else h.shape == waiter.shape)]
        if not mine:
            return False
        host = max(mine, key=lambda host: host.node.usable(self._now))  # the first idle, on a node that is well
        self._idle.remove(host)
        self._plan.give.append((waiter, host))
        return True

    def _start(self, shape: Shape, kept: tuple[Shape, Node] | None, release: bool) -> bool:
        node = self._make_room(shape, kept, release)
        if node is not None:
            self._plan.start.append((shape, node))
            self._hosts.append(Host(shape=shape, node=node))
            self._at[node].append(self._hosts[-1])
        return node is not None

    def _make_room(self, shape: Shape, kept: tuple[Shape, Node] | None, release: bool) -> Node | None:
        """Returns a node that has room, after it released the idle hosts of other shapes that were in the way, if it may."""
        found: list[tuple[int, int, int, Node, list[Host]]] = []
        for node in self._nodes:
            if kept is not None and node is kept[1] and shape != kept[0]:
                continue
            idle = [host for host in self._at[node] if release and host in self._idle and host.shape != shape]
            for count in range(len(idle) + 1):
                if shape.fits(self._free(node, without=idle[:count])):
                    found.append((count, self._count(node), len(found), node, idle[:count]))
                    break
        if not found:
            return None
        _, _, _, node, ends = min(found, key=lambda entry: entry[:3])
        over = len(self._hosts) - len(ends) + 1 - self._limit
        others = [host for host in self._idle if release and host.shape != shape and host not in ends]
        if over > len(others):
            return None
        for host in [*ends, *others[: max(0, over)]]:
            self._idle.remove(host)
            self._hosts.remove(host)
            self._at[host.node].remove(host)
            self._plan.release.append(host)
        return node

    def _count(self, node: Node) -> int:
        return len(self._at[node])

    def _free(self, node: Node, without: Sequence[Host]) -> Mapping[str, float]:
        free = Counter(node.total)
        for host in self._at[node]:
            if host not in without:
                free.subtract(dict(host.shape.needs or (("CPU", 1.0),)))
        return free


def capacity(nodes: Iterable[Node], shapes: Iterable[Shape]) -> int:
    """Returns how many hosts of the most modest of the shapes fit into the nodes, at least 1."""
    usable = [node.total for node in nodes if not node.refused]
    return max(1, *(sum(map(shape.fits, usable)) for shape in shapes))


def impossible(nodes: Sequence[Node], problem: Problem) -> str:
    """Says which stage needs what no node has, and how to go on; "" where each stage fits somewhere."""
    for stage in problem.stages:
        shape = Shape.of(stage)
        if any(shape.fits(node.total) for node in nodes):
            continue
        for name, amount in shape.needs:
            most = max((node.total.get(name, 0.0) for node in nodes), default=0.0)
            if most + EPSILON < amount:
                key = {"CPU": "cpus", "GPU": "gpus"}.get(name, "resources")
                return (
                    f"stage '{stage.name}' needs {name}={amount:g}, and no node of the Ray cluster has more than {most:g}; "
                    f"set stage.{stage.name}.{key} lower, or start a node that has it (ray start {_flag(name, amount)})"
                )
        together = ", ".join(f"{name}={amount:g}" for name, amount in shape.needs)
        return f"stage '{stage.name}' needs {together} on one node, and no node of the Ray cluster has them together"
    return ""


def _flag(name: str, amount: float) -> str:
    whole = math.ceil(amount)
    if name in ("CPU", "GPU"):
        return f"--num-{name.lower()}s={whole}"
    return f"--resources='{{\"{name}\": {whole}}}'"
