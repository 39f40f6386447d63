"""Evaluations on Ray: long-lived actors, sized by the stages' resources and spread over the cluster's nodes.

Who does what when something is lost:
- *Watching.* Each host (actor) answers a ping every few seconds and each call has a deadline, so a cut link is noticed
  in ten seconds although Ray takes a minute. A host that is late or dead is written off: what it may still say is dropped.
- *Replacing.* `placement.plan` starts hosts where there is room, but not on a node that rests after a loss.
- *Retrying.* `RayPool.run` gives a lost job to another host, `TRIES` times in all; then it ends as `infra`.
- *Blaming.* Only an actor's process that died on a node that still answers counts against the candidate; twice is `crash`.
  (A worker program that died inside its actor is the `Slot`'s business, by the same rule.)
- *Giving up.* A job that no host could serve for `patience_s` ends as `infra`; work on what is left goes on meanwhile.

A problem's folder travels by content: zipped once into the object store, unpacked by its hash where a host first needs it.
Hosts hold no key: `ray.init` runs with an environment from an allow list, since Ray's workers inherit the driver's. Ray
client addresses (ray://) are refused: they failed where they were tried (Ray 2.60).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import random
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evaluators import placement
from evaluators.placement import Host, Node, Shape, Waiter
from evaluators.pool import Serve, StageJob, refuse
from evaluators.ray_host import HostActor, Message, facts, zip_folder
from evaluators.worker_client import DEATHS, GRACE_S, START_S
from evolve import checks
from evolve.errors import EvolveError, UsageError
from evolve.problem import LEVELS, Problem
from evolve.types import StageOutcome, Status

TRIES = 4
TEND_S = 1.0  # how often nodes are listed and waiting jobs looked after
PING_EVERY_S, PING_S = 2.0, 8.0  # PING_S: how late an answer may be
SETTLE_S = 10.0  # at the start, for further nodes after the first is ready
CLOSE_S = 3.0
SLACK_S = 30.0  # for the way to an actor and back
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
KEPT_PREFIXES = ("LC_", "RAY_", "CUDA_", "NVIDIA_", "OPENBLAS_")
log = logging.getLogger("evolve")


class HostLost(Exception):
    """Raised where a host is written off; `died` says that its process ended."""

    def __init__(self, reason: str, died: bool = False):
        super().__init__(reason)
        self.died = died


@dataclass(eq=False, slots=True, kw_only=True)
class RayHost(Host):
    """A host and the actor that it is. `lost` is set once, when it is written off."""

    lost: asyncio.Future[HostLost]
    actor: Any = None
    model: str = ""  # of its hardware, as the problem's `comparable_on` has it
    watch: asyncio.Task[None] | None = None

    async def call(self, method: str, *values: Any, within_s: float) -> Any:
        """Calls the actor. Raises HostLost where it is or gets lost, or takes too long."""
        import ray

        reference = getattr(self.actor, method).remote(*values)
        result = asyncio.wrap_future(reference.future())
        try:
            await asyncio.wait([result, self.lost], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise self.lost.result() if self.lost.done() else HostLost(f"no answer to {method} in {within_s:g} s")
            return result.result()
        except ray.exceptions.RayError as error:
            died = isinstance(error, ray.exceptions.ActorDiedError)
            raise HostLost(_brief(error), died) from None
        finally:
            result.cancel()


@dataclass(eq=False, slots=True, kw_only=True)
class Waiting(Waiter):
    host: asyncio.Future[RayHost | None]
    hoped: float  # when there was hope of a host last


class RayPool:
    """A `Pool` of Ray actors. `workers` bounds them; None means what the cluster offers at any moment.

    `address=None` starts a Ray here. `patience_s` is how long a job waits where no node is left that could run it.
    """

    def __init__(
        self,
        workers: int | None = None,
        address: str | None = None,
        isolation: str = "auto",
        patience_s: float = 600.0,
    ):
        checks.whole("evaluator.workers", workers, 1, or_null=True)
        checks.number("evaluator.patience_s", patience_s, 0.0)
        if (address or "").startswith("ray://"):
            raise UsageError(f"evaluator.address={address}: give HOST:PORT or auto, not a Ray client address")
        self._workers, self._address, self._patience_s = workers, address, patience_s
        self.isolation = self._asked = isolation
        self._connected = False
        self._problem: Problem | None = None
        self._model = ""
        self._shapes: list[Shape] = [Shape((("CPU", 1.0),))]
        self._facts: dict[str, Any] = {}
        self._nodes: dict[str, Node] = {}
        self._hosts: list[RayHost] = []
        self._waiting: list[Waiting] = []
        self._folders: dict[str, Any] = {}
        self._tending: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._said_hopeless = False

    @property
    def slots(self) -> int:
        """How many stages run at once; for `workers=None` it follows the cluster."""
        return self._workers or placement.capacity(self._nodes.values(), self._shapes)

    # ------------------------------------------------------------ start and end

    async def start(self, problem: Problem | None = None, measured_on: str = "") -> None:
        """Connects, and starts a host on each node, which reports on it. Blocks the loop for seconds while a Ray of its own
        starts, so that nothing else sees the scrubbed environment. Raises EvolveError where a stage fits on no node, where a
        node has another Python or engine, and where no node has what the problem requires."""
        self._problem, self._model = problem, measured_on
        if problem is not None:
            self._shapes = list(dict.fromkeys(map(Shape.of, problem.stages)))
        self._facts = facts(problem)
        self._connect()
        try:
            self._list(await asyncio.to_thread(_alive_nodes))
            self._require_room()
            await self._start_hosts()
            self._require_room()
        except BaseException:
            await self.close()
            raise
        fit = placement.capacity(self._nodes.values(), self._shapes)
        if (self._workers or 0) > fit:
            log.warning("evaluator.workers=%s: the Ray cluster has room for %s at present", self._workers, fit)
        self._tending = asyncio.create_task(self._tend())

    def _require_room(self) -> None:
        """Raises EvolveError where a stage fits on no node that is used."""
        nodes = self._nodes.values()
        if self._problem and (lacking := placement.impossible([n for n in nodes if not n.refused], self._problem)):
            refused = [f"node {node.name} is not used: {node.refused}" for node in nodes if node.refused]
            raise EvolveError("; ".join([lacking, *refused]))

    async def _start_hosts(self) -> None:
        """Starts one host on each node that fits a stage: the first shows that it works, the rest have SETTLE_S."""
        loop, troubles, pending = asyncio.get_running_loop(), list[str](), set[asyncio.Task[str]]()
        for node in self._nodes.values():
            if shape := next((shape for shape in self._shapes if shape.fits(node.total)), None):
                pending.add(self._task(self._ready(self._open(shape, node))))
        until = loop.time() + START_S + SLACK_S
        while pending and (left_s := until - loop.time()) > 0:
            some, pending = await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            troubles += [task.result() for task in some if task.result()]
            if any(host.ready for host in self._hosts):
                until = min(until, loop.time() + SETTLE_S)
        ready = [host for host in self._hosts if host.ready]
        if not ready:
            raise EvolveError("no evaluation actor started: " + ("; ".join(troubles) or "no node answered in time"))
        models = Counter(host.model for host in ready if host.model)
        self._model = self._model or (models.most_common(1)[0][0] if models else "")
        for host in [host for host in ready if self._other_model(host.model)]:
            host.node.refused = self._other_model(host.model)
            ready.remove(host)
            self._release(host)
        for host in ready[self.slots :]:
            self._release(host)

    def _other_model(self, model: str) -> str:
        """Says that a node has other hardware than the stored run had, or most at the start; only where scores depend on it."""
        if not model or not self._model or model == self._model:
            return ""
        return f"comparable_on: the run is measured on '{self._model}', this is '{model}'"

    async def close(self) -> None:
        """Ends the hosts, and Ray where this pool connected to it."""
        if self._tending is not None:
            self._tending.cancel()
            self._tending = None
        hosts, self._hosts = self._hosts, []
        for waiting in self._waiting:
            waiting.host.cancel()
        await asyncio.gather(*map(self._end, hosts))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks, self._folders, self._nodes, self.isolation = set(), {}, {}, self._asked
        if self._connected:
            import ray

            self._connected = False
            ray.shutdown()

    def _connect(self) -> None:
        import ray

        if ray.is_initialized():
            return
        most = max((stage.cpus for stage in self._problem.stages), default=1.0) if self._problem else 1.0
        try:
            with scrubbed_environment():
                ray.init(
                    address=self._address or "local",
                    num_cpus=math.ceil(self._workers * max(1.0, most)) if self._workers and not self._address else None,
                    include_dashboard=False if self._address is None else None,
                    log_to_driver=False,
                    configure_logging=False,
                )
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise EvolveError(f"evaluator.address={self._address}: Ray did not start: {error}") from error
        self._connected = True
        # On a fault Ray prints a node's whole log to our standard output; `_lose` says it in a line (Ray 2.60: no option)
        ray._private.worker.print_to_stdstream = lambda *_, **__: None

    # ------------------------------------------------------------ jobs

    async def run(self, job: StageJob, serve: Serve = refuse) -> StageOutcome:
        deaths, reason = 0, ""
        for _ in range(TRIES):
            host = await self._host_for(Shape.of(job.problem.stage(job.stage)))
            if host is None:
                return job.failed(
                    Status.INFRA, f"no node could run it for {self._patience_s:g} s; {reason}".rstrip("; ")
                )
            try:
                outcome = await self._converse(host, job, serve)
            except HostLost as lost:
                reason = f"last: {lost}"
                self._lose(host, lost)
                deaths += lost.died and await self._answers(host.node)
                if deaths == DEATHS:
                    return job.failed(Status.CRASH, f"took down the actor that ran it, {DEATHS} times; {reason}")
            except BaseException:  # cancelled, or `serve` failed: the candidate's processes end first
                await self._stop(host)
                raise
            else:
                host.node.losses = 0
                self._free(host)
                return outcome
        return job.failed(Status.INFRA, f"no Ray actor finished it in {TRIES} tries; {reason}")

    async def _converse(self, host: RayHost, job: StageJob, serve: Serve) -> StageOutcome:
        """Runs a job on a host, and answers what it asks. A late message of a host that was written off reaches nobody."""
        within_s = _longest_s(job)
        kind, value = await host.call("run", job, self._boxed(job.problem), within_s=within_s)
        while kind == "ask":
            try:
                reply: Message = ("answer", await serve(value))
            except EvolveError as error:
                reply = ("refused", error)
            kind, value = await host.call("answer", reply, within_s=within_s)
        outcome: StageOutcome = value
        return outcome

    async def _stop(self, host: RayHost) -> None:
        try:
            await asyncio.shield(host.call("stop", within_s=CLOSE_S))
        except HostLost as lost:
            self._lose(host, lost)
        else:
            self._free(host)

    async def _host_for(self, shape: Shape) -> RayHost | None:
        """Returns a host for one job, or None after `patience_s` in which there was no hope of one."""
        if self._tending is None:
            raise RuntimeError("the pool is not started")
        loop = asyncio.get_running_loop()
        waiting = Waiting(shape=shape, since=loop.time(), hoped=loop.time(), host=loop.create_future())
        self._waiting.append(waiting)
        self._plan()
        try:
            return await waiting.host
        except asyncio.CancelledError:
            if not waiting.host.cancelled() and (host := waiting.host.result()):
                self._free(host)
            raise
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def _free(self, host: RayHost) -> None:
        host.busy = False
        self._plan()

    def _boxed(self, problem: Problem) -> list[Any]:
        """Returns the reference to a problem's zipped folder, in a list, so that Ray does not fetch it for each call."""
        import ray

        if problem.hash not in self._folders:
            self._folders[problem.hash] = ray.put(zip_folder(problem.path))
        return [self._folders[problem.hash]]

    # ------------------------------------------------------------ hosts

    def _plan(self) -> None:
        """Carries out what the placement decides; called whenever a host, a job or a node comes or goes."""
        now = asyncio.get_running_loop().time()
        plan = placement.plan(
            self._nodes.values(), self._hosts, [w for w in self._waiting if not w.host.done()], self.slots, now
        )
        for waiting, host in plan.give:
            assert isinstance(waiting, Waiting) and isinstance(host, RayHost)
            self._waiting.remove(waiting)
            host.busy = True
            waiting.host.set_result(host)
        for host in plan.release:
            assert isinstance(host, RayHost)
            self._release(host)
        for shape, node in plan.start:
            self._task(self._ready(self._open(shape, node)))

    def _open(self, shape: Shape, node: Node) -> RayHost:
        host = RayHost(shape=shape, node=node, lost=asyncio.get_running_loop().create_future())
        self._hosts.append(host)
        return host

    async def _ready(self, host: RayHost) -> str:
        """Starts a new host's actor and reads its node's facts; returns what is wrong with it, "" where nothing is."""
        import ray

        try:
            if host.node.losses and not await self._answers(host.node):
                raise HostLost("its node does not answer")
            if host.lost.done():
                return "it has left"
            options = {"max_restarts": 0, "max_task_retries": 0, **host.shape.options(), **_pinned(host.node)}
            host.actor = ray.remote(HostActor).options(**options).remote(self._asked)
            boxed = self._boxed(self._problem) if self._problem else []
            found = await host.call("ready", self._problem, boxed, within_s=START_S + SLACK_S)
        except HostLost as lost:
            self._lose(host, lost)
            if "ModuleNotFoundError" not in str(lost):
                return f"node {host.node.name}: {lost}"
            found, strange = {}, f"Evolve can't be imported there ({lost}); install the same on all nodes"
        else:
            strange = self._difference(found)
        if strange and self._tending is None:
            raise EvolveError(f"node {host.node.name}: {strange}")
        if refused := strange or self._lack(found):
            host.node.refused = refused
            if host in self._hosts:
                self._release(host)
            log.warning("node %s is not used: %s", host.node.name, refused)
            return f"node {host.node.name}: {refused}"
        if len(self._hosts) > self.slots and self._tending is not None:
            self._release(host)  # it was slow to start, and others took its place
            return ""
        host.ready, host.model = True, found["model"]
        host.watch = self._task(self._watch(host))
        self._plan()
        return ""

    def _difference(self, found: Mapping[str, Any]) -> str:
        """Says what a node has otherwise than the driver: an error at the start."""
        for name in ("python", "engine"):
            if found[name] != self._facts[name]:
                return f"its {name} is {found[name]}, the driver's {self._facts[name]}; install the same on all nodes"
        if found["imports"]:
            return f"preload: {', '.join(found['imports'])} can't be imported there; install it on all nodes"
        return ""

    def _lack(self, found: Mapping[str, Any]) -> str:
        """Says why the run does without a node; the weakest level at the start is the run's."""
        if found["missing"]:
            return f"it lacks {', '.join(found['missing'])}, which the problem requires"
        if fault := found["fault"] or self._other_model(found["model"]):
            return str(fault)
        level = found["isolation"]
        if self._tending is None:
            self.isolation = min(self.isolation, level, key=lambda level: [*LEVELS, "auto"].index(level))
        elif LEVELS.index(level) < LEVELS.index(self.isolation):
            return f"it isolates at level {level} only, the run at {self.isolation}"
        return ""

    async def _watch(self, host: RayHost) -> None:
        """Pings a host for as long as it lives."""
        try:
            while True:
                await asyncio.sleep(PING_EVERY_S)
                await host.call("ping", within_s=PING_S)
        except HostLost as lost:
            self._lose(host, lost)

    def _lose(self, host: RayHost, lost: HostLost) -> None:
        """Writes a host off, once, and lets its node rest."""
        if host.lost.done():
            return
        host.lost.set_result(lost)
        if host not in self._hosts:
            return
        log.warning("lost an evaluation actor on node %s: %s", host.node.name, lost)
        host.node.rest(asyncio.get_running_loop().time(), random.random())
        self._hosts.remove(host)
        self._task(self._end(host))
        self._plan()

    def _release(self, host: RayHost) -> None:
        self._hosts.remove(host)
        self._task(self._end(host))

    async def _end(self, host: RayHost) -> None:
        """Lets an actor that is well remove its files, then kills it. What runs on it hears that it is lost."""
        import ray

        if host.watch is not None:
            host.watch.cancel()
        if not host.lost.done():
            if host.ready:
                with contextlib.suppress(HostLost):
                    await host.call("close", within_s=CLOSE_S)
            host.lost.set_result(HostLost("closed"))
        if host.actor is not None:
            await asyncio.to_thread(ray.kill, host.actor)

    async def _answers(self, node: Node) -> bool:
        """Tells whether a node still runs anything: an actor that died there died alone."""
        import ray

        probe = ray.remote(_nothing).options(num_cpus=0, max_retries=0, **_pinned(node)).remote()
        try:
            await asyncio.wait_for(asyncio.wrap_future(probe.future()), PING_S)
        except (ray.exceptions.RayError, TimeoutError):
            ray.cancel(probe)
            return False
        return True

    # ------------------------------------------------------------ the cluster

    async def _tend(self) -> None:
        """Follows the cluster: nodes that join or leave, jobs that wait without hope."""
        import ray

        while True:
            await asyncio.sleep(TEND_S)
            try:
                self._list(await asyncio.wait_for(asyncio.to_thread(_alive_nodes), SLACK_S))
            except (ray.exceptions.RayError, RuntimeError, OSError) as error:
                log.warning("the Ray cluster's nodes can't be listed: %s", error)
            self._plan()
            self._give_up()

    def _list(self, alive: Mapping[str, Node]) -> None:
        """Takes up the nodes that joined, drops those that left, with their hosts."""
        for id, node in alive.items():
            known = self._nodes.setdefault(id, node)
            known.total = node.total
        for id in set(self._nodes) - set(alive):
            node = self._nodes.pop(id)
            for host in [host for host in self._hosts if host.node is node]:
                self._lose(host, HostLost(f"node {node.name} has left the cluster"))

    def _give_up(self) -> None:
        """Ends the wait of jobs that no host could serve for `patience_s`; says once that they wait."""
        now = asyncio.get_running_loop().time()
        for waiting in list(self._waiting):
            if self._hope(waiting.shape):
                waiting.hoped, self._said_hopeless = now, False
            elif now - waiting.hoped >= self._patience_s:
                self._waiting.remove(waiting)
                waiting.host.set_result(None)
            elif not self._said_hopeless:
                self._said_hopeless = True
                log.warning("no Ray node can run evaluations now; waiting %g s for one", self._patience_s)

    def _hope(self, shape: Shape) -> bool:
        """Tells whether a host is up whose node could hold the shape, or starts on a node that lost none."""
        return any((host.ready or not host.node.losses) and shape.fits(host.node.total) for host in self._hosts)

    def _task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _alive_nodes() -> dict[str, Node]:
    import ray

    return {
        row["NodeID"]: Node(id=row["NodeID"], name=row["NodeManagerHostname"], total=row["Resources"])
        for row in ray.nodes()
        if row["Alive"]
    }


def _brief(error: BaseException) -> str:
    """Returns the first and the last line of what may be a long remote traceback."""
    lines = str(error).strip().splitlines() or [""]
    return " ... ".join([f"{type(error).__name__}: {lines[0]}"[:400], *[line.strip()[:400] for line in lines[1:][-1:]]])


def _pinned(node: Node) -> dict[str, Any]:
    """Returns the option that runs something on one node or nowhere."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False)}


def _nothing() -> None: ...


@contextlib.contextmanager
def scrubbed_environment() -> Iterator[None]:
    """Leaves in this process's environment only what Ray needs, for as long as the block runs. What Ray itself sets stays."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update({k: v for k, v in kept.items() if k in KEPT or k.startswith(KEPT_PREFIXES)})
    try:
        yield
    finally:
        kept |= {
            k: v for k, v in os.environ.items() if k.startswith("RAY_")
        }  # RAY_AUTH_MODE, which children must share
        os.environ.clear()
        os.environ.update(kept)


def _longest_s(job: StageJob) -> float:
    """How long an actor may take that retries on a fresh worker as often as it does."""
    return DEATHS * (2 * START_S + job.problem.stage(job.stage).wall_s + GRACE_S) + SLACK_S
