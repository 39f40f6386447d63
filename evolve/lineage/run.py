"""A stored run, read: status, candidates, ancestors, differences. Reads while the run is being written."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evolve.errors import RunError
from evolve.loading import load_problem
from evolve.population import Store, is_dead
from evolve.population.store import Row
from evolve.population.writer import STALE_S
from evolve.problem import SEPARATE, Problem
from evolve.runner import final
from evolve.runner.calls import EVALUATE
from evolve.runner.meter import utilisation
from evolve.runner.rundir import RunRef, find
from evolve.search.incumbents import Incumbents
from evolve.search.steered import Steered
from evolve.types import APART, Artifact, Candidate, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run:
    """One stored run. Opened by a directory, `latest`, a unique prefix of its id, or URL#run_id."""

    def __init__(self, ref: RunRef, store: Store):
        self.ref = ref
        self.store = store
        self.run_id = ref.run_id

    @classmethod
    def open(cls, run: str | Path) -> Run:
        """Raises RunError or StoreError for a run that is not there or can't be read."""
        ref = find(str(run))
        opened = cls(ref, ref.open())
        opened.row()
        return opened

    def row(self) -> Mapping[str, Any]:
        return dict(self.store.run(self.run_id))

    # ------------------------------------------------------------ state

    def state(self) -> str:
        """Returns running, paused, finished, interrupted or failed; a runner that died leaves `interrupted`."""
        return _state(self.row())

    def status(self) -> dict[str, Any]:
        """Returns what `evolve status --json` prints."""
        row = self.row()
        counts = self.store.counts(self.run_id)
        in_flight = counts.pop(None, 0)
        totals = self.store.call_totals(self.run_id)
        judges = self.store.call_totals(self.run_id, EVALUATE)
        busy, wall_s = row["busy"], row["wall_s"]
        best = self._best()
        return {
            "run_id": self.run_id,
            "state": _state(row),
            "reason": row["reason"],
            "from": {key: row["config"][key] for key in ("fork", "warm_start") if row["config"].get(key)},
            "problem": row["problem"],
            "seed": row["config"]["seed"],
            "isolation": row["isolation"],
            "trust": row["config"].get("trust", SEPARATE),
            "budget": {k: v for k, v in row["config"]["budget"].items() if not k.startswith("_")},
            "candidates": {
                **{str(status): n for status, n in sorted(counts.items(), key=str)},
                "in_flight": in_flight,
                "asked": sum(counts.values()) + in_flight,
            },
            "best": None if best is None else _brief(best),
            "final": self.final(),
            "holdout": self.holdout(),
            **({"output": output} if (output := self.output()) else {}),
            "revision": self.store.revision(self.run_id),
            "steered": self.steered(),
            "llm": {
                **{name: totals[name] for name in ("calls", "lost", "tokens_in", "tokens_out", "tokens_cached")},
                "cost_usd": _cost(totals),
                "evaluation": {
                    **{name: judges[name] for name in ("calls", "tokens_in", "tokens_out")},
                    "cost_usd": _cost(judges),
                },
            },
            "utilisation": {
                pool: utilisation(busy.get(pool, 0.0), busy.get(f"{pool.removesuffix('s')}_slots", 0), wall_s)
                for pool in (*["judges"] * bool(judges["calls"]), "llm", "evaluators")
            },
            "wall_s": round(wall_s, 3),
        }

    def steered(self) -> dict[str, Any]:
        """Returns what a person has said to the search: hints and bans that hold, budgets and weights as they were last set."""
        events, steered = self.store.events_of(self.run_id, ["steered"]), Steered()
        for event in events:
            steered.apply(event.seq, event.data)
        set_ = {
            kind: {event.data["name"]: event.data["value"] for event in events if event.data["do"] == kind}
            for kind in ("budget", "weight")
        }
        return {"hints": list(steered.now.hints), "bans": list(steered.now.bans), **set_}

    def holdout(self) -> dict[str, Any] | None:
        """Returns what the newest best came to on the instances kept for the end: candidate, status, metrics, instances."""
        row = self.store.holdout_row(self.run_id)
        if row is None:
            return None
        return {**{name: row[name] for name in ("candidate", "status", "metrics")}, "instances": len(row["instances"])}

    def output(self) -> dict[str, Any] | None:
        """Returns who has the best output that is lent: id, stage, score, metrics. None where nothing is, or not yet."""
        stage = self.row()["config"].get("incumbent")
        if not stage:
            return None
        known = Incumbents([stage])
        for event in self.store.since_asked(self.run_id):
            owner = event.data.get("incumbents", {}).get(stage)
            told = event.candidate if event.data.get("status") == Status.OK else None
            for candidate in filter(None, [owner, told]):
                rows = self.store.evaluation_rows(self.run_id, candidate)
                known.observe(candidate, {row["stage"]: row["score"] for row in rows if row["score"] is not None})
        owner = known.now().get(stage)
        rows = self.store.evaluation_rows(self.run_id, owner) if owner else []
        same = ("stage", "score", "metrics")
        return next(({"id": owner, **{n: row[n] for n in same}} for row in rows if row["stage"] == stage), None)

    # ------------------------------------------------------------ candidates

    def candidate(self, candidate: int) -> Candidate:
        return self.store.candidate(self.run_id, candidate)

    def best(self) -> Candidate:
        """Raises RunError when no candidate is ok yet."""
        best = self._best()
        if best is None:
            raise RunError(f"run {self.run_id} has no ok candidate yet; 'evolve status' shows what it is doing")
        return best

    def final(self) -> dict[str, Any] | None:
        """Returns what the winner of a noisy run's final came to on fresh draws: candidate, n, score, stderr, metrics."""
        return final.result(self.store.final_rows(self.run_id))

    def _best(self) -> Candidate | None:
        """Returns the best candidate: of a noisy run that had its final the winner, as it came out there."""
        held = self.final()
        if held is not None:
            fresh = {name: held[name] for name in ("score", "stderr", "n", "metrics")}
            return replace(self.candidate(held["candidate"]), **fresh)
        best = self.store.best(self.run_id)
        return None if best is None else self.candidate(best)

    def problem(self) -> Problem:
        """Returns the problem as it is now. Raises ProblemError where its folder is gone."""
        row = self.row()
        place = row["problem_path"] if Path(row["problem_path"]).exists() else row["config"]["problem"]
        return load_problem(str(place), *map(row["config"].get, ("param", "stage", "foreign")))

    def front(self) -> list[dict[str, Any]]:
        """Returns the ok candidates that no other dominates on the problem's objectives, best first on the first of them.

        Those that violate a constraint are left out. Of equals the first counts.
        """
        signs = self.problem().objectives
        front: dict[tuple[float, ...], Row] = {}
        for row in self.store.measured(self.run_id):
            known = row["metrics"]
            values = tuple(sign * known[name] for name, sign in signs.items() if known.get(name) is not None)
            if len(values) < len(signs) or any(_covers(other, values) for other in front):
                continue
            front = {other: kept for other, kept in front.items() if not _covers(values, other)} | {values: row}
        return [{"id": row["id"], "metrics": row["metrics"]} for _, row in sorted(front.items(), reverse=True)]

    def shown(self, candidate: int) -> dict[str, Any]:
        """Returns what `evolve show --json` and `evolve best --json` print."""
        found = self.candidate(candidate)
        columns = ("stage", "replicate", "status", "score", "metrics", "curve", "seconds", "cpu_s", "memory_mb")
        where = ("node", "node_class", "isolation")
        every = self.store.evaluation_rows(self.run_id, candidate, every=True)
        revision = max((row["revision"] for row in every), default=0)
        rows = [row for row in every if row["stage"] not in APART]
        left = self.store.artifacts(self.run_id, [candidate], Artifact.HEAD)
        holdout = self.holdout()
        same = (
            "id", "score", "stderr", "n", "island", "origin", "operator", "parent", "title", "hypothesis", "feedback",
        )  # fmt: skip
        return {
            **{name: getattr(found, name) for name in (*same, "duplicate_of", "behaves_as")},
            "status": found.status or "in_flight",
            "trust": self.row()["config"].get("trust", SEPARATE),
            "inspirations": list(found.inspirations),
            "metrics": dict(found.metrics),
            "features": dict(found.features),
            "revision": revision,
            "stages": [{name: row[name] for name in (*columns, *where)} for row in rows if row["revision"] == revision],
            "earlier": [
                {name: row[name] for name in (*columns, "revision")} for row in rows if row["revision"] < revision
            ],
            "holdout": holdout if holdout and holdout["candidate"] == candidate else None,
            "drafts": self.drafts(candidate),
            "tuned": self.tuned(candidate),
            "artifacts": [_named(Artifact.of(_path(row), row["body"], row["size"])) for row in left],
            "files": dict(found.files),
        }

    def drafts(self, candidate: int) -> list[dict[str, Any]]:
        """Returns what the answers of a proposal were made into, and what agents tried before: number, origin, status, cost."""
        calls = {row["id"]: row for row in self.store.call_rows(self.run_id, candidate)}
        ran = {row["draft"]: row for row in self.store.evaluation_rows(self.run_id, candidate, drafts=True)}
        found = []
        for row in self.store.draft_rows(self.run_id, candidate):
            outcome = ran.get(f"{row['origin']} {row['number']}")
            told = {"status": row["status"], "feedback": row["reason"], "metrics": {}}
            if outcome is not None:
                told = {name: outcome[name] for name in ("status", "feedback", "metrics")}
            same = {name: row[name] for name in ("number", "origin", "call", "title", "hypothesis", "duplicate_of")}
            cost = calls[row["call"]]["cost_usd"] if row["call"] in calls else None
            found.append({**same, **told, "cost_usd": cost})
        return found

    def tuned(self, candidate: int) -> dict[str, Any] | None:
        """Returns what a candidate's tuning did: method, trials, score before and after (None: the text stayed as it was)."""
        for event in self.store.events_of(self.run_id, ["tuned"], [candidate]):
            return {name: event.data[name] for name in ("method", "trials", "before", "after")}
        return None

    def artifacts(self, candidate: int) -> dict[str, bytes]:
        """Returns what a candidate's evaluations left, by stage (and `.replicate` from the second one on) and name."""
        return {_path(row): row["body"] for row in self.store.artifacts(self.run_id, [candidate])}

    def ancestors(self, candidate: int) -> list[Candidate]:
        """Returns the line of parents from the initial program to the candidate itself."""
        line = [self.candidate(candidate)]
        while (parent := line[-1].parent) is not None:
            line.append(self.candidate(parent))
        return line[::-1]

    def lineage(self, candidate: int) -> list[dict[str, Any]]:
        """Returns what `evolve lineage --json` prints: one entry per ancestor, the initial program first."""
        entries = []
        for found in self.ancestors(candidate):
            calls = [
                {name: row[name] for name in ("id", "purpose", "model", "state", "tokens_in", "tokens_out", "cost_usd")}
                for row in self.store.call_rows(self.run_id, found.id)
            ]
            entries.append({
                **_brief(found),
                **{name: getattr(found, name) for name in ("island", "operator", "origin", "parent", "title", "hypothesis")},
                "inspirations": list(found.inspirations),
                "calls": calls,
            })  # fmt: skip
        return entries

    def plot_progress(self) -> Figure:
        """Returns a figure of the best so far over candidates, evaluations, dollars and seconds (needs the extra `plot`)."""
        from evolve.lineage import compare, plot

        return plot.draw(compare.compare([self]))

    def diff(self, before: int, after: int) -> str:
        """Returns the unified diff of two candidates' files, "" when they are equal."""
        a, b = self.candidate(before), self.candidate(after)
        paths = sorted(set(a.files) | set(b.files))
        return "".join(line for path in paths for line in _diff(path, a, b))


def _covers(values: Sequence[float], others: Sequence[float]) -> bool:
    """Says whether values (higher is better) are nowhere worse than others."""
    return all(a >= b for a, b in zip(values, others, strict=True))


def _cost(totals: Row) -> float | None:
    """Returns what calls cost, None where a price is unknown."""
    return None if totals["unpriced"] else round(float(totals["cost_usd"]), 6)


def _brief(candidate: Candidate) -> dict[str, Any]:
    return {
        "id": candidate.id,
        "status": candidate.status or "in_flight",
        "score": candidate.score,
        "stderr": candidate.stderr,
        "n": candidate.n,
        "metrics": dict(candidate.metrics),
    }


def _path(row: Row) -> str:
    replicate = f".{row['replicate']}" if row["replicate"] else ""
    return f"{row['stage']}{replicate}/{row['name']}"


def _named(artifact: Artifact) -> dict[str, Any]:
    return {name: getattr(artifact, name) for name in ("name", "kind", "size")}


def _diff(path: str, a: Candidate, b: Candidate) -> Iterator[str]:
    before, after = (c.files.get(path, "").splitlines(keepends=True) for c in (a, b))
    for line in difflib.unified_diff(before, after, f"{a.id}/{path}", f"{b.id}/{path}"):
        yield line if line.endswith("\n") else line + "\n"


def _state(row: Mapping[str, Any]) -> str:
    gone = not row["lease_owner"] or is_dead(row["lease_owner"]) or float(row["heartbeat_age_s"]) > STALE_S
    # a run that waits for a model is paused under a lease; one that was stopped for faults is without
    alive = row["state"] == "running" or (row["state"] == "paused" and row["lease_owner"])
    return "interrupted" if alive and gone else str(row["state"])


def runs_in(refs: Sequence[RunRef]) -> list[dict[str, Any]]:
    """Returns a line's worth of facts per run; a run whose database can't be read says so in `state`."""
    lines = []
    for ref in sorted(refs, key=lambda ref: ref.created_at):
        try:
            run = Run(ref, ref.open())
            status = run.status()
            run.store.close()
            line = {name: status[name] for name in ("state", "problem", "trust", "candidates", "best")}
        except Exception as error:  # noqa: BLE001 - one unreadable run must not hide the others
            line = {"state": f"unreadable ({error})", "problem": ref.problem, "candidates": {}, "best": None}
        where = {"folder": str(ref.folder or ""), "database": ref.database, "created_at": ref.created_at}
        lines.append({"run_id": ref.run_id, "trust": "", **where, **line})
    return lines
