"""The command line: `evolve VERB ...`. Each verb imports what it needs when it runs."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from evolve.cli.plain import plain
from evolve.errors import EvolveError, UsageError

RUN_HELP = """usage: evolve run [KEY=VALUE ...] [-m] [--dry-run] [--config-dir DIR] [--cfg job] [--debug]

Searches for a better program. Without any word: circle_packing, offline, 200 candidates.

  problem=NAME|FOLDER          what is searched ('evolve problems' lists the names)
  budget.candidates=N          also budget.usd, budget.tokens, budget.seconds, budget.evaluations
  llm=offline|litellm|replay   llm.model=NAME llm.api_base=URL llm.concurrency=N; keys come from the environment
  llm=ensemble|local|command|spool   'llm.models=[...]', llm.model_path=FILE, llm.command=LINE, llm.dir=DIR
  evaluator=auto|local|ray     evaluator.workers=N evaluator.address=HOST:PORT
  schedule=async|ordered       ordered: the same seed gives the same run
  warm_start=RUN[,RUN]         begin with the best of earlier runs; fork=RUN#ID with the history of one
  seed=N  run_dir=DIR  param.NAME=VALUE  stage.NAME.timeout_s=SECONDS

  -m                           a sweep: evolve run -m problem=a,b seed=1,2 (hydra/launcher=... for clusters)
  --config-dir DIR             a folder of further configuration groups
  --cfg job                    print the whole configuration
  --dry-run                    say what would run, how candidates are kept in, and the largest possible cost
"""

RUN = "a run directory, 'latest', a unique prefix of a run id, or URL#run_id"


def main() -> None:
    """Runs one command; exits with 0 done, 1 failed, 2 wrong usage."""
    for name in ("stdout", "stderr"):  # closed by the shell, or of an encoding that can't hold every program
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - lives as long as the process
        else:
            stream.reconfigure(errors="backslashreplace")
    sys.exit(dispatch(sys.argv[1:]))


def dispatch(words: Sequence[str]) -> int:
    debug = "--debug" in words or os.environ.get("EVOLVE_DEBUG", "") not in ("", "0")
    try:
        return _dispatch([word for word in words if word != "--debug"], "--debug" in words)
    except EvolveError as error:
        if debug:
            sys.stderr.write(plain(traceback.format_exc()))
        print(plain(f"evolve: {error}"), file=sys.stderr)  # noqa: T201
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # the reader (head, less) has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        line = (str(error).strip().splitlines() or [""])[0]
        fault = f"{type(error).__name__}: {line}"
        sys.stderr.write(plain(f"evolve: a fault in Evolve itself: {fault}; --debug shows all of it\n"))
        return 1


def _dispatch(words: list[str], debug: bool) -> int:
    if words[:1] == ["run"] and {"-h", "--help"} & set(words):
        print(RUN_HELP)  # noqa: T201
        return 0
    if words[:1] == ["run"]:
        return int(importlib.import_module("evolve.cli.running").run(words[1:]))
    if words[:1] == ["_complete"]:
        return int(importlib.import_module("evolve.cli.completion").complete(words[1:]))
    arguments, rest = _parser().parse_known_args(words)
    arguments.debug = debug
    if arguments.verb == "export" and len(rest) == 1 and (rest == ["-"] or not rest[0].startswith("-")):
        arguments.destination = rest.pop()  # argparse can't see a second positional behind an option
    if hasattr(arguments, "words"):  # nor words behind one
        arguments.words += [word for word in rest if "=" in word and not word.startswith("-")]
        rest = [word for word in rest if word not in arguments.words]
    if rest:
        raise UsageError(f"{rest[0]}: not understood; see 'evolve {arguments.verb or ''} --help'")
    if arguments.verb is None:
        _parser().print_help()
        return 2
    module = importlib.import_module(f"evolve.cli.{arguments.module}")
    return int(getattr(module, "try_" if arguments.verb == "try" else arguments.verb)(arguments))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"{message}; see '{self.prog} --help'")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="evolve",
        description="Evolutionary program search. A problem that can be scored and a first program in, better programs out.",
        epilog="Example: evolve run problem=circle_packing budget.candidates=200",
    )
    parser.add_argument("--version", action=_ShowVersion, nargs=0, help="show the version and exit")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    verbs.add_parser("run", help="search: evolve run problem=NAME KEY=VALUE ... (-m for sweeps)", add_help=False)
    _verb(verbs, "resume", "go on with a run", run=True, words="KEY=VALUE", config_dir=True, module="running")
    rescore = _verb(
        verbs, "rescore", "evaluate a run's candidates again, after its problem has changed", run=True, words="KEY=VALUE",
        config_dir=True, module="running",
    )  # fmt: skip
    rescore.add_argument("--top", metavar="K", type=int, help="only the best K and the initial programs")
    _verb(verbs, "runs", "list the runs in a folder, or in a database", folder=True, json=True)
    _verb(verbs, "status", "what a run is doing, what it used", run=True, json=True)
    best = _verb(verbs, "best", "the best program", run=True, json=True)
    best.add_argument("--front", action="store_true", help="of several objectives: those that no other one dominates")
    verify = _verb(verbs, "verify", "evaluate the best anew, on fresh draws", run=True, json=True, module="verifying")
    verify.add_argument("id", metavar="ID", type=int, nargs="?", help="a candidate's id (default: the best)")
    verify.add_argument("--draws", metavar="N", type=int, default=10, help="how many (default: 10)")
    _verb(verbs, "show", "one candidate", run=True, ids=["id"], json=True)
    _verb(verbs, "lineage", "a candidate's line of parents", run=True, ids=["id"], json=True)
    _verb(verbs, "diff", "the difference of two candidates", run=True, ids=["a", "b"])
    compare = _verb(verbs, "compare", "runs side by side, grouped by configuration", json=True, module="comparing")
    compare.add_argument("runs", metavar="RUN", nargs="+", help=f"{RUN}, or a folder that holds runs")
    compare.add_argument("--plot", metavar="FILE", help="draw best so far, a .png or .svg file (extra 'plot')")
    export = _verb(verbs, "export", "write a run out", run=True)
    export.add_argument("destination", metavar="DEST", nargs="?", default="-", help="a file; - is standard output")
    export.add_argument("--to", choices=["jsonl"], default="jsonl")
    export.add_argument("--no-measured", action="store_true", help="leave out what differs between equal runs")
    _verb(verbs, "problems", "list the problems", json=True, module="authoring")
    new = _verb(verbs, "new", "write a problem that works, to be changed into your own", module="authoring")
    new.add_argument("folder", metavar="DIR", help="a folder that is not there yet, or empty")
    check = _verb(
        verbs,
        "check",
        "evaluate a problem's initial program, or a candidate",
        json=True,
        debug="evaluator and candidate in this process: breakpoint() and tracebacks work; no sandbox, no limits",
        module="authoring",
    )
    check.add_argument("problem", metavar="PROBLEM", help="a name or a folder")
    check.add_argument("words", metavar="KEY=VALUE", nargs="*", help="param.* and stage.* overrides")
    check.add_argument(
        "--candidate", metavar="PATH", help="a file or folder to evaluate in place of the initial program"
    )
    check.add_argument("--stage", metavar="NAME", help="only this stage, once")
    check.add_argument("--instance", metavar="NAME", help="only this instance of the stage (default: the last stage)")
    check.add_argument("--replicate", metavar="N", type=int, help="the stage as replicate N draws it, from 0")
    advise = _verb(
        verbs,
        "advise",
        "have a language model look for what is weak in a problem",
        json=True,
        config_dir=True,
        module="advising",
    )
    advise.add_argument("problem", metavar="PROBLEM", help="a name or a folder; nothing is written")
    advise.add_argument("words", metavar="KEY=VALUE", nargs="*", help="llm=litellm llm.model=NAME, budget.usd=X")
    prompt = _verb(verbs, "prompt", "print the exact next prompt, calling nobody", json=True, module="authoring")
    prompt.add_argument("subject", metavar="PROBLEM|RUN")
    prompt.add_argument(
        "words", metavar="KEY=VALUE", nargs="*", help="of a problem's first prompt, as for 'evolve run'"
    )
    try_ = _verb(
        verbs,
        "try",
        "run the first stage on a draft, before it is the answer to a call",
        run=True,
        json=True,
        module="trying",
    )
    try_.add_argument("file", metavar="FILE", help="an answer (*.md), or a program in place of the file of that name")
    try_.add_argument("--call", metavar="ID", type=int, required=True, help="the call that the draft is to answer")
    steer = _verb(
        verbs, "steer", "tell a running search what to do", run=True, words="WHAT", json=True, module="steering"
    )
    steer.add_argument("--island", metavar="N", type=int, help="of add: where the candidate goes (default: in turn)")
    steer.add_argument("--clear", action="store_true", help="of hint: show none from now on")
    steer.epilog = (
        "WHAT: pause | go | budget.KEY=VALUE | weight OPERATOR=VALUE | add PATH | hint TEXT | ban LINE | unban LINE"
    )
    answer = _verb(
        verbs, "answer", "answer the calls in a folder (llm=spool) with a model", config_dir=True, module="answering"
    )
    answer.add_argument("folder", metavar="DIR", help="llm.dir of the run")
    answer.add_argument("words", metavar="KEY=VALUE", nargs="*", help="llm=litellm llm.model=NAME, budget.usd=X")
    answer.add_argument("--once", action="store_true", help="end when nothing waits for an answer")
    upgrade = _verb(verbs, "upgrade", "bring a database that an older Evolve wrote up to date", module="upgrading")
    upgrade.add_argument("place", metavar="URL|RUN", help=f"a database's URL, or {RUN}")
    completion = _verb(verbs, "completion", "print a shell's completion script", module="completion")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


def _verb(
    verbs: argparse._SubParsersAction[_Parser],
    name: str,
    text: str,
    *,
    run: bool = False,
    ids: Sequence[str] = (),
    words: str = "",
    folder: bool = False,
    config_dir: bool = False,
    json: bool = False,
    debug: str = "show tracebacks",
    module: str = "reading",
) -> argparse.ArgumentParser:
    """Adds a verb, which is the function of that name in a module of `evolve.cli`."""
    parser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.set_defaults(module=module)
    parser.add_argument("--debug", action="store_true", help=debug)
    if run:
        parser.add_argument("run", metavar="RUN", help=RUN)
    for id_ in ids:
        parser.add_argument(id_, metavar=id_.upper(), type=int, help="a candidate's id")
    if words:
        parser.add_argument("words", metavar=words, nargs="*")
    if folder:
        parser.add_argument("folder", metavar="DIR|URL", nargs="?", default=".")
    if config_dir:
        parser.add_argument("--config-dir", action="append", default=[], metavar="DIR")
    if json:
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    return parser


class _ShowVersion(argparse.Action):
    """Prints the version, looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"evolve {version('evolve-engine')}")  # noqa: T201
        parser.exit()
