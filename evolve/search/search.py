"""The search: a pure, synchronous state machine over events (ask/tell). No I/O, no clock, no source text."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evolve import checks
from evolve.search.island import Island
from evolve.search.islands import ResetWeakest, Ring
from evolve.search.randomness import generator
from evolve.search.selectors import InspirationSelector, OperatorSelector, ParentSelector
from evolve.search.thresholds import Rule, Thresholds
from evolve.search.tuning import Gains, Tuning
from evolve.types import Event, ProposalRequest, Reevaluate, Request, Status, TuneRequest

FIXABLE = (Status.INVALID, Status.CRASH, Status.TIMEOUT, Status.MEMORY, Status.LIMIT, Status.BUILD_FAILED)
GIVE_UP = 4  # candidates of an island that has none, where another has
TRIED = 8  # how many earlier children of a parent a request names
NONE = 0  # ids count from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How the search chooses: one YAML group (`selection`). `migration`, `reset` and `tuning` may be None.

    `islands` None means one per 100 candidates of the budget, at least 1 and at most 8.
    """

    parent: ParentSelector
    inspirations: InspirationSelector
    operators: OperatorSelector
    migration: Ring | None = None
    reset: ResetWeakest | None = None
    tuning: Tuning | None = None
    islands: int | None = None

    def __post_init__(self) -> None:
        checks.whole("selection.islands", self.islands, 1, 1000, or_null=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """Results are told in id order, behind a window of that many proposals."""

    window: int = 16

    def __post_init__(self) -> None:
        checks.whole("schedule.window", self.window, 1)


class Async:
    """Results are told as they arrive."""

    window = None


Schedule = Ordered | Async


class Search:
    """Decides what is asked next and takes in what was told.

    `ask` and `tell` decide; each decision is an event, and `apply` alone changes state, so that replaying the events gives
    the same state. `window` is the schedule: None tells in any order (`async`); W makes proposal n from the state after
    candidates 1 .. n - W, and takes tells in id order (`ordered`).
    """

    def __init__(
        self,
        *,
        seed: int,
        islands: int,
        strategy: Strategy,
        rules: Mapping[str, Rule] | None = None,
        window: int | None = None,
    ):
        self.seed = seed
        self.strategy = strategy
        self.window = window
        self.islands = [Island(index) for index in range(islands)]
        self.asked = 0
        self.told = 0
        self._thresholds = Thresholds(rules or {})
        self._gains = Gains()
        self._events: list[Event] = []
        self._seq = 0
        self._since_migration = 0
        self._since_reset = 0
        # one entry per candidate id; index 0 is unused
        self._score = array("d", [float("nan")])
        self._island = array("h", [-1])
        self._parent = array("q", [NONE])
        self._newest_child = array("q", [NONE])
        self._elder_sibling = array("q", [NONE])
        self._told_seq = array("q", [NONE])
        self._open: dict[int, int] = {}  # asked and not yet told -> seq of the asking, in the order of asking
        self._fixing: set[int] = set()  # open ones that mend a near miss
        self._from_nothing = True  # no initial program was added
        self._founding: dict[int, tuple[int, ...]] = {}  # added and not yet told -> the islands it founds
        self._best: tuple[float, int] = (float("-inf"), NONE)

    # ------------------------------------------------------------ reading

    @property
    def size(self) -> int:
        """How many ids were given out."""
        return len(self._score) - 1

    @property
    def best(self) -> int | None:
        """The id of the best `ok` candidate; of equals the first asked."""
        return self._best[1] or None

    def score(self, candidate: int) -> float:
        """Returns a candidate's score, NaN unless it is `ok`."""
        return self._score[candidate]

    def ancestors(self, candidate: int, most: int) -> list[int]:
        """Returns a candidate's line of parents, nearest first, at most that many."""
        line: list[int] = []
        while len(line) < most and (candidate := self._parent[candidate]) != NONE:
            line.append(candidate)
        return line

    def open(self) -> list[int]:
        """Returns the ids asked and not yet told, in the order of asking."""
        return list(self._open)

    def proposed_seq(self, candidate: int) -> int:
        """Returns the place in the log that was kept for an open candidate's `proposed` event: right behind its asking."""
        return self._open[candidate] + 1

    def knew(self, candidate: int, other: int) -> bool:
        """Says whether another one had been told when an open candidate was asked."""
        return NONE < self._told_seq[other] < self._open[candidate]

    def may_ask(self) -> bool:
        return self.window is None or len(self._open) < self.window

    def may_tell(self, candidate: int, asking_ended: bool) -> bool:
        """Says whether a result may be told now; `ordered` waits for its turn and for the proposals due before it."""
        if self.window is None:
            return True
        return candidate == next(iter(self._open)) and (asking_ended or not self.may_ask())

    def take_events(self) -> list[Event]:
        """Returns the events since the last call, in order; the caller makes them durable."""
        events, self._events = self._events, []
        return events

    # ------------------------------------------------------------ deciding

    def add(self, origin: str, islands: Sequence[int]) -> int:
        """Gives an id to a candidate that nobody asked for (an initial program, a human's)."""
        return self._decide("added", self.size + 1, {"origin": origin, "islands": list(islands)})

    def ask(self) -> Request:
        """Decides on the next proposal. The caller asks only while `may_ask()`."""
        candidate = self.size + 1
        island = self._next_island()
        rng = generator(self.seed, "select", candidate)
        parent, inspirations, operator = self._choice(island, rng)
        request = ProposalRequest(
            id=candidate,
            island=island.index,
            operator=operator,
            parent=parent or None,
            inspirations=inspirations,
            tried=self._tried(parent) if parent else (),
            thresholds=self._thresholds.now(),
            tune=self._tune(island, rng),
        )
        self._decide("asked", candidate, request_data(request))
        return request

    def _choice(self, island: Island, rng: np.random.Generator) -> tuple[int, tuple[int, ...], str]:
        """Returns parent, inspirations and operator. `fix` has a failed parent, and that one's parent beside it."""
        if not len(island):
            return (island.near_misses[-1], (), "fix") if island.near_misses else (NONE, (), "initial")
        parent = self.strategy.parent.parent(island, rng)
        better = island.rank(NONE, self._score[parent])  # strictly: equals, even older ones, teach nothing
        inspirations = self.strategy.inspirations.inspirations(island, parent, better, rng)
        given = {"crossover": inspirations, "fix": island.near_misses}
        operator = self.strategy.operators.operator(lambda name: bool(given.get(name, True)), rng)
        if operator == "fix":
            parent = island.near_misses[-1]
            inspirations = (self._parent[parent],) if self._parent[parent] else ()
        return parent, inspirations, operator

    def _tune(self, island: Island, rng: np.random.Generator) -> dict[str, Any] | None:
        tuning = self.strategy.tuning
        if tuning is None:
            return None
        median = self._score[island.at(len(island) // 2)] if len(island) else None
        return tuning.plan(median, self._gains, rng)

    def tell(
        self,
        candidate: int,
        status: Status,
        score: float | None,
        stage_scores: Mapping[str, float],
        vector: Sequence[float] = (),
        behaves_as: int | None = None,
        tuned: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes in a candidate's outcome; migrations and resets that fall due follow as events of their own.

        `vector` has its score on each instance, `behaves_as` is who had the same metrics on each. `tuned` says what became of
        its tuning, if there was one: an event of its own right before.
        """
        if tuned is not None:
            self._decide("tuned", candidate, dict(tuned))
        told: dict[str, Any] = {"status": status.value, "score": score, "stage_scores": dict(stage_scores)}
        told |= {"vector": list(vector), "behaves_as": behaves_as}
        self._decide("told", candidate, told)
        self._migrate_if_due()
        self._reset_if_due(candidate)

    def told_again(self, candidate: int, kind: str, status: Status, score: float | None) -> None:
        """Takes in the outcome of a Reevaluate (`reevaluated`): the candidate's score changes."""
        self._decide(kind, candidate, {"status": status.value, "score": score})

    def _decide(self, kind: str, candidate: int | None, data: dict[str, Any]) -> int:
        event = Event(seq=self._seq + 1, kind=kind, candidate=candidate, data=data)
        self.apply(event)
        self._events.append(event)
        return candidate or NONE

    def _next_island(self) -> Island:
        """Returns the islands in turn; one that has no member lends its turn to the next that has.

        Without an initial program each island begins with one of its own, and gives up after GIVE_UP failures where another
        island has members.
        """
        turn = [self.islands[(self.asked + step) % len(self.islands)] for step in range(len(self.islands))]
        settled = [island for island in turn if len(island)]
        if self._from_nothing and not len(turn[0]) and (not settled or turn[0].own < GIVE_UP):
            return turn[0]
        if not settled:
            raise ValueError("ask() before any candidate was told ok")
        return settled[0]

    def _tried(self, parent: int) -> tuple[int, ...]:
        newest: list[int] = []
        child = self._newest_child[parent]
        while child != NONE and len(newest) < TRIED:
            newest.append(child)
            child = self._elder_sibling[child]
        return tuple(reversed(newest))

    def _migrate_if_due(self) -> None:
        migration = self.strategy.migration
        if migration and self._since_migration >= migration.every * len(self.islands):
            moves = [[source, target, list(ids)] for source, target, ids in migration.moves(self.islands)]
            self._decide("migrated", None, {"moves": moves})

    def _reset_if_due(self, candidate: int) -> None:
        reset = self.strategy.reset
        if reset and len(self.islands) > 1 and self._since_reset >= reset.every * len(self.islands):
            resets = reset.resets(self.islands, generator(self.seed, "reset", candidate))
            self._decide("reset", None, {"resets": [list(pair) for pair in resets]})

    # ------------------------------------------------------------ changing state

    def apply(self, event: Event) -> None:
        """Changes the state by one event, decided now or read back; the only place where state changes."""
        kind, data = event.kind, event.data
        if kind == "asked" and data["request"] == "proposal":
            self._apply_asked(event)
        elif kind == "told":
            self._told_seq[event.candidate or NONE] = event.seq
            self._apply_told(event.candidate or NONE, data)
        elif kind == "added":
            self._from_nothing = False
            self._extend(data["islands"][0] if data["islands"] else -1, NONE)
            self._open[event.candidate or NONE] = event.seq
            self._founding[event.candidate or NONE] = tuple(data["islands"])
        elif kind == "tuned":
            self._gains.observe(data)
        elif kind == "reevaluated":
            self._rescore(event.candidate or NONE, data)
        elif kind == "migrated":
            self._since_migration = 0
            for _, target, ids in data["moves"]:
                for candidate in ids:
                    self.islands[target].add(candidate, self._score[candidate], self._vector(candidate))
        elif kind == "reset":
            self._since_reset = 0
            for index, founder in data["resets"]:
                vector = self._vector(founder)
                self.islands[index].clear()
                self.islands[index].add(founder, self._score[founder], vector)
        self._seq = max(self._seq, event.seq + (kind in ("asked", "added")))

    @classmethod
    def load(cls, events: Iterable[Event], **settings: Any) -> Search:
        """Builds the state of a stored run from its events; equal to having told them one by one."""
        search = cls(**settings)
        for event in events:
            search.apply(event)
        return search

    def _extend(self, island: int, parent: int) -> None:
        self._score.append(float("nan"))
        self._island.append(island)
        self._parent.append(parent)
        self._newest_child.append(NONE)
        self._elder_sibling.append(NONE)
        self._told_seq.append(NONE)

    def _apply_asked(self, event: Event) -> None:
        self._extend(event.data["island"], event.data["parent"] or NONE)
        self.asked += 1
        self._open[event.candidate or NONE] = event.seq
        if event.data["operator"] == "fix":
            self._fixing.add(event.candidate or NONE)
            near = self.islands[event.data["island"]].near_misses
            if event.data["parent"] in near:  # a reset may have cleared it
                near.remove(event.data["parent"])

    def _apply_told(self, candidate: int, data: Mapping[str, Any]) -> None:
        del self._open[candidate]
        self._thresholds.observe(data["stage_scores"])
        parent = self._parent[candidate]
        if parent != NONE:
            self._elder_sibling[candidate] = self._newest_child[parent]
            self._newest_child[parent] = candidate
        homes = self._founding.pop(candidate, None)
        for index in homes if homes is not None else (self._island[candidate],):
            self._take_in(candidate, index, data, own=homes is None)
        if homes is None:
            self.told += 1
            self._since_migration += 1
            self._since_reset += 1

    def _take_in(self, candidate: int, index: int, data: Mapping[str, Any], own: bool) -> None:
        island = self.islands[index]
        island.own += own
        if own and self._is_near_miss(candidate, island, data["status"]):
            island.near_misses.append(candidate)
        self._fixing.discard(candidate)
        if data["status"] == Status.OK:
            score = float(data["score"])
            self._score[candidate] = score
            island.add(candidate, score, tuple(data["vector"]))
            if (score, -candidate) > (self._best[0], -self._best[1]):  # of equals the first asked
                self._best = (score, candidate)

    def _is_near_miss(self, candidate: int, island: Island, status: str) -> bool:
        """Says whether a failed candidate is worth mending: its parent is of the island's better half, and it is no repair."""
        if status not in FIXABLE or candidate in self._fixing:
            return False
        parent = self._parent[candidate]
        if parent == NONE:
            return not len(island)
        score = self._score[parent]
        return score == score and 2 * island.rank(parent, score) < len(island)

    def _vector(self, candidate: int) -> tuple[float, ...]:
        """Returns a candidate's scores on each instance, () where no island keeps them."""
        return next((island.vectors[candidate] for island in self.islands if candidate in island.vectors), ())

    def _rescore(self, candidate: int, data: Mapping[str, Any]) -> None:
        old = self._score[candidate]
        score = float(data["score"]) if data["status"] == Status.OK else float("nan")
        self._score[candidate] = score
        for island in self.islands:
            vector = island.vectors.get(candidate, ())
            if island.remove(candidate, old) and score == score:
                island.add(candidate, score, vector)
        if candidate == self._best[1] or score > self._best[0]:
            scores = np.array(self._score)
            best = int(np.nanargmax(scores)) if not np.isnan(scores).all() else NONE
            self._best = (float(scores[best]), best) if best else (float("-inf"), NONE)


def request_data(request: Request) -> dict[str, Any]:
    """Returns a request as the data of its `asked` event (ids, numbers and names only)."""
    kind = {ProposalRequest: "proposal", TuneRequest: "tune", Reevaluate: "reevaluate"}[type(request)]
    data = {name: getattr(request, name) for name in type(request).__dataclass_fields__ if name != "id"}
    return {"request": kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}}


def request_of(candidate: int, data: Mapping[str, Any]) -> Request:
    """Returns the request that an `asked` event's data holds."""
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "request"}
    if data["request"] == "proposal":
        return ProposalRequest(id=candidate, **fields)
    return TuneRequest(**fields) if data["request"] == "tune" else Reevaluate(**fields)
