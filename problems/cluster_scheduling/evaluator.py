"""Referee of cluster scheduling: simulates jobs that come and go, asks which machine takes each, measures what is stranded.

Source of the problem: AlphaEvolve's data-centre scheduling (Novikov et al. 2025, arXiv:2506.13131). The simulation lives here,
so a candidate can't see the jobs to come, nor when one leaves; it may keep a memory of those it saw. Resources are whole
numbers (millionths of a machine), so nothing rounds. Not covered: a program that has learnt the fixed draws by heart; the
hold-out, with other seeds, jobs and machines, shows that.
"""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np

from evolve.problem import Instance, Invalid, Result, Stage

UNIT = 1_000_000  # of each resource in a machine
LEAST, MOST = 5_000, 600_000  # that a job asks for
JITTER = 0.25  # of log sizes, standard deviation
TYPES = np.array([(0.05, 0.02), (0.02, 0.06), (0.1, 0.1), (0.25, 0.08), (0.06, 0.3), (0.01, 0.01)])  # cpu, memory
USUAL = (0.25, 0.25, 0.2, 0.1, 0.1, 0.1)  # shares of the types
SHIFTED = (0.35, 0.15, 0.1, 0.15, 0.1, 0.15)  # in the hold-out: more jobs that ask for cpu
CLASSES = ((0.0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 1.01))  # of what is left of a machine's scarcer resource


class Plan(NamedTuple):
    """A simulation: one job arrives per tick and stays for `mean_life` ticks on average; measured from tick `warm_up` on."""

    machines: int
    jobs: int
    warm_up: int
    mean_life: float
    shares: tuple[float, ...] = USUAL


MAIN = Plan(60, 6000, 1500, 480.0)
PLANS = {
    "small": (Plan(20, 600, 200, 160.0),),
    "main": (MAIN,),
    "holdout": (MAIN, MAIN, Plan(100, 8000, 2400, 800.0), Plan(60, 6000, 1500, 480.0, SHIFTED)),
}


def instances(stage: Stage, rng: np.random.Generator) -> list[Instance]:
    """Returns the stage's simulations, drawn one after another; the jobs are secret, shown one by one."""
    plans = PLANS.get(stage.name, PLANS["main"])
    chosen = [plans[k % len(plans)] for k in range(stage.instances or len(plans))]
    return [
        Instance({"machines": plan.machines}, secret=draw(rng, plan), name=f"{plan.machines}-machines-{k}")
        for k, plan in enumerate(chosen)
    ]


def draw(rng: np.random.Generator, plan: Plan) -> dict[str, Any]:
    """Returns the jobs: what each asks for (cpu, memory), in UNITs, and the tick at which it leaves again."""
    kinds = rng.choice(len(TYPES), plan.jobs, p=plan.shares)
    sizes = TYPES[kinds] * np.exp(JITTER * rng.normal(size=(plan.jobs, 2)))
    leaves = np.arange(plan.jobs) + rng.exponential(plan.mean_life, plan.jobs)
    return {
        "required": np.clip(np.rint(sizes * UNIT), LEAST, MOST).astype(np.int64).tolist(),
        "leaves": np.ceil(leaves).astype(np.int64).tolist(),
        "warm_up": plan.warm_up,
    }


# ---------------------------------------------------------------- the session


class Cluster:
    """The machines as jobs come and go. `free` is what is left of cpu and memory, (machines, 2), in UNITs."""

    def __init__(self, machines: int, jobs: dict[str, Any]):
        self.required = np.array(jobs["required"], dtype=np.int64)
        self.leaves = jobs["leaves"]
        self.free = np.full((machines, 2), UNIT, dtype=np.int64)
        self._running: list[tuple[int, int, int]] = []  # when it ends, job, machine

    def advance(self, tick: int) -> None:
        """Frees what the jobs that end by a tick held."""
        while self._running and self._running[0][0] <= tick:
            _, job, machine = heapq.heappop(self._running)
            self.free[machine] += self.required[job]

    def fitting(self, job: int) -> np.ndarray:
        """Returns which machines have room for a job, a bool each."""
        return (self.free >= self.required[job]).all(axis=1)

    def place(self, job: int, machine: int) -> None:
        self.free[machine] -= self.required[job]
        heapq.heappush(self._running, (self.leaves[job], job, machine))

    def stranded(self) -> float:
        """Returns the share of all resources that can't be used in equal parts: half of |free cpu - free memory|, mean."""
        return int(np.abs(self.free[:, 0] - self.free[:, 1]).sum()) / (2 * UNIT * len(self.free))

    def imbalance(self) -> float:
        """Returns what would be stranded if all machines were one: no placement strands less at this moment."""
        cpu, memory = self.free.sum(axis=0).tolist()
        return abs(cpu - memory) / (2 * UNIT * len(self.free))


def drive(instance: Instance, candidate: Any) -> list[int]:
    """Returns the machine of each job, -1 where none had room.

    For each job that fits somewhere `candidate.score` gets what it asks for, (2,), and what every machine has left,
    (machines, 2), in machines; of the machines with room the one with the highest score gets the job, the first of equals.
    """
    cluster = Cluster(instance.input["machines"], instance.secret)
    placements = []
    for job, required in enumerate(cluster.required):
        cluster.advance(job)
        fitting = cluster.fitting(job)
        machine = -1
        if fitting.any():
            scores = check_scores(candidate.score(required / UNIT, cluster.free / UNIT), fitting, job)
            machine = int(np.where(fitting, scores, -np.inf).argmax())
            cluster.place(job, machine)
        placements.append(machine)
    return placements


def check_scores(scores: Any, fitting: np.ndarray, job: int) -> np.ndarray:
    """Returns the scores as an array. Raises Invalid unless they are real, one per machine, finite where the job fits."""
    where = f"job {job}, {len(fitting)} machines"
    if isinstance(scores, list | tuple):
        scores = _from_list(scores, where)
    if type(scores) is not np.ndarray:
        raise Invalid(f"{where}: score returned a value of type {type(scores).__name__}; return one score per machine")
    if scores.dtype.kind not in "fiu":
        raise Invalid(f"{where}: score returned an array of {scores.dtype}; scores must be real numbers")
    if scores.shape != fitting.shape:
        raise Invalid(f"{where}: score returned scores of shape {scores.shape}; the shape must be {fitting.shape}")
    wrong = fitting & ~np.isfinite(scores)
    if wrong.any():
        bad = int(wrong.argmax())
        raise Invalid(f"{where}: the score of machine {bad}, which has room, is {scores[bad]}; it must be finite")
    return scores


def _from_list(scores: list[Any] | tuple[Any, ...], where: str) -> np.ndarray:
    for value in scores:
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise Invalid(f"{where}: a score is of type {type(value).__name__}; scores must be real numbers")
    try:
        return np.array(scores, dtype=np.float64)
    except OverflowError:
        raise Invalid(f"{where}: a score is too large for a float") from None


# ---------------------------------------------------------------- the score


def score(instance: Instance, output: list[int]) -> Result:
    """Returns the rejected jobs and the mean share of stranded resources, by running the placements once more."""
    cluster = Cluster(instance.input["machines"], instance.secret)
    warm_up = instance.secret["warm_up"]
    if len(output) != len(cluster.required):
        raise Invalid(f"{len(output)} placements for {len(cluster.required)} jobs")
    rejected = 0
    stranded, imbalance, empty, left = [], [], [], []
    for job, machine in enumerate(output):
        cluster.advance(job)
        fitting = cluster.fitting(job)
        if machine == -1 and not fitting.any():
            rejected += 1
        elif 0 <= machine < len(fitting) and fitting[machine]:
            cluster.place(job, machine)
        else:
            raise Invalid(f"job {job} can't go to machine {machine}")
        if job >= warm_up:
            stranded.append(cluster.stranded())
            imbalance.append(cluster.imbalance())
            empty.append(float(np.mean((cluster.free == UNIT).all(axis=1))))
            left.append(cluster.free.min(axis=1))
    return Result(
        metrics={"stranded": float(np.mean(stranded)), "rejected": float(rejected)},
        feedback=_feedback(instance, rejected, cluster, stranded, imbalance, left),
        features={
            "empty": float(np.mean(empty)),
            "spread": float(np.mean(np.std(left, axis=1))) / UNIT,
            "beyond_imbalance": float(np.mean(stranded) - np.mean(imbalance)),
        },
    )


def _feedback(instance: Instance, rejected: int, cluster: Cluster, stranded: list, imbalance: list, left: list) -> str:
    scarce = np.array(left) / UNIT
    classes = ", ".join(
        f"{low:g} to {min(high, 1):g}: {np.mean((scarce >= low) & (scarce < high)):.0%}" for low, high in CLASSES
    )
    return (
        f"{instance.name}: {len(cluster.required)} jobs, {rejected} rejected. Stranded {np.mean(stranded):.4f} of all "
        f"resources (worst moment {max(stranded):.4f}); {np.mean(imbalance):.4f} can't be avoided, since the jobs present ask "
        f"for more of one resource.\nMachines by what is left of their scarcer resource: {classes}."
    )
