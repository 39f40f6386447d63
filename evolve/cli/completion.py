"""Shell completion: the scripts for bash, zsh and fish, and the words that they ask for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

VERBS = (
    "run", "resume", "rescore", "runs", "status", "best", "verify", "show", "lineage", "diff", "compare", "export", "steer",
    "problems", "new", "check", "advise", "prompt", "try", "answer", "upgrade", "completion",
)  # fmt: skip
OF_RUN = (
    "resume", "rescore", "status", "best", "verify", "show", "lineage", "diff", "compare", "export", "prompt", "steer", "try",
    "upgrade",
)  # fmt: skip

SCRIPTS = {
    "bash": """_evolve() {
  local line="${COMP_LINE:0:COMP_POINT}" word
  [[ "$line" == *" " ]] && word="" || word="${line##* }"
  local before="${word%"${COMP_WORDS[COMP_CWORD]}"}"
  [[ "$word" == *[=:]* && "$COMP_WORDBREAKS" == *=* ]] && before="${word%"${word##*[=:]}"}" || before=""
  COMPREPLY=()
  local found
  while IFS= read -r found; do COMPREPLY+=("${found#"$before"}"); done < <(evolve _complete $line${word:+} "|$word" 2>/dev/null)
  [[ "${COMPREPLY[0]}" == *= || "${COMPREPLY[0]}" == *. ]] && compopt -o nospace
}
complete -o default -F _evolve evolve
""",
    "zsh": """#compdef evolve
_evolve() {
  local -a found
  found=("${(@f)$(evolve _complete ${words[1,CURRENT-1]} "|${words[CURRENT]}" 2>/dev/null)}")
  compadd -S '' -- $found
}
compdef _evolve evolve
""",
    "fish": """complete -c evolve -f -a '(evolve _complete (commandline -opc) "|"(commandline -ct) 2>/dev/null)'
""",
}


def completion(arguments: argparse.Namespace) -> int:
    """Prints a shell's script; `eval "$(evolve completion bash)"` turns it on."""
    sys.stdout.write(SCRIPTS[arguments.shell])
    return 0


def complete(words: Sequence[str]) -> int:
    """Prints the words that can stand where the last one is; that one comes with a bar in front."""
    given = words[-1].removeprefix("|")
    before = [word for word in words[:-1] if word != given or not given][1:]
    for found in candidates(before, given):
        sys.stdout.write(found + "\n")
    return 0


def candidates(before: Sequence[str], given: str) -> list[str]:
    """Returns what can follow the words before, beginning with the one given."""
    return sorted(word for word in _possible(before, given) if word.startswith(given))


def _possible(before: Sequence[str], given: str) -> list[str]:
    if not before:
        return list(VERBS)
    verb = before[0]
    if verb == "completion":
        return list(SCRIPTS)
    if verb in ("check", "advise") and len(before) == 1:
        return _problems()
    if verb in OF_RUN and len(before) == 1:
        return ["latest", *_runs(), *(_problems() if verb == "prompt" else [])]
    if verb in ("run", "resume", "rescore", "answer", "advise"):
        return _words(given)
    return []


def _words(given: str) -> list[str]:
    from evolve import config

    key, equals, _ = given.partition("=")
    if not equals:
        return [f"{key}=" for key in config.keys()]  # noqa: SIM118 - a function, not a mapping
    if key == "problem":
        return [f"problem={name}" for name in _problems()]
    return [f"{key}={choice}" for choice in config.choices(key)]


def _problems() -> list[str]:
    from evolve.finding import problem_names

    return problem_names()


def _runs() -> list[str]:
    from evolve.runner import rundir

    return [ref.run_id for ref in rundir.scan(Path())]
