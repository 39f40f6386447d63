"""An LLM judge: principles, then critique, then scores; sampled several times, and the samples put to the vote.

After generative reward models that state principles before they criticise (DeepSeek-GRM; Liu et al., 2025,
https://arxiv.org/abs/2504.02495, with its vote and meta judge) and verify step by step (ThinkPRM; Khalifa et al., 2025,
https://arxiv.org/abs/2504.16828). The model weighs and scores principles; the sum is ours.

Does not cover: an output that persuades the judge by what it says. It can't leave its fence or write the judge's answer, but
it is read; use a judge beside metrics that can be measured, and look at what wins.
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluators.lm import Lm
from evaluators.templates import fenced, render
from evolve.errors import EvaluatorError

VOTES = ("mean", "median", "majority", "meta")
EXCERPT = 300
CRITIQUE = 1_500  # characters of the feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class Principle:
    """What a sample judged by, its weight among the sample's principles, and its score on the judge's scale."""

    name: str
    weight: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One judgement; `score` (0 to 1) is the mean of its principles' scores by their weights."""

    principles: tuple[Principle, ...]
    reasoning: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the samples agreed on: `score` from 0 to 1, `spread` their standard deviation, `unread` how many made no sense."""

    score: float
    spread: float
    samples: tuple[Sample, ...]
    unread: int
    feedback: str


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges outputs by criteria: prose, or principles with fixed weights. Called with the `lm` of evaluator.py.

    `vote`: `mean` or `median` of the samples; `majority` the mean of those that agree on the nearest point of the scale (of
    equal groups the one nearest the median); `meta` their mean weighted by one more call that judges the judgements.
    """

    criteria: str | Mapping[str, float]
    scale: tuple[float, float] = (0, 10)
    samples: int = 3
    vote: str = "mean"
    temperature: float | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.vote not in VOTES:
            raise EvaluatorError(f"Judge: vote={self.vote!r}: must be one of {', '.join(VOTES)}")
        if self.samples < 1 or not self.scale[0] < self.scale[1]:
            raise EvaluatorError(
                f"Judge: samples={self.samples}, scale={self.scale}: needs a sample and a rising scale"
            )
        if not self.criteria or (isinstance(self.criteria, Mapping) and not _weighs(self.criteria.values())):
            raise EvaluatorError(
                "Judge: criteria must be prose, or map principles to weights of 0 or more that are not all 0"
            )

    def __call__(self, lm: Lm, task: str, output: str, reference: str | None = None) -> Verdict:
        """Returns the verdict on one output, which is untrusted text. Raises EvaluatorError where no sample can be read."""
        prompt = self.prompt(task, output, reference)
        answers = lm(
            prompt,
            system=render("judge_system", {}),
            n=self.samples,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        answers = [answers] if self.samples == 1 else answers
        read = [sample for answer in answers if (sample := self._sample(answer)) is not None]
        if not read:
            raise EvaluatorError(unreadable("the judge", answers[0], "scores for its principles"))
        score = self._voted(lm, task, output, read)
        spread = statistics.pstdev(sample.score for sample in read)
        unread = len(answers) - len(read)
        return Verdict(
            score=score,
            spread=spread,
            samples=tuple(read),
            unread=unread,
            feedback=self._feedback(score, spread, read, unread),
        )

    def prompt(self, task: str, output: str, reference: str | None = None) -> str:
        """Returns what the model is asked, the system's part aside."""
        fixed = isinstance(self.criteria, Mapping)
        return render(
            "judge",
            {
                "task": task,
                "reference": f"\n## Reference\n{fenced(reference)}\n" if reference is not None else "",
                "output": fenced(output),
                "criteria": _listed(self.criteria) if isinstance(self.criteria, Mapping) else self.criteria,
                "principles": "use exactly the principles above, with their names and weights."
                if fixed
                else "state the 2 to 5 principles that matter most for this task under what counts, each with a weight.",
                "low": f"{self.scale[0]:g}",
                "high": f"{self.scale[1]:g}",
            },
        )

    def _sample(self, answer: str) -> Sample | None:
        """Returns the judgement that an answer holds, None where it holds none that is whole."""
        found = last_object(answer, "principles")
        try:
            given = [_principle(entry) for entry in found[0]["principles"]] if found else []
        except (TypeError, KeyError, ValueError, OverflowError):
            return None
        principles = self._weighted(given)
        low, high = self.scale
        if not _weighs(p.weight for p in principles) or not all(low <= p.score <= high for p in principles):
            return None
        mean = math.fsum(p.weight * p.score for p in principles) / math.fsum(p.weight for p in principles)
        reasoning = answer[: found[1]].rstrip().removesuffix("json").rstrip("`").strip() if found else ""
        return Sample(principles=principles, reasoning=reasoning, score=(mean - low) / (high - low))

    def _weighted(self, given: Sequence[Principle]) -> tuple[Principle, ...]:
        """Returns the principles with their fixed weights, where there are such; none where one is missing."""
        if not isinstance(self.criteria, Mapping):
            return tuple(given)
        scores = {p.name: p.score for p in given}
        if set(scores) != set(self.criteria):
            return ()
        return tuple(Principle(name=n, weight=float(w), score=scores[n]) for n, w in self.criteria.items())

    def _voted(self, lm: Lm, task: str, output: str, samples: Sequence[Sample]) -> float:
        scores = [sample.score for sample in samples]
        if self.vote == "median":
            return statistics.median(scores)
        if self.vote == "majority":
            return _majority(scores, self.scale[1] - self.scale[0])
        if self.vote == "meta" and len(samples) > 1:
            weights = self._meta(lm, task, output, samples)
            if any(weights):
                return math.fsum(w * s for w, s in zip(weights, scores, strict=True)) / math.fsum(weights)
        return statistics.fmean(scores)

    def _meta(self, lm: Lm, task: str, output: str, samples: Sequence[Sample]) -> list[float]:
        """Returns each sample's weight, asked for once."""
        told = "\n\n".join(f"Judgement {i}:\n{fenced(_told(sample))}" for i, sample in enumerate(samples, 1))
        values = {"task": task, "output": fenced(output), "judgements": told, "count": str(len(samples))}
        answer = lm(render("judge_meta", values), system=render("judge_system", {}), max_tokens=self.max_tokens)
        found = last_object(answer, "weights")
        weights = found[0]["weights"] if found else None
        right = (
            isinstance(weights, list) and len(weights) == len(samples) and all(_is_share(weight) for weight in weights)
        )
        if not right:
            raise EvaluatorError(unreadable("the meta judge", answer, f"{len(samples)} weights from 0 to 1"))
        return [float(weight) for weight in weights or ()]

    def _feedback(self, score: float, spread: float, samples: Sequence[Sample], unread: int) -> str:
        nearest = min(samples, key=lambda sample: abs(sample.score - score))
        lost = f", {unread} unreadable" if unread else ""
        head = f"judged {score:.3f} of 1 (spread {spread:.3f} over {len(samples)} samples{lost})"
        lines = [f"- {p.name} (weight {p.weight:g}): {p.score:g} of {self.scale[1]:g}" for p in nearest.principles]
        return "\n".join([head, *lines, nearest.reasoning[-CRITIQUE:]]).strip()


def last_object(text: str, key: str) -> tuple[dict[str, Any], int] | None:
    """Returns the last JSON object of a text that has a key, and where it begins."""
    decoder = json.JSONDecoder()
    for start in (i for i in range(len(text) - 1, -1, -1) if text[i] == "{"):
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and key in found:
            return found, start
    return None


def unreadable(who: str, answer: str, wanted: str) -> str:
    """Returns what to say of an answer that lacks what it was to hold."""
    excerpt = " ".join(answer.split())[-EXCERPT:] or "(empty)"
    return f"{who} gave no {wanted} (answers cut off? set max_tokens or llm.max_tokens); its answer ends: {excerpt}"


def _principle(entry: Mapping[str, Any]) -> Principle:
    weight, score = entry["weight"], entry["score"]
    if isinstance(weight, bool) or isinstance(score, bool):
        raise ValueError("true and false are no numbers")
    return Principle(name=str(entry["principle"]).strip(), weight=float(weight), score=float(score))


def _weighs(weights: Any) -> bool:
    given = list(weights)
    return all(math.isfinite(weight) and weight >= 0 for weight in given) and sum(given) > 0


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _listed(criteria: Mapping[str, float]) -> str:
    return "\n".join(f"- {name} (weight {weight:g})" for name, weight in criteria.items())


def _told(sample: Sample) -> str:
    scores = "\n".join(f"{p.name}: weight {p.weight:g}, score {p.score:g}" for p in sample.principles)
    return f"{sample.reasoning}\n{scores}"


def _majority(scores: Sequence[float], points: float) -> float:
    """Returns the mean of the largest group of scores that round to the same point of the scale."""
    groups = Counter(round(score * points) for score in scores)
    middle = statistics.median(scores) * points
    most = max(groups.values())
    chosen = min(
        (point for point, size in groups.items() if size == most), key=lambda point: (abs(point - middle), point)
    )
    return statistics.fmean(score for score in scores if round(score * points) == chosen)
