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

    @property
    def taken(self) -> Mapping[str, float]:
        """What an actor of this shape takes of a node; one that needs nothing counts as one CPU."""
        return dict(self.needs) or {"CPU": 1.0}

    def fits(self, free: Mapping[str, float]) -> int:
        """Returns how many times the shape is in `free`."""
        return max(0, min(math.floor(free.get(name, 0.0) / amount + EPSILON) for name, amount in self.taken.items()))


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
    return _Planner(nodes, hosts, limit, now).plan(waiters) if waiters else Plan()


class _Planner:
    """Keeps what of each usable node is free and how many hosts are there, while it decides."""

    def __init__(self, nodes: Iterable[Node], hosts: Sequence[Host], limit: int, now: float):
        self._hosts, self._limit, self._now = list(hosts), limit, now
        self._idle = [host for host in hosts if host.idle]
        self._kept: tuple[Shape, Node] | None = None  # a node that is kept free for a shape
        self._free = {node: Counter(node.total) for node in nodes if node.usable(now)}
        self._count = Counter(host.node for host in hosts)
        for host in hosts:
            if host.node in self._free:
                self._free[host.node].subtract(host.shape.taken)
        self._plan = Plan()

    def plan(self, waiters: Sequence[Waiter]) -> Plan:
        self._keep_a_node(waiters)
        starting = Counter(host.shape for host in self._hosts if not host.ready)
        stuck = set[Shape]()  # what has no room even after a release
        for waiter in [waiter for waiter in waiters if not self._give(waiter)]:
            shape = waiter.shape
            if starting[shape]:
                starting[shape] -= 1
            elif shape in stuck:
                self._give(waiter, larger=True)
            elif not (self._start(shape) or self._give(waiter, larger=True) or self._start(shape, release=True)):
                stuck.add(shape)
        return self._plan

    def _keep_a_node(self, waiters: Sequence[Waiter]) -> None:
        """Keeps the emptiest node for the oldest overdue shape that no host serves or will serve."""
        served = {host.shape for host in self._hosts}
        late = (w.shape for w in waiters if self._now - w.since >= SWITCH_S and w.shape not in served)
        if shape := next(late, None):
            nodes = [node for node in self._free if shape.fits(node.total)]
            self._kept = (shape, min(nodes, key=self._count.__getitem__)) if nodes else None

    def _give(self, waiter: Waiter, larger: bool = False) -> bool:
        idle = [host for host in self._idle if self._kept is None or host.node is not self._kept[1]]
        mine = [h for h in idle if (h.shape.covers(waiter.shape) if larger else h.shape == waiter.shape)]
        if not mine:
            return False
        host = max(mine, key=lambda host: host.node.usable(self._now))  # the first idle, on a node that is well
        self._idle.remove(host)
        self._plan.give.append((waiter, host))
        return True

    def _start(self, shape: Shape, release: bool = False) -> bool:
        """Starts a host on a node that has room; where idle hosts of other shapes are in the way, it may release them."""
        spare = [host for host in self._idle if release and host.shape != shape]
        nodes = [node for node in self._free if self._kept in (None, (shape, node)) or node is not self._kept[1]]
        rooms = [(node, ends) for node in nodes if (ends := self._in_the_way(shape, node, spare)) is not None]
        if not rooms:
            return False
        node, ends = min(rooms, key=lambda room: (len(room[1]), self._count[room[0]]))
        over = len(self._hosts) - len(ends) + 1 - self._limit
        others = [host for host in spare if host not in ends]
        if over > len(others):
            return False
        for host in [*ends, *others[: max(0, over)]]:
            self._idle.remove(host)
            self._move(host, -1)
            self._plan.release.append(host)
        self._move(Host(shape=shape, node=node), 1)
        self._plan.start.append((shape, node))
        return True

    def _in_the_way(self, shape: Shape, node: Node, spare: Sequence[Host]) -> list[Host] | None:
        """Returns the spare hosts of a node without which it has room for a shape, None where it has none."""
        free, here, ends = Counter(self._free[node]), [host for host in spare if host.node is node], list[Host]()
        while not shape.fits(free):
            if len(ends) == len(here):
                return None
            ends.append(here[len(ends)])
            free.update(ends[-1].shape.taken)
        return ends

    def _move(self, host: Host, by: int) -> None:
        """Enters a host into the books (1), or strikes it out (-1)."""
        (self._hosts.append if by > 0 else self._hosts.remove)(host)
        self._count[host.node] += by
        if host.node in self._free:
            self._free[host.node].subtract({name: by * amount for name, amount in host.shape.taken.items()})


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
