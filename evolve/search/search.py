"""The search: a pure, synchronous state machine over events (ask/tell). No I/O, no clock, no source text."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from evolve import checks
from evolve.errors import UsageError
from evolve.search.incumbents import Incumbents
from evolve.search.inspirations import InspirationSelector
from evolve.search.island import Island
from evolve.search.member import Key, Member
from evolve.search.migration import Migration
from evolve.search.operators import WeightedOperators
from evolve.search.portfolio import Portfolio
from evolve.search.randomness import generator
from evolve.search.reset import NOBODY, ResetWeakest
from evolve.search.selectors import MapElites, ParentSelector
from evolve.search.stagnation import EXPLORE, FORMULATION, TUNE, Stagnation
from evolve.search.steered import Said, Steered
from evolve.search.thresholds import Rule, Thresholds
from evolve.search.tuning import Gains, Tuning
from evolve.types import Event, ProposalRequest, Status

FIXABLE = (Status.INVALID, Status.CRASH, Status.TIMEOUT, Status.MEMORY, Status.LIMIT, Status.BUILD_FAILED)
GIVE_UP = 4  # candidates of an island that has none, where another has
TRIED = 8  # how many earlier children of a parent a request names
NONE = 0  # ids count from 1
FOUNDING = ("initial", "warm")  # origins of what islands begin with


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How the search chooses: one YAML group (`selection`). All but the first three may be None.

    Island i has the parent selector i modulo their number. Without a portfolio the islands take turns. `islands` None means
    one per 100 candidates of the budget, at least 1 (or one per selector) and at most 8.
    """

    parents: Sequence[ParentSelector]
    inspirations: InspirationSelector
    operators: WeightedOperators
    portfolio: Portfolio | None = None
    migration: Migration | None = None
    reset: ResetWeakest | None = None
    stagnation: Stagnation | None = None
    tuning: Tuning | None = None
    islands: int | None = None

    def __post_init__(self) -> None:
        checks.whole("selection.islands", self.islands, 1, 1000, or_null=True)
        if not self.parents:
            raise UsageError("selection.parents=[]: at least one selector is needed")

    def count(self, candidates: int) -> int:
        """Returns how many islands a run of so many candidates has."""
        return self.islands or min(8, max(1, candidates // 100, len(self.parents)))

    def island(self, index: int) -> Island:
        """Returns an empty island."""
        selector = self.parent(index)
        return Island(index, selector.grid() if isinstance(selector, MapElites) else None)

    def parent(self, index: int) -> ParentSelector:
        """Returns the selector of an island."""
        return self.parents[index % len(self.parents)]


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
        lending: Sequence[str] = (),
        window: int | None = None,
    ):
        self.seed = seed
        self.strategy = strategy
        self.window = window
        self.islands = [strategy.island(index) for index in range(islands)]
        self.asked = 0
        self.told = 0
        self._thresholds = Thresholds(rules or {})
        self.incumbents = Incumbents(lending)
        self.steered = Steered()
        self._gains = Gains()
        self._events: list[Event] = []
        self._seq = 0
        self._since_migration = 0
        self._since_reset = 0
        self._since_best = 0  # told since the best came, or since an answer to stagnation
        self._answered = 0  # answers to stagnation since the best came
        self._to_explore = 0  # proposals that are to be another idea
        self.to_tune: Counter[int] = Counter()  # how often an answer to stagnation named an elite
        self._initials: dict[int, Member | None] = {}  # None: not ok
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
        self._joining: dict[int, tuple[int, ...]] = {}  # added and not yet told -> the islands it joins
        self._founders: set[int] = set()  # those of them that islands begin with
        self._violation: dict[int, float] = {}  # of ok ones that violate a constraint, by how much
        self._best: Key | None = None

    # ------------------------------------------------------------ reading

    @property
    def size(self) -> int:
        """How many ids were given out."""
        return len(self._score) - 1

    @property
    def best(self) -> int | None:
        """The id of the best `ok` candidate; of equals the first asked."""
        return self._best[2] if self._best else None

    def score(self, candidate: int) -> float:
        """Returns a candidate's score, NaN unless it is `ok`."""
        return self._score[candidate]

    def leads(self, score: float, violation: float = 0.0) -> bool:
        """Says whether an ok candidate with that outcome would be the best."""
        return self._best is None or (violation, -score) < self._best[:2]

    def key(self, candidate: int) -> Key:
        """Returns what ranks an `ok` candidate; lower is better."""
        return self._violation.get(candidate, 0.0), -self._score[candidate], candidate

    def top(self, most: int) -> list[int]:
        """Returns the best `ok` candidates of all islands, at most that many, the best first."""
        keys = {key for island in self.islands for key in islice(island.keys(), most)}
        return [candidate for _, _, candidate in sorted(keys)[:most]]

    def elites(self) -> list[int]:
        """Returns the best of each island."""
        return sorted({island.at(0) for island in self.islands if len(island)})

    def home(self, candidate: int) -> int:
        """Returns the island that a candidate was made for, of several the first."""
        return self._island[candidate]

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

    def said(self, candidate: int) -> Said:
        """Returns the hints and bans that held when an open candidate was asked."""
        return self.steered.at(self._open[candidate])

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

    def add(self, origin: str, islands: Sequence[int], parent: int | None = None) -> int:
        """Gives an id to a candidate that nobody asked for: an initial program, a human's, one made of a `parent`."""
        made_of = {} if parent is None else {"parent": parent}
        return self._decide("added", self.size + 1, {"origin": origin, "islands": list(islands), **made_of})

    def ask(self) -> ProposalRequest:
        """Decides on the next proposal. The caller asks only while `may_ask()`."""
        candidate = self.size + 1
        rng = generator(self.seed, "select", candidate)
        explores = self._to_explore > 0 and self._best is not None
        island = self._home() if explores else self._next_island(candidate)
        another: tuple[int, tuple[int, ...], str] = (self.best or NONE, (), EXPLORE)
        parent, inspirations, operator = another if explores else self._choice(island, rng)
        request = ProposalRequest(
            id=candidate,
            island=island.index,
            operator=operator,
            parent=parent or None,
            inspirations=inspirations,
            tried=self._tried(parent, 3 * TRIED if explores else TRIED) if parent else (),
            thresholds=self._thresholds.now(),
            incumbents=self.incumbents.now(),
            tune=self._tune(island, rng),
        )
        self._decide("asked", candidate, request_data(request))
        return request

    def _choice(self, island: Island, rng: np.random.Generator) -> tuple[int, tuple[int, ...], str]:
        """Returns parent, inspirations and operator. `fix` has a failed parent, and that one's parent beside it."""
        if not len(island):
            return (island.near_misses[-1], (), "fix") if island.near_misses else (NONE, (), "initial")
        parent = self.strategy.parent(island.index).parent(island, rng)
        better = island.rank((*self.key(parent)[:2], NONE))  # strictly: equals, even older ones, teach nothing
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
        **facts: Any,
    ) -> None:
        """Takes in a candidate's outcome; migrations and resets that fall due follow as events of their own.

        `vector` has its score on each instance, `behaves_as` is who had the same metrics on each. `tuned` says what became of
        its tuning, if there was one: an event of its own right before. `facts` are further fields of a Member: objectives,
        features, size, violation.
        """
        if tuned is not None:
            self._decide("tuned", candidate, dict(tuned))
        told: dict[str, Any] = {"status": status.value, "score": score, "stage_scores": dict(stage_scores)}
        told |= {"vector": list(vector), "behaves_as": behaves_as, **facts}
        self._decide("told", candidate, told)
        self._migrate_if_due(candidate)
        self._reset_if_due(candidate)
        self._answer_if_stagnant()

    def enter(self, kind: str, data: Mapping[str, Any], candidate: int | None = None) -> None:
        """Takes in what was decided elsewhere: a person's word (`steered`), new scores (`reevaluated`)."""
        self._decide(kind, candidate, dict(data))

    def _decide(self, kind: str, candidate: int | None, data: dict[str, Any]) -> int:
        event = Event(seq=self._seq + 1, kind=kind, candidate=candidate, data=data)
        self.apply(event)
        self._events.append(event)
        return candidate or NONE

    def _next_island(self, candidate: int) -> Island:
        """Returns the island that the portfolio draws, else the next in turn; one without a member lends its turn to another.

        Without an initial program each island begins with one of its own, and gives up after GIVE_UP failures where another
        island has members.
        """
        turn = [self.islands[(self.asked + step) % len(self.islands)] for step in range(len(self.islands))]
        settled = [island for island in turn if len(island)]
        if self._from_nothing and not len(turn[0]) and (not settled or turn[0].own < GIVE_UP):
            return turn[0]
        if not settled:
            raise ValueError("ask() before any candidate was told ok")
        if self.strategy.portfolio is not None:
            by_index = sorted(settled, key=lambda island: island.index)
            return self.strategy.portfolio.island(by_index, generator(self.seed, "island", candidate))
        return settled[0]

    def _home(self) -> Island:
        """Returns the first island that has the best."""
        return min(self.islands, key=lambda island: island.best() or NOBODY)

    def _tried(self, parent: int, most: int) -> tuple[int, ...]:
        newest: list[int] = []
        child = self._newest_child[parent]
        while child != NONE and len(newest) < most:
            newest.append(child)
            child = self._elder_sibling[child]
        return tuple(reversed(newest))

    def _migrate_if_due(self, candidate: int) -> None:
        migration = self.strategy.migration
        if migration and self._since_migration >= migration.every * len(self.islands):
            moves = migration.moves(self.islands, generator(self.seed, "migrate", candidate))
            self._decide("migrated", None, {"moves": [[source, target, list(ids)] for source, target, ids in moves]})

    def _reset_if_due(self, candidate: int) -> None:
        reset = self.strategy.reset
        if reset and len(self.islands) > 1 and self._since_reset >= reset.every * len(self.islands):
            resets = reset.resets(self.islands, generator(self.seed, "reset", candidate))
            self._decide("reset", None, {"resets": [list(pair) for pair in resets]})

    def _answer_if_stagnant(self) -> None:
        """Takes the next answer that has something to do."""
        rule = self.strategy.stagnation
        if rule is None or not self._since_best or self._since_best % (rule.after * len(self.islands)):
            return
        for step in range(len(rule.answers)):
            place = self._answered + step
            data = self._answer(rule, rule.answers[place % len(rule.answers)])
            if data:
                self._decide("stagnated", None, {**data, "answered": place + 1})
                return

    def _answer(self, rule: Stagnation, answer: str) -> dict[str, Any]:
        if answer == TUNE:
            return {"answer": answer, "elites": self.elites()} if self._gains.count and self.window is None else {}
        if answer == EXPLORE:
            return {"answer": answer, "ideas": rule.ideas}
        bests = [island.at(0) for island in self.islands if len(island)]
        lines = {candidate for best in bests for candidate in (best, *self.ancestors(best, self.size))}
        unused = [candidate for candidate, known in self._initials.items() if known and candidate not in lines]
        weakest = max(
            (i for i in self.islands if i.best() != self._best), key=lambda i: i.best() or NOBODY, default=None
        )
        return {"answer": answer, "island": weakest.index, "founder": unused[0]} if weakest and unused else {}

    # ------------------------------------------------------------ changing state

    def apply(self, event: Event) -> None:
        """Changes the state by one event, decided now or read back; the only place where state changes."""
        kind, data = event.kind, event.data
        if kind == "asked":
            self._apply_asked(event)
        elif kind == "told":
            self._told_seq[event.candidate or NONE] = event.seq
            self._apply_told(event.candidate or NONE, data)
        elif kind == "added":
            parent = data.get("parent") or NONE
            if data["origin"] in FOUNDING:
                self._from_nothing = False
                self._founders.add(event.candidate or NONE)
            if data["origin"] == "initial":
                self._initials[event.candidate or NONE] = None
            self._extend(data["islands"][0] if data["islands"] else -1, parent)
            self._open[event.candidate or NONE] = event.seq
            self._joining[event.candidate or NONE] = tuple(data["islands"])
        elif kind == "tuned":
            self._gains.observe(data)
        elif kind == "reevaluated":
            self._rescore(event.candidate or NONE, data)
        elif kind == "rescoring":
            self._thresholds.clear()
            self.incumbents.clear()
            for candidate in data["unranked"]:
                self._rescore(candidate, {"status": kind})
        elif kind == "steered":
            self._apply_steered(event)
        elif kind == "migrated":
            self._since_migration = 0
            for _, target, ids in data["moves"]:
                for candidate in ids:
                    self.islands[target].add(self._member(candidate))
        elif kind == "stagnated":
            self._since_best, self._answered = 0, data["answered"]
            self.to_tune.update(data.get("elites", ()))
            if data["answer"] == EXPLORE:
                self._to_explore = data["ideas"]
            elif data["answer"] == FORMULATION:
                self.islands[data["island"]].clear()
                self._settle(data["island"], self._member(data["founder"]))
        elif kind == "reset":
            self._since_reset = 0
            for index, founder in data["resets"]:
                member = self._member(founder)
                self.islands[index].clear()
                self._settle(index, member)
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
        candidate, data = event.candidate or NONE, event.data
        self._extend(data["island"], data["parent"] or NONE)
        self.asked += 1
        self._open[candidate] = event.seq
        island = self.islands[data["island"]]
        island.asked += 1
        self._to_explore -= data["operator"] == EXPLORE
        if data["operator"] == "fix":
            self._fixing.add(candidate)
            if data["parent"] in island.near_misses:  # a reset may have cleared it
                island.near_misses.remove(data["parent"])
        else:
            island.held = data["parent"] or NONE
            island.pool.had_child(island.held)

    def _apply_told(self, candidate: int, data: Mapping[str, Any]) -> None:
        del self._open[candidate]
        self._thresholds.observe(data["stage_scores"])
        parent = self._parent[candidate]
        if parent != NONE:
            self._elder_sibling[candidate] = self._newest_child[parent]
            self._newest_child[parent] = candidate
        member = self._known(candidate, data) if data["status"] == Status.OK else None
        if member is not None:
            self.incumbents.observe(candidate, data.get("stage_scores", {}))
        if candidate in self._initials:
            self._initials[candidate] = member
        homes = self._joining.pop(candidate, None)
        if homes is None:
            self._take_in(candidate, self.islands[self._island[candidate]], data["status"], member)
            self.told += 1
            self._since_migration += 1
            self._since_reset += 1
            self._since_best += 1
        elif member is not None:
            for index in homes:
                self._settle(index, member, founds=candidate in self._founders)
        if member is not None and (self._best is None or member.key < self._best):
            self._best = member.key
            self._since_best = self._answered = self._to_explore = 0

    def _take_in(self, candidate: int, island: Island, status: str, member: Member | None) -> None:
        """Takes an asked candidate into its island's counts and, where it is ok, among its members."""
        island.own += 1
        if self._is_near_miss(candidate, island, status):
            island.near_misses.append(candidate)
        self._fixing.discard(candidate)
        best = island.best()
        if self.strategy.portfolio is not None and self._best is not None:
            before = -best[1] if best else float("inf")
            score = member.score if member is not None and not member.violation else float("-inf")
            island.gain = self.strategy.portfolio.gained(island, before, score, self._best[1])
        if member is not None:
            island.add(member, new=True)

    def _settle(self, index: int, member: Member, founds: bool = True) -> None:
        """Makes a candidate that was not asked for an island a member of it, and one of those that it begins with."""
        self.islands[index].add(member)
        if founds:
            self.islands[index].founders.append(member.id)

    def _is_near_miss(self, candidate: int, island: Island, status: str) -> bool:
        """Says whether a failed candidate is worth mending: its parent is of the island's better half, and it is no repair."""
        if status not in FIXABLE or candidate in self._fixing:
            return False
        parent = self._parent[candidate]
        if parent == NONE:
            return not len(island)
        score = self._score[parent]
        return score == score and 2 * island.rank(self.key(parent)) < len(island)

    def _apply_steered(self, event: Event) -> None:
        self.steered.apply(event.seq, event.data)
        if event.data["do"] == "weight":
            name = event.data["name"]
            if name in self.strategy.operators.weights:  # a run that goes on with another model may lack the operator
                operators = self.strategy.operators.weighing(name, event.data["value"])
                self.strategy = replace(self.strategy, operators=operators)

    def _known(self, candidate: int, data: Mapping[str, Any]) -> Member:
        """Keeps an ok candidate's score; returns it as a member."""
        self._score[candidate] = score = float(data["score"])
        if violation := data.get("violation", 0.0):
            self._violation[candidate] = violation
        else:
            self._violation.pop(candidate, None)
        return Member(
            id=candidate,
            score=score,
            violation=violation,
            vector=tuple(data.get("vector", ())),
            objectives=tuple(data.get("objectives", ())),
            features=data.get("features", {}),
            size=data.get("size", 0),
        )

    def _member(self, candidate: int) -> Member:
        """Returns what is known of a candidate; its score alone where nobody has more."""
        pools = (*(island.pool.get(candidate) for island in self.islands), self._initials.get(candidate))
        bare = Member(id=candidate, score=self._score[candidate], violation=self._violation.get(candidate, 0.0))
        return next((member for member in pools if member is not None), bare)

    def _rescore(self, candidate: int, data: Mapping[str, Any]) -> None:
        old, known = self.key(candidate), self._member(candidate)
        same = {name: getattr(known, name) for name in ("vector", "objectives", "features", "size", "violation")}
        scored = self._score[candidate] == self._score[candidate]
        homes = [island for island in self.islands if scored and island.remove(old)]
        if not homes and self._island[candidate] >= 0:  # failed before, or a reset had cleared it
            homes = [self.islands[self._island[candidate]]]
        self._thresholds.observe(data.get("stage_scores", {}))
        member = self._known(candidate, {**same, **data}) if data["status"] == Status.OK else None
        if member is None:
            self._score[candidate] = float("nan")
        else:
            for island in homes:
                island.add(member)
        for island in self.islands:
            island.judged_anew(candidate, ok=member is not None)
        if member is not None:
            self.incumbents.observe(candidate, data.get("stage_scores", {}))
        if candidate in self._initials:
            self._initials[candidate] = member
        self._best = min(filter(None, (island.best() for island in self.islands)), default=None)


def request_data(request: ProposalRequest) -> dict[str, Any]:
    """Returns a request as the data of its `asked` event (ids, numbers and names only)."""
    data = {name: getattr(request, name) for name in ProposalRequest.__dataclass_fields__ if name != "id"}
    if not request.incumbents:
        del data["incumbents"]  # of problems that lend nothing
    return {k: list(v) if isinstance(v, tuple) else v for k, v in data.items()}


def request_of(candidate: int, data: Mapping[str, Any]) -> ProposalRequest:
    """Returns the request that an `asked` event's data holds."""
    known = {k: v for k, v in data.items() if k in ProposalRequest.__dataclass_fields__}
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in known.items()}
    return ProposalRequest(id=candidate, **fields)
