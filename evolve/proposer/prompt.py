"""The prompt: rendered from the text files in templates/, stable parts first, a pure function of what was decided.

docs/prompts.md says what a prompt holds, and what is dropped first where it would be longer than its budget.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from evolve.problem import SHARED, TEXT, Problem
from evolve.proposer.bans import is_regular
from evolve.proposer.deleted import absent, listed, restored
from evolve.proposer.edits import fingerprint
from evolve.proposer.functions import changeable
from evolve.proposer.shown import Digits, digits, digits_of, gap, number, standing, trimmed, wins, worst_lines
from evolve.source import START, Module
from evolve.types import SEPARATOR, Artifact, Candidate, Files, Prompt, Status

TOKEN_CHARS = 4  # about: no tokenizer is at hand for every model
FEEDBACK_CHARS, SHORT_CHARS = 3000, 600
ARTIFACTS_NAMED = 20
ARTIFACTS_CHARS = 6000  # of all texts that an evaluation left; of each there are Artifact.HEAD at most
TRIED = 5  # the newest that are left of a long list
RESTORED = 5
SLASHES = (".cpp", ".cc", ".c", ".rs", ".go", ".js", ".ts", ".cu", ".java")  # where a comment begins with them
LANGUAGES = {"py": "python", "cpp": "cpp", "rs": "rust", "js": "javascript", "ts": "typescript", "md": "markdown"}


def build(
    problem: Problem,
    *,
    operator: str,
    parent: Candidate | None,
    inspirations: Sequence[Candidate],
    tried: Sequence[Candidate],
    ancestors: Sequence[Candidate] = (),
    seed: tuple[int, ...] = (),
    timed: bool = True,
    budget_tokens: int = 12_000,
    hints: Sequence[str] = (),
    bans: Sequence[str] = (),
    tunes: bool = False,
) -> Prompt:
    """Returns the prompt for one proposal, of at most `budget_tokens` (estimated) beyond the parent's own files.

    `parent` is None for the operator `initial`; `ancestors` are the parent's parent, its parent and so on; without `timed`
    no measured time is shown; `hints` and `bans` are what a person has said; with `tunes` constants are to be marked. The
    prompt's operator is another one than asked for where that has nothing to work on: crossover without a second parent is
    rewrite, functions without functions is diff.
    """
    others = _distinct(inspirations, parent)
    operator = _usable(problem, operator, parent, others)
    if operator == "crossover":
        others = others[:1]
    facts = _Facts(problem, operator, parent, others, tried, ancestors, timed, hints, bans, tunes)
    system = render("system", {})
    own = sum(len(text.rstrip()) for text in parent.files.values()) if parent else 0
    room = TOKEN_CHARS * budget_tokens + own - len(system) - len(SEPARATOR) - 1
    blocks = fitted(facts.blocks(budget_tokens), room)
    if operator == "crossover" and not any(name == f"inspiration {others[0].id}" for name, _ in blocks):
        operator, others = "rewrite", []
        facts = replace(facts, operator=operator, others=others)
        blocks = fitted(facts.blocks(budget_tokens), room)
    return Prompt(
        system=system,
        user="\n\n".join(text for _, text in blocks) + "\n",
        blocks=tuple(blocks),
        operator=operator,
        parent=parent.files if parent else {},
        inspirations=tuple(candidate.files for candidate in others),
        feedback=parent.feedback if parent else "",
        editable=problem.edit,
        seed=seed,
    )


def _distinct(inspirations: Sequence[Candidate], parent: Candidate | None) -> list[Candidate]:
    """Returns the inspirations that are not the parent's program, nor that of one before."""
    seen = {fingerprint(parent.files)} if parent else set[str]()
    found = []
    for candidate in inspirations:
        mark = fingerprint(candidate.files)
        if mark not in seen:
            found.append(candidate)
        seen.add(mark)
    return found


def _usable(problem: Problem, operator: str, parent: Candidate | None, others: Sequence[Candidate]) -> str:
    if parent is None or not parent.files:
        return "initial"
    if operator == "crossover" and not others:
        return "rewrite"
    return "diff" if operator == "functions" and not _functions(problem, parent) else operator


# ---------------------------------------------------------------- the budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A named part of a prompt. `forms` are its texts, each shorter than the one before, "" for nothing; of several blocks
    the one with the lowest `rank` is shortened first."""

    name: str
    forms: tuple[str, ...]
    rank: int = 0


def fitted(blocks: Sequence[Block], chars: int) -> list[tuple[str, str]]:
    """Returns name and text of the blocks, shortened in the order of their ranks until all of them fit, or none can be."""
    chosen = {block.name: 0 for block in blocks}

    def left() -> int:
        texts = (block.forms[chosen[block.name]] for block in blocks)
        return chars - sum(len(text) + 2 for text in texts if text)  # with the blank line between two

    while left() < 0:
        longer = [block for block in blocks if chosen[block.name] + 1 < len(block.forms)]
        if not longer:
            break
        chosen[min(longer, key=lambda block: block.rank).name] += 1
    return [(block.name, text) for block in blocks if (text := block.forms[chosen[block.name]])]


@dataclass(frozen=True, slots=True)
class _Facts:
    """All that one prompt is rendered from."""

    problem: Problem
    operator: str
    parent: Candidate | None
    others: Sequence[Candidate]
    tried: Sequence[Candidate]
    ancestors: Sequence[Candidate]
    timed: bool
    hints: Sequence[str]
    bans: Sequence[str]
    tunes: bool = False

    def blocks(self, budget_tokens: int) -> list[Block]:
        """Returns the blocks in their order; docs/prompts.md explains their ranks."""
        knowledge = _cut(self.problem.knowledge, budget_tokens * TOKEN_CHARS // 3)
        found = [
            Block(name="problem", forms=(_problem(self.problem),)),
            Block(name="knowledge", forms=(knowledge, ""), rank=8),
            Block(name="hints", forms=(_titled("hints", [f"- {hint}" for hint in self.hints]), ""), rank=9),
            *(self._inspiration(place, candidate) for place, candidate in enumerate(self.others)),
            *(self._of_parent(self.parent) if self.parent else ()),
            Block(
                name="answer",
                forms=(self._answer(),),
            ),
        ]
        return [block for block in found if block.forms[0]]

    def _answer(self) -> str:
        return _answer(self.problem, self.operator, self.parent, self.others, self.bans, self.tunes)

    def _of_parent(self, parent: Candidate) -> list[Block]:
        instances = worst_lines(self.problem, parent.instances, parent.feedback[:FEEDBACK_CHARS])
        deleted = listed(absent(parent, self.ancestors))
        return [
            Block(
                name="parent",
                forms=tuple(self._parent(parent, chars) for chars in (FEEDBACK_CHARS, SHORT_CHARS)),
                rank=7,
            ),
            Block(name="instances", forms=(*(_titled("instances", instances[:n]) for n in (3, 1)), ""), rank=5),
            Block(
                name="artifacts", forms=(*(_artifacts(parent.artifacts, n) for n in (ARTIFACTS_CHARS, 0)), ""), rank=2
            ),
            Block(
                name="tried", forms=(*(_tried(self.problem, parent, self.tried[n:]) for n in (0, -TRIED)), ""), rank=3
            ),
            Block(name="deleted", forms=(_titled("deleted", [deleted] if deleted else []), ""), rank=1),
        ]

    @property
    def _digits(self) -> Digits:
        shown = [*([self.parent] if self.parent else []), *self.others, *self.tried]
        return digits_of(self.problem, [candidate.metrics for candidate in shown])

    def _inspiration(self, place: int, candidate: Candidate) -> Block:
        facts = _standing(self.problem, candidate, self.parent, self._digits)
        values = {
            "id": str(candidate.id),
            "role": "Second parent" if self.operator == "crossover" else "Inspiration",
            "facts": f"{facts}\n\n" if facts else "",
        }
        whole = render("inspiration", {**values, "files": files_shown(candidate.files, self.problem)})
        return Block(name=f"inspiration {candidate.id}", forms=(whole, ""), rank=4 if place else 6)

    def _parent(self, parent: Candidate, feedback_chars: int) -> str:
        facts = [_became(self.problem, parent, self._digits), gap(self.problem, parent.metrics)]
        if self.operator == "fix":
            facts.append(_idea(parent))
        if self.timed:
            facts.append(_times(self.problem, parent))
        feedback = trimmed(parent.feedback) if self.operator == "fix" else parent.feedback.strip("\n").rstrip()
        facts.append(f"Feedback:\n{_cut(feedback, feedback_chars)}" if feedback else "")
        back = restored(parent, self.ancestors)[:RESTORED]
        said = "\n".join(filter(None, facts))
        return render(
            "parent",
            {
                "id": str(parent.id),
                "facts": f"{said}\n\n" if said else "",
                "files": files_shown(parent.files, self.problem),
                "restored": f"\n\nIn it again, though deleted earlier in this lineage:\n{listed(back)}" if back else "",
            },
        )


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: max(chars - 4, 0)].rstrip()} ..."


def _titled(template: str, lines: Sequence[str]) -> str:
    return render(template, {"lines": "\n".join(lines)}) if lines else ""


def render(template: str, values: Mapping[str, str]) -> str:
    """Fills a template's {{names}}; a name without a value is an error (KeyError)."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match.group(1)], _template(template)).strip()


@cache
def _template(name: str) -> str:
    return (resources.files("evolve.proposer") / "templates" / f"{name}.md").read_text(encoding="utf-8")


# ---------------------------------------------------------------- blocks


def _problem(problem: Problem) -> str:
    directions = {1: "maximize", -1: "minimize"}
    best = problem.known_best()
    return render(
        "problem",
        {
            "description": problem.description or f"Write `{_called(problem)}`.",
            "objectives": ", ".join(f"{directions[sign]} {name}" for name, sign in problem.objectives.items()),
            "known": f"Best known {problem.objective}: {number(best)}.\n" if best is not None else "",
            "entry": f"{_way(problem)}: `{_called(problem)}`. Time limits: {_limits(problem)}.",
        },
    )


def _way(problem: Problem) -> str:
    if problem.trust == SHARED:
        return "Given to an evaluator"
    return "Read as text" if problem.entry == TEXT else "Run" if problem.command else "Called"


def _limits(problem: Problem) -> str:
    return ", ".join(f"stage {stage.name} {stage.timeout_s:g} s" for stage in problem.stages)


def _became(problem: Problem, parent: Candidate, shown: Digits) -> str:
    said = standing(problem, parent, shown)
    return said if parent.status in (Status.OK, None) else f"It ended as {said}."


def _standing(problem: Problem, candidate: Candidate, parent: Candidate | None, shown: Digits) -> str:
    """Returns a candidate's metrics, how they compare with the parent's, and the instances that it wins."""
    lines = [standing(problem, candidate, shown)]
    if parent and candidate.score is not None and parent.score is not None and candidate.score != parent.score:
        lines[0] += f" ({'better' if candidate.score > parent.score else 'worse'} than the parent)"
    if parent:
        lines.append(wins(problem, candidate, parent))
    return "\n".join(filter(None, lines))


def _idea(parent: Candidate) -> str:
    said = ". ".join(text.strip().rstrip(".") for text in (parent.title, parent.hypothesis) if text.strip())
    return f"Its idea: {said}." if said else ""


def _times(problem: Problem, parent: Candidate) -> str:
    """Returns the time that the candidate's own turns took, beside the limit of each stage."""
    used = [
        f"{stage.name}: {number(float(f'{parent.turn_s[stage.name]:.2g}'))} s of {stage.timeout_s:g} s"
        for stage in problem.stages
        if stage.name in parent.turn_s
    ]
    return f"Time used: {', '.join(used)}." if used else ""


def _artifacts(found: Sequence[Artifact], chars: int) -> str:
    """Shows the beginnings of texts while there is room, and names all else; "" for no artifact."""
    if not found:
        return ""
    lines, left = [], chars
    for one in sorted(found, key=lambda one: one.name)[:ARTIFACTS_NAMED]:
        lines.append(f"{one.name} ({one.kind}, {one.size:,} bytes)")
        if one.head.strip() and len(one.head) <= left:
            left -= len(one.head)
            lines[-1] += (
                f"{', its beginning' if len(one.head) < one.size else ''}:\n{_fenced(one.name, one.head, False)}"
            )
    more = [f"... and {len(found) - len(lines)} more"] if len(found) > len(lines) else []
    return render("artifacts", {"artifacts": "\n".join(lines + more)})


def _tried(problem: Problem, parent: Candidate, tried: Sequence[Candidate]) -> str:
    gains = {child.id: gain for child in tried if (gain := _gain(parent, child)) is not None}
    shown, metrics = digits(gains.values()), digits_of(problem, [child.metrics for child in tried])
    lines = []
    for child in tried:
        if child.id in gains:
            result = f"{gains[child.id]:+.{shown}g}" if gains[child.id] else "no change"
        elif child.status is Status.OK:
            result = standing(problem, child, metrics) or "measured before the problem changed"
        else:
            result = _failure(parent, child)
        lines.append(f"- {child.title or f'candidate {child.id}'}: {_behaviour(parent, child) or result}")
    return _titled("tried", lines)


def _gain(parent: Candidate, child: Candidate) -> float | None:
    if child.status is not Status.OK or child.score is None or parent.score is None:
        return None
    return float(f"{child.score - parent.score:.12g}")  # without the rounding of the subtraction


def _behaviour(parent: Candidate, child: Candidate) -> str:
    """Says whose scores on every instance a child repeats, "" where it repeats none."""
    if child.status is not Status.OK or child.behaves_as in (None, child.id):
        return ""
    same = child.behaves_as in (parent.id, parent.behaves_as)
    return f"behaves exactly as {'the parent' if same else f'candidate {child.behaves_as}'}"


def _failure(parent: Candidate, child: Candidate) -> str:
    if child.status is Status.DUPLICATE and child.duplicate_of is not None:
        return f"duplicate of {'the parent' if child.duplicate_of == parent.id else f'candidate {child.duplicate_of}'}"
    cause = child.feedback.strip().splitlines()[-1][:160] if child.feedback.strip() else ""
    return f"{child.status}" + (f" ({cause})" if cause else "")


def files_shown(files: Files, problem: Problem) -> str:
    return "\n\n".join(_fenced(path, files[path], len(files) > 1) for path in files)


def _fenced(path: str, text: str, named: bool) -> str:
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`{3,}", text)), default=0))  # a file may hold fences of its own
    heading = f"{path}\n" if named else ""
    return f"{heading}{ticks}{LANGUAGES.get(path.rpartition('.')[2], '')}\n{text.rstrip()}\n{ticks}"


def _answer(
    problem: Problem,
    operator: str,
    parent: Candidate | None,
    others: Sequence[Candidate],
    bans: Sequence[str],
    tunes: bool,
) -> str:
    several = len(problem.edit) > 1
    named = ", its path in the line above" if several else ""
    functions = _functions(problem, parent) if parent else ""
    files = render("form_files", {"named": named})
    blocks = render("form_blocks", {"path_line": "path/of/the/file\n" if several else ""})
    by_name = render("form_functions", {"named": named, "functions": functions})
    values = {
        "limits": "\n".join(
            [*_limits_of(problem, operator, parent), *_banned(bans), *([_marks(problem)] if tunes else [])]
        ),
        "files": files,
        "blocks": blocks,
        "functions_form": by_name,
        "choice": render("form_choice", {"blocks": blocks, "whole": by_name if functions else files}),
        "parent": str(parent.id) if parent else "",
        "partner": str(others[0].id) if others else "",
        "paths": ", ".join(problem.edit),
    }
    return render(operator, values)


def _functions(problem: Problem, parent: Candidate) -> str:
    """Returns the names of the functions and classes that may change, with their file where there are several."""
    found = {
        path: changeable(parent.files[path]) for path in problem.edit if path in parent.files and path.endswith(".py")
    }
    several = len(problem.edit) > 1
    return "; ".join(
        ", ".join(f"`{name}`" for name in names) + (f" of {path}" if several else "")
        for path, names in found.items()
        if names
    )


def _limits_of(problem: Problem, operator: str, parent: Candidate | None) -> list[str]:
    limits = [f"Only {', '.join(problem.edit)} may change."] if parent and len(problem.edit) > 1 else []
    if operator != "functions" and parent and any(START in text for text in parent.files.values()):
        limits.append(
            "Only lines between the EVOLVE-BLOCK-START and EVOLVE-BLOCK-END markers may change; keep the markers."
        )
    return [*limits, _contract(problem, first=parent is None)]


def _banned(bans: Sequence[str]) -> list[str]:
    return [f"No line of the program may {'match' if is_regular(ban) else 'be'} `{ban}`." for ban in bans]


def _marks(problem: Problem) -> str:
    return render("tune", {"sign": "//" if problem.edit[0].endswith(SLASHES) else "#"})


def _contract(problem: Problem, first: bool) -> str:
    """Says what a first program must have, or what no edit may change."""
    if problem.entry == TEXT:
        return f"`{_called(problem)}` is read as text, never run."
    if problem.trust == SHARED:
        return "An evaluator loads it and expects names and parameters to stay as they are."
    if problem.command and first:
        return f"It is run as `{_called(problem)}`."
    if problem.command:
        return f"It is still run as `{_called(problem)}`, and what it reads and writes keeps its form."
    if first:
        return f"{problem.entry_file or problem.edit[0]} defines the function `{_signature(problem)}`, which is called."
    return f"`{problem.entry}` keeps its name and its parameters."


def _signature(problem: Problem) -> str:
    """Returns the entry with its parameters, where an initial program shows them."""
    for files in problem.initials:
        module = Module.read(files.get(problem.entry_file or problem.edit[0], ""))
        for unit in module.units if module else ():
            if isinstance(unit.node, ast.FunctionDef | ast.AsyncFunctionDef) and unit.node.name == problem.entry:
                return f"{problem.entry}({ast.unparse(unit.node.args)})"
    return problem.entry


def _called(problem: Problem) -> str:
    """Returns what is called: the function, the command's line, or the files that are only read or given to an evaluator."""
    if problem.entry == TEXT or problem.trust == SHARED:
        return ", ".join(problem.edit)
    return problem.entry or " ".join(problem.command)


def tokens(text: str) -> int:
    """Returns about how many tokens a text has."""
    return -(-len(text) // TOKEN_CHARS)
