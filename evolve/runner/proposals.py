"""Proposals: what was decided becomes prompts, answers become drafts, and one draft of each proposal its candidate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evolve.errors import ProviderError
from evolve.llm.embedder import vector_of
from evolve.population import Firsts, Writer
from evolve.population.writer import Change
from evolve.problem import Problem
from evolve.proposer import Draft, Edited, EditError, Proposing, apply, build, chosen, fingerprint, reintroduced, reply
from evolve.proposer import bans as banned
from evolve.proposer.conversation import BEST_OF
from evolve.proposer.judging import is_old, novelty_prompt
from evolve.proposer.novelty import Index, similarity
from evolve.runner.calls import EMBED, NOVELTY, Calls, OutOfMoney
from evolve.runner.pending import TURN, InFlight, Proposed
from evolve.search import Search
from evolve.search.randomness import entropy
from evolve.types import SEPARATOR, Candidate, Completion, Files, Prompt, ProposalRequest, StageOutcome, Status

VECTORS = 1000  # the newest embeddings, which others are compared with
ANCESTORS = 8  # of a parent, whose deletions are remembered
Candidates = Callable[[Sequence[int]], Mapping[int, Candidate]]


def needed(search: Search, request: ProposalRequest) -> list[int]:
    """Returns the candidates that a prompt for the request shows or speaks of."""
    parent = request.parent
    line = [parent, *search.ancestors(parent, ANCESTORS)] if parent else []
    return [*line, *request.inspirations, *request.tried]


def first_prompt(
    problem: Problem,
    search: Search,
    request: ProposalRequest,
    known: Mapping[int, Candidate],
    rules: Proposing,
    converses: bool,
) -> Prompt:
    """Returns the prompt that a proposal begins with. What measures the machine is left out where the schedule is ordered.

    Whoever does not converse isn't told to mark constants for tuning.
    """
    said = search.said(request.id)
    return build(
        problem,
        operator=request.operator,
        parent=known[request.parent] if request.parent else None,
        inspirations=[known[candidate] for candidate in request.inspirations],
        tried=[known[candidate] for candidate in request.tried],
        ancestors=[known[c] for c in search.ancestors(request.parent, ANCESTORS)] if request.parent else [],
        seed=entropy(search.seed, "propose", request.id),
        timed=search.window is None,
        budget_tokens=rules.context_tokens,
        hints=said.hints,
        bans=said.bans,
        tunes=converses and request.tune is not None,
    )


class Proposals:
    """Makes the calls of proposals and the drafts of their answers. Belongs to the runner's event loop.

    `candidates` reads told candidates by their ids, `files` the files of any as they were proposed; `fingerprints` maps a
    normalised text to the first candidate that had it, `tuned` one that tuning made to its candidate. `sketches` are those of
    all candidates so far, `vectors` the newest embeddings.
    """

    def __init__(
        self,
        *,
        problem: Problem,
        search: Search,
        rules: Proposing,
        converses: bool,
        calls: Calls,
        writer: Writer,
        write: Callable[..., Any],
        candidates: Candidates,
        files: Callable[[int], Files],
        fingerprints: Firsts,
        tuned: Mapping[str, int] | None = None,
        sketches: Sequence[tuple[int, Sequence[int]]] = (),
        embeds: bool = False,
        vectors: Sequence[tuple[int, str]] = (),
    ):
        rules = rules if converses else replace(rules, turns=1, drafts=1, judge=False)
        self._problem, self._search, self._rules = problem, search, rules
        self._converses = converses
        self._calls, self._writer, self._write = calls, writer, write
        self._candidates, self._files = candidates, files
        self._fingerprints, self._tuned = fingerprints, dict(tuned or {})
        self._retuned = set(self._tuned.values())
        degrees = [rules.similarity or 1.0, rules.judge_from if rules.judge else 1.0]
        self._index = Index(min(degrees)) if min(degrees) < 1.0 else None
        self._embeds = embeds
        self._vectors = deque([(candidate, vector_of(text)) for candidate, text in vectors], maxlen=VECTORS)
        if self._index is not None:
            for candidate, known in sketches:
                self._index.add(candidate, tuple(known))

    # ------------------------------------------------------------ answers

    async def next(self, flight: InFlight) -> Draft | ProviderError | OutOfMoney | None:
        """Makes the proposal's next call; returns the draft that its answer was made into, or why there is none."""
        request = _request(flight)
        first = self._first(flight)
        replies = [] if request.operator == BEST_OF else [self._reply(flight, i) for i in range(len(flight.drafts))]
        prompt = self._rules.next(request.operator, first, flight.drafts, replies)
        found = await self._calls.complete(request.id, prompt, len(flight.drafts))
        return self.drafted(flight, found.call, found.text) if isinstance(found, Completion) else found

    def drafted(self, flight: InFlight, call: int, text: str) -> Draft:
        """Makes an answer into the proposal's next draft, and keeps it."""
        request = _request(flight)
        draft = Draft(number=len(flight.drafts), call=call, answer=text)
        try:
            edited = self.edited(flight, text)
            draft.files, draft.title, draft.hypothesis = edited.files, edited.title, edited.hypothesis
            if len(flight.drafts) + 1 < self._rules.most(request.operator):
                self._mark_duplicate(request.id, draft)
        except EditError as error:
            draft.status, draft.reason = Status.EDIT_FAILED, str(error)
        flight.drafts.append(draft)
        columns = {
            name: getattr(draft, name) for name in ("call", "status", "reason", "title", "hypothesis", "duplicate_of")
        }
        self._write(self._writer.draft(request.id, draft.number, TURN, draft.files, **columns))
        return draft

    def wants_outcome(self, flight: InFlight) -> bool:
        """Says whether the newest draft is to be run through the first stage before the proposal goes on."""
        return self._rules.wants_outcome(_request(flight).operator, flight.drafts)

    def goes_on(self, flight: InFlight) -> bool:
        """Says whether one more call follows."""
        return self._rules.goes_on(_request(flight).operator, flight.drafts)

    def edited(self, flight: InFlight, text: str) -> Edited:
        """Applies an answer to the program that it changes. Raises EditError."""
        operator = flight.operator or self._first(flight).operator
        found = apply(text, self.base(flight), self._problem.edit, entry=self._problem.entry, operator=operator)
        banned.check(found.files, self._problem.edit, self._search.said(_request(flight).id).bans)
        return found

    def base(self, flight: InFlight) -> Files:
        """Returns the program that the next answer changes: the draft before where that could be edited, else the parent."""
        request = _request(flight)
        before = flight.drafts[-1].files if flight.drafts and request.operator != BEST_OF else {}
        parent = self._candidates([request.parent])[request.parent].files if request.parent else {}
        return before or parent

    def _mark_duplicate(self, candidate: int, draft: Draft) -> None:
        """Notes a draft that is a program known when the proposal was decided: a replay finds the same."""
        known = self._known(candidate, mark := fingerprint(draft.files)) or self._fingerprints.get(mark)
        if known and self._search.knew(candidate, known):
            draft.status, draft.duplicate_of = Status.DUPLICATE, known
            draft.reason = f"the same program as candidate {known}"

    # ------------------------------------------------------------ prompts

    def _first(self, flight: InFlight) -> Prompt:
        """Returns the prompt that the proposal begins with; one that was sent before stays as it was."""
        request = _request(flight)
        known = self._candidates(needed(self._search, request))
        prompt = first_prompt(self._problem, self._search, request, known, self._rules, self._converses)
        flight.operator = prompt.operator
        if flight.sent is None:
            return prompt
        system, _, user = flight.sent.partition(SEPARATOR)
        return replace(prompt, system=system, user=user)

    def _reply(self, flight: InFlight, number: int) -> str:
        request, draft = _request(flight), flight.drafts[number]
        line = [request.parent, *self._search.ancestors(request.parent, ANCESTORS)] if request.parent else []
        known = self._candidates(line)
        parent, ancestors = (self._at_first_stage(known[line[0]]), [known[c] for c in line[1:]]) if line else (None, [])
        again = reintroduced(draft.files, parent, ancestors) if parent and draft.files else ()
        return reply(
            self._problem,
            parent=parent,
            status=str(draft.ended),
            reason=draft.reason,
            outcome=draft.outcome,
            reintroduced=again,
            last=number + 2 >= self._rules.most(request.operator),
            operator=request.operator,
        )

    def _at_first_stage(self, candidate: Candidate) -> Candidate:
        """Returns a candidate with what it came to in the first stage, which a draft is compared with."""
        first = self._problem.stages[0].name
        rows = self._writer.store.evaluation_rows(self._writer.run_id, candidate.id)
        metrics: Mapping[str, float] = next((row["metrics"] for row in rows if row["stage"] == first), {})
        return replace(candidate, stage=first, metrics=metrics)

    # ------------------------------------------------------------ novelty, as models see it

    def check(self, flight: InFlight) -> str | None:
        """Returns what a model is asked of the proposal's choice before it is admitted, None for nothing (more)."""
        draft = chosen(_request(flight).operator, flight.drafts)
        if not draft.files or draft.ended not in (Status.OK, None):
            return None
        if self._embeds and EMBED not in flight.said:
            return EMBED
        asks = self._rules.judge and NOVELTY not in flight.said
        return NOVELTY if asks and not self._no_news(flight) and self._like(flight) is not None else None

    async def ask_about(self, flight: InFlight) -> Completion | ProviderError | OutOfMoney | None:
        """Asks that. Where a model fails, the proposal passes."""
        request, draft, purpose = _request(flight), chosen(_request(flight).operator, flight.drafts), self.check(flight)
        if purpose == EMBED:
            prompt = Prompt(system="", user="\n\n".join(draft.files[path] for path in sorted(draft.files)))
        else:
            known, seed = self._files(self._like(flight) or 0), entropy(self._search.seed, "novelty", request.id)
            prompt = novelty_prompt(self._problem, draft.files, known, seed)
        found = await self._calls.complete(request.id, prompt, purpose=purpose or NOVELTY)
        if isinstance(found, Completion | ProviderError):
            flight.said[purpose or NOVELTY] = found.text if isinstance(found, Completion) else ""
        return found

    def _like(self, flight: InFlight) -> int | None:
        """Returns the program most like the choice among those known when the proposal was decided, None for none."""
        request = _request(flight)
        files = chosen(request.operator, flight.drafts).files
        near = self._index.near(self._index.sketch(files)) if self._index else []
        nearest, degree = self._nearest(files, [known for known in near if self._search.knew(request.id, known)])
        return nearest if degree >= self._rules.judge_from else None

    def _nearest(self, files: Files, near: Sequence[int]) -> tuple[int | None, float]:
        """Returns which of some candidates is most like a text (of equals the first), and to which degree."""
        alike = {candidate: similarity(files, self._files(candidate)) for candidate in near}
        nearest = max(alike, key=lambda candidate: (alike[candidate], -candidate), default=None)
        return nearest, alike.get(nearest or 0, 0.0)

    def _no_news(self, flight: InFlight) -> str:
        """Returns why the models' word rejects the choice, "" where it does not."""
        if flight.said.get(EMBED):
            vector = vector_of(flight.said[EMBED])
            known = [
                (float(vector @ other), -c) for c, other in self._vectors if self._search.knew(_request(flight).id, c)
            ]
            most, candidate = max(known, default=(0.0, 0))
            if most >= self._rules.embedding_similarity:
                return f"its embedding has a cosine of {most:.4f} with that of candidate {-candidate}"
        if is_old(flight.said.get(NOVELTY, "")):
            return f"the model judged it to be no new idea beside candidate {self._like(flight)}"
        return ""

    # ------------------------------------------------------------ settling

    def settle(self, candidate: int, flight: InFlight) -> tuple[Proposed, dict[str, Any], Change]:
        """Returns what the proposal came to and the columns that tell it from others; notes it as known.

        Its draft's outcome stands as the candidate's own, unless the stage draws afresh; that is the last that is returned, to
        be written with the rest.
        """
        draft = chosen(_request(flight).operator, flight.drafts)
        same = {name: getattr(draft, name) for name in ("files", "title", "hypothesis", "reason")}
        proposed = Proposed(**same, draft=draft.number)
        columns: dict[str, Any] = {}
        promoted: Change = []
        if draft.status is Status.EDIT_FAILED:
            proposed.status = draft.status
        else:
            proposed.reason = ""
            columns = self._mark_known(candidate, proposed)
            if proposed.status is None and (reason := self._no_news(flight)):
                proposed.status, proposed.reason = Status.REJECTED, f"not evaluated: {reason}"
            if proposed.status is None and flight.said.get(EMBED):
                self._vectors.append((candidate, vector_of(flight.said[EMBED])))
            if proposed.status is None and draft.outcome is not None and self.stands(draft.outcome):
                flight.measured, flight.tested = [draft.outcome], flight.tested - 1
                promoted = self._writer.promoted(candidate, draft.name)
        return proposed, columns, promoted

    def found(self, candidate: int, files: Files) -> dict[str, Any]:
        """Notes an initial program as known; returns the columns that tell it from others."""
        return self._mark_known(candidate, Proposed(files=files))

    def added(self, candidate: int, proposed: Proposed) -> dict[str, Any]:
        """Notes a person's candidate as known; it is evaluated unless it is another's program, however like one it is."""
        columns = self._mark_known(candidate, proposed)
        if proposed.status is Status.REJECTED:
            proposed.status, proposed.reason = None, ""
        return columns

    def tuned(self, candidate: int, mark: str) -> None:
        """Notes the text that a told candidate's tuning made."""
        self._tuned.setdefault(mark, candidate)
        self._retuned.add(candidate)

    def is_tuned(self, candidate: int) -> bool:
        """Says whether a candidate's text is another than was proposed."""
        return candidate in self._retuned

    def _known(self, candidate: int, mark: str) -> int | None:
        """Returns whose tuned text this is, if that was known when the candidate was asked: a replay finds the same."""
        tuned = self._tuned.get(mark)
        return tuned if tuned and self._search.knew(candidate, tuned) else None

    def is_known(self, files: Files) -> bool:
        """Says whether some candidate has had this text."""
        mark = fingerprint(files)
        return self._fingerprints.get(mark) is not None or mark in self._tuned

    def stands(self, outcome: StageOutcome) -> bool:
        """Says whether an outcome that was had aside may stand as a candidate's own."""
        ours = (Status.INFRA, Status.EVALUATOR_ERROR)
        return self._problem.stage(outcome.stage).draw != "fresh" and outcome.status not in ours

    def _mark_known(self, candidate: int, proposed: Proposed) -> dict[str, Any]:
        mark = fingerprint(proposed.files)
        known = self._known(candidate, mark) or self._fingerprints.note(mark, candidate)
        if known != candidate:
            proposed.status, proposed.duplicate_of = Status.DUPLICATE, known
            proposed.reason = f"the same program as candidate {known}"
            return {"fingerprint": mark, "duplicate_of": known}
        if self._index is None:
            return {"fingerprint": mark}
        found = self._index.sketch(proposed.files)
        nearest, degree = self._nearest(proposed.files, self._index.near(found))
        if self._rules.similarity is not None and degree >= self._rules.similarity:
            proposed.status = Status.REJECTED
            proposed.reason = (
                f"not evaluated: {degree:.1%} of its tokens are those of candidate {nearest} "
                f"(proposer.similarity={self._rules.similarity:g})"
            )
            return {"fingerprint": mark}
        self._index.add(candidate, found)
        return {"fingerprint": mark, "sketch": list(found)}


def _request(flight: InFlight) -> ProposalRequest:
    assert flight.request is not None  # initial programs make no calls
    return flight.request
