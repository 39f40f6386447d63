"""Selectors of a parent that compare members with one another: they see the island's pool, which is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evolve import checks
from evolve.search.island import Island
from evolve.search.member import Member

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Draws a cluster of equal scores on every instance by the softmax of its score, then a short member of it
    (Romera-Paredes et al. 2023, doi:10.1038/s41586-023-06924-6, FunSearch, Methods: "Sampling a program from an island").

    Scores are taken relative to the pool's spread; the temperature falls linearly to 0 over `period` candidates, again and
    again.
    """

    temperature: float = 0.1
    period: int = 3000

    def __post_init__(self) -> None:
        checks.number("selection.parents.temperature", self.temperature, 0)
        checks.whole("selection.parents.period", self.period, 1)

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        clusters: dict[tuple[float, ...], list[Member]] = {}
        for member in _comparable(island):
            clusters.setdefault(member.vector or (member.score,), []).append(member)
        scores = np.array([members[0].score for members in clusters.values()])
        left = 1 - island.own % self.period / self.period
        chosen = list(clusters.values())[_softmax(_scaled(scores) / max(self.temperature * left, 1e-9), rng)]
        sizes = np.array([float(member.size) for member in chosen])
        return chosen[_softmax(-(sizes - sizes.min()) / (sizes.max() + 1e-6), rng)].id


@dataclass(frozen=True, slots=True, kw_only=True)
class NoveltyWeighted:
    """Draws by a sigmoid of the score above the median, divided by 1 + the number of children
    (Lange et al. 2025, arXiv:2509.19349, ShinkaEvolve, 3.1). The scale is the median absolute deviation.
    """

    pressure: float = 3.0

    def __post_init__(self) -> None:
        checks.number("selection.parents.pressure", self.pressure, 0)

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        members = _comparable(island)
        scores = np.array([member.score for member in members])
        above = scores - np.median(scores)
        spread = float(np.median(np.abs(above))) or float(np.abs(above).max()) or 1.0
        weights = 1 / (1 + np.exp(np.clip(-self.pressure * above / spread, -500, 500)))
        children = np.array([island.pool.children.get(member.id, 0) for member in members])
        return members[_draw(weights / (1 + children), rng)].id


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFront:
    """Draws a member by the number of instances (or objectives) on which none is better, those left out that another one
    dominates (Agrawal et al. 2025, arXiv:2507.19457, GEPA, algorithm 2)."""

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        members, values = _compared(island)
        wins = (values == values.max(axis=0)).sum(axis=1)
        front = np.flatnonzero(wins)
        front = front[~_dominated(values[front])]
        return members[int(front[_draw(wins[front], rng)])].id


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicase:
    """Keeps, instance by instance in a random order, those within a median absolute deviation of the best
    (La Cava et al. 2016, arXiv:1905.13266, epsilon-lexicase, semi-dynamic)."""

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        members, values = _compared(island)
        epsilon = np.median(np.abs(values - np.median(values, axis=0)), axis=0)
        left = np.arange(len(members))
        for column in rng.permutation(values.shape[1]):
            here = values[left, column]
            left = left[here >= here.max() - epsilon[column]]
            if len(left) == 1:
                break
        return members[int(left[rng.integers(len(left))])].id


@dataclass(frozen=True, slots=True, kw_only=True)
class NonDominated:
    """Takes the better of two by non-dominated rank, then by crowding distance (Deb et al. 2002, NSGA-II): for several
    objectives, else for instances."""

    def parent(self, island: Island, rng: np.random.Generator) -> int:
        members, values = _compared(island)
        values = values[:, -len(members[0].objectives) :]  # all of them where there is one objective
        a, b = (int(x) for x in rng.integers(len(members), size=2))
        ranks = fronts(values)
        crowding = (
            _crowding(values[ranks == ranks[a]], np.flatnonzero(ranks == ranks[a])) if ranks[a] == ranks[b] else {}
        )
        better = (-ranks[a], crowding.get(a, 0.0)) >= (-ranks[b], crowding.get(b, 0.0))
        return members[a if better else b].id


def fronts(values: Matrix) -> NDArray[np.int64]:
    """Returns the non-dominated rank of each row, 0 the front itself; higher values are better."""
    worse = _worse(values)
    ranks = np.full(len(values), -1)
    rank = 0
    while (ranks < 0).any():
        open_ones = ranks < 0
        ranks[open_ones & ~(worse & open_ones).any(axis=1)] = rank
        rank += 1
    return ranks


def _worse(values: Matrix) -> NDArray[np.bool_]:
    """Returns, for rows i and j, whether j dominates i: nowhere worse and somewhere better."""
    nowhere_worse = np.ones((len(values), len(values)), bool)
    somewhere_better = np.zeros_like(nowhere_worse)
    for column in values.T:
        nowhere_worse &= column >= column[:, None]
        somewhere_better |= column > column[:, None]
    return nowhere_worse & somewhere_better


def _dominated(values: Matrix) -> NDArray[np.bool_]:
    return np.asarray(_worse(values).any(axis=1))


def _crowding(values: Matrix, places: NDArray[np.int64]) -> dict[int, float]:
    """Returns each place's crowding distance among the rows of its front; those at an end have infinity."""
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if spread > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return dict(zip(places.tolist(), distance.tolist(), strict=True))


def _comparable(island: Island) -> list[Member]:
    """Returns the pool's members that violate least (feasible ones where there are any)."""
    members = list(island.pool)
    return [member for member in members if member.violation <= members[0].violation]


def _compared(island: Island) -> tuple[list[Member], Matrix]:
    """Returns those of whom as much is known as of any, with a row of values for each; the best alone where there is none."""
    members = [member for member in _comparable(island) if island.pool.knows(member)]
    return (members, island.pool.columns(members)) if members else (_comparable(island)[:1], np.zeros((1, 1)))


def _scaled(values: Matrix) -> Matrix:
    """Returns values from 0 (the least) to 1."""
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread > 0 else np.zeros(len(values))


def _softmax(logits: Matrix, rng: np.random.Generator) -> int:
    return _draw(np.exp(logits - logits.max()), rng)


def _draw(weights: NDArray[np.float64] | NDArray[np.int64], rng: np.random.Generator) -> int:
    """Returns a place with a probability proportional to its weight."""
    edges = np.cumsum(weights)
    return min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(edges) - 1)
