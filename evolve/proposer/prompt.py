"""The prompt: rendered from the text files in templates/, stable parts first, a pure function of what was decided."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources

from evolve.problem import TEXT, Problem
from evolve.source import START
from evolve.types import Artifact, Candidate, Files, Prompt, Status

FEEDBACK_CHARS = 3000
ARTIFACTS_NAMED = 20
ARTIFACTS_CHARS = 6000  # of all texts that an evaluation left; of each there are Artifact.HEAD at most
LANGUAGES = {"py": "python", "cpp": "cpp", "rs": "rust", "js": "javascript", "ts": "typescript", "md": "markdown"}


def build(
    problem: Problem,
    *,
    operator: str,
    parent: Candidate,
    inspirations: Sequence[Candidate],
    tried: Sequence[Candidate],
    seed: tuple[int, ...] = (),
) -> Prompt:
    """Returns the prompt for one proposal."""
    blocks = [
        ("problem", _problem(problem)),
        *(("knowledge", text) for text in [problem.knowledge] if text),
        *((f"inspiration {c.id}", _inspiration(problem, c, parent)) for c in inspirations),
        ("parent", _parent(problem, parent)),
        *(("artifacts", _artifacts(parent.artifacts)) for _ in parent.artifacts[:1]),
        *(("tried", _tried(problem, parent, tried)) for _ in tried[:1]),
        ("answer", _answer(problem, operator)),
    ]
    return Prompt(
        system=render("system", {}),
        user="\n\n".join(text for _, text in blocks) + "\n",
        blocks=tuple(blocks),
        operator=operator,
        parent=parent.files,
        inspirations=tuple(candidate.files for candidate in inspirations),
        editable=problem.edit,
        seed=seed,
    )


def render(template: str, values: Mapping[str, str]) -> str:
    """Fills a template's {{names}}; a name without a value is an error (KeyError)."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], _template(template)).strip()


@cache
def _template(name: str) -> str:
    return (resources.files("evolve.proposer") / "templates" / f"{name}.md").read_text(encoding="utf-8")


def number(value: float) -> str:
    """Returns a number with the digits in which good candidates differ (10 significant ones)."""
    return f"{value:.10g}"


def _problem(problem: Problem) -> str:
    directions = {1: "maximize", -1: "minimize"}
    best = problem.known_best()
    return render(
        "problem",
        {
            "description": problem.description or f"Improve `{_called(problem)}`.",
            "objectives": ", ".join(f"{directions[sign]} {name}" for name, sign in problem.objectives.items()),
            "known": f"Best known {problem.objective}: {number(best)}.\n" if best is not None else "",
            "entry": f"{'Read as text' if problem.entry == TEXT else 'Run' if problem.command else 'Called'}: "
            f"`{_called(problem)}`. Time limits: {_limits(problem)}.",
        },
    )


def _limits(problem: Problem) -> str:
    return ", ".join(f"stage {stage.name} {stage.timeout_s:g} s" for stage in problem.stages)


def _inspiration(problem: Problem, candidate: Candidate, parent: Candidate) -> str:
    return render(
        "inspiration",
        {
            "id": str(candidate.id),
            "standing": _standing(problem, candidate, parent),
            "files": _files(candidate.files, problem),
        },
    )


def _standing(problem: Problem, candidate: Candidate, parent: Candidate) -> str:
    text = _metrics(problem, candidate)
    if candidate.score is None or parent.score is None or candidate.score == parent.score:
        return text
    return f"{text}; {'better' if candidate.score > parent.score else 'worse'} than the parent"


def _parent(problem: Problem, parent: Candidate) -> str:
    lines = [_metrics(problem, parent)]
    gap = _gap(problem, parent)
    if gap:
        lines.append(gap)
    if parent.feedback:
        lines.append(f"Feedback:\n{parent.feedback[:FEEDBACK_CHARS]}")
    return render(
        "parent", {"id": str(parent.id), "measured": "\n".join(lines) + "\n", "files": _files(parent.files, problem)}
    )


def _artifacts(found: Sequence[Artifact]) -> str:
    """Shows the beginnings of texts while there is room, and names all else."""
    lines, left = [], ARTIFACTS_CHARS
    for one in sorted(found, key=lambda one: one.name)[:ARTIFACTS_NAMED]:
        lines.append(f"{one.name} ({one.kind}, {one.size:,} bytes)")
        if one.head.strip() and len(one.head) <= left:
            left -= len(one.head)
            lines[-1] += (
                f"{', its beginning' if len(one.head) < one.size else ''}:\n{_fenced(one.name, one.head, False)}"
            )
    more = [f"... and {len(found) - len(lines)} more"] if len(found) > len(lines) else []
    return render("artifacts", {"artifacts": "\n".join(lines + more)})


def _metrics(problem: Problem, candidate: Candidate) -> str:
    if candidate.status is not Status.OK:
        return str(candidate.status)
    first = {name: candidate.metrics[name] for name in problem.objectives if name in candidate.metrics}
    return ", ".join(f"{name} = {number(value)}" for name, value in {**first, **candidate.metrics}.items())


def _gap(problem: Problem, parent: Candidate) -> str:
    best = problem.known_best()
    value = parent.metrics.get(problem.objective)
    if best is None or value is None or value == best:
        return ""
    return f"Gap to the best known: {number(abs(best - value))}."


def _tried(problem: Problem, parent: Candidate, tried: Sequence[Candidate]) -> str:
    return render("tried", {"lines": "\n".join(f"- {_tried_line(parent, child)}" for child in tried)})


def _tried_line(parent: Candidate, child: Candidate) -> str:
    title = child.title or f"candidate {child.id}"
    if child.status is Status.OK and child.score is not None and parent.score is not None:
        gain = child.score - parent.score
        return f"{title}: {'no change' if gain == 0 else f'{gain:+.6g}'}"
    cause = child.feedback.strip().splitlines()[-1][:160] if child.feedback.strip() else ""
    return f"{title}: {child.status}" + (f" ({cause})" if cause else "")


def _files(files: Files, problem: Problem) -> str:
    return "\n\n".join(_fenced(path, files[path], len(files) > 1) for path in files)


def _fenced(path: str, text: str, named: bool) -> str:
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`{3,}", text)), default=0))  # a file may hold fences of its own
    heading = f"{path}\n" if named else ""
    return f"{heading}{ticks}{LANGUAGES.get(path.rpartition('.')[2], '')}\n{text.rstrip()}\n{ticks}"


def _answer(problem: Problem, operator: str) -> str:
    several = len(problem.edit) > 1
    limits = [f"Only {', '.join(problem.edit)} may change."] if several else []
    if any(START in text for files in problem.initials for text in files.values()):
        limits.append(
            "Only lines between the EVOLVE-BLOCK-START and EVOLVE-BLOCK-END markers may change; keep the markers."
        )
    limits.append(_kept(problem))
    return render(
        operator,
        {
            "limits": "\n".join(limits),
            "path_line": "path/of/the/file\n" if several else "",
            "named": ", its path in the line above" if several else "",
        },
    )


def _called(problem: Problem) -> str:
    """Returns what is called: the function, the command's line, or the files that are only read."""
    return ", ".join(problem.edit) if problem.entry == TEXT else problem.entry or " ".join(problem.command)


def _kept(problem: Problem) -> str:
    """Says what no edit may change."""
    if problem.entry == TEXT:
        return f"`{_called(problem)}` is read as text, never run."
    if problem.command:
        return f"It is still run as `{_called(problem)}`, and what it reads and writes keeps its form."
    return f"`{problem.entry}` keeps its name and its parameters."


def tokens(text: str) -> int:
    """Returns about how many tokens a text has (4 characters each: no tokenizer is at hand for every model)."""
    return -(-len(text) // 4)
