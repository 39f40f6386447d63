"""The configuration: command-line words -> a Hydra configuration -> the objects of a run, built once, at the edge."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from threading import RLock
from typing import Any
from urllib.parse import urlsplit

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from evolve import checks
from evolve.errors import EvolveError, UsageError
from evolve.llm.embedder import Embedder
from evolve.llm.provider import Provider
from evolve.llm.redact import SECRET
from evolve.loading import load_problem
from evolve.population import Store, absolute, file_url
from evolve.population.store import Row
from evolve.problem import SEPARATE, Problem
from evolve.proposer import Proposing
from evolve.runner.budget import Budget
from evolve.runner.evaluator import Evaluator
from evolve.runner.launch import checked
from evolve.runner.plan import asks_a_model
from evolve.runner.replay import RECORDED, Record, Recorded, Replay
from evolve.runner.rundir import find
from evolve.runner.setup import Setup
from evolve.search import Schedule, Strategy, rules
from evolve.search.operators import MECHANICAL, OPERATORS, PYTHON_ONLY
from evolve.search.stagnation import ANSWERS, EXPLORE
from evolve.search.tuning import Tuning

CONFIGS = "configs"  # the package of the YAML files; named here only
COMPOSING = RLock()  # Hydra's state is the process's; a mistake is explained while it is held
FREE = ("param", "stage")  # sections whose keys are the problem's own
RESUMABLE = ("budget", "llm", "evaluator")
SECRET_HEADER = re.compile("key|token|secret|password|auth|cookie", re.IGNORECASE)
REPLAY = "evolve.runner.replay.Replay"
# taken from the record
REPLAYED = ("problem", "param", "stage", "foreign", "seed", "selection", "schedule", "proposer", "budget")
GROUPS = ("llm", "proposer", "evaluator", "database", "selection", "schedule", "budget")


# ---------------------------------------------------------------- words -> configuration


def compose(words: Sequence[str], config_dirs: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the configuration of overrides like `problem=x budget.candidates=50`.

    Raises UsageError in one line, naming the nearest key, for a word that means nothing.
    """
    overrides = [normalise(word) for word in words]
    with _composing(config_dirs), translated(words):
        config = hydra_compose("config", overrides=[*_searchpath(config_dirs), *overrides])
        resolved, written = (OmegaConf.to_container(config, resolve=resolve) for resolve in (True, False))
        return _kept_out(resolved, written)  # type: ignore[no-any-return]


def _kept_out(resolved: Any, written: Any) -> Any:
    """Returns a configuration in which what comes from the environment stays a reference: it is stored, and may be a secret."""
    if isinstance(resolved, dict):
        return {name: _kept_out(value, written[name]) for name, value in resolved.items()}
    if isinstance(resolved, list):
        return [_kept_out(value, one) for value, one in zip(resolved, written, strict=True)]
    return written if isinstance(written, str) and "${oc.env:" in written else resolved


def _check_no_secret(value: Any, path: str) -> None:
    """Raises UsageError for a secret that is written out: a configuration is stored."""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_no_secret(inner, f"{path}.{name}" if isinstance(value, dict) else f"{path}[{name}]")
    elif isinstance(value, str) and "${oc.env:" not in value:
        header = ".extra_headers." in path and SECRET_HEADER.search(path.rpartition(".")[2])
        if header or SECRET.search(value):
            raise UsageError(
                f"{path}: looks like a secret, and would be stored; write ${{oc.env:NAME}} and export NAME"
            )


@contextmanager
def _composing(config_dirs: Sequence[str]) -> Iterator[None]:
    for folder in config_dirs:
        if not Path(folder).is_dir():
            raise UsageError(f"--config-dir {folder}: no such folder")
    with COMPOSING:
        before = GlobalHydra.instance().hydra  # composing inside a Hydra job must leave the job's own state alone
        GlobalHydra.instance().clear()
        try:
            with initialize_config_module(CONFIGS, version_base="1.3"):
                yield
        finally:
            GlobalHydra.instance().hydra = before


def _searchpath(config_dirs: Sequence[str]) -> list[str]:
    places = ",".join(f"file://{Path(folder).resolve()}" for folder in config_dirs)
    return [f"hydra.searchpath=[{places}]"] if places else []


def normalise(word: str) -> str:
    """Returns an override as Hydra takes it: values with `#`, `=` and the like quoted, the problem's own keys admitted."""
    if word.startswith(("+", "~")):
        raise UsageError(f"{word}: keys can't be added or removed; every key there is can be set by KEY=VALUE")
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise UsageError(f"{word}: not of the form KEY=VALUE; see 'evolve run --help'")
    if key.split(".")[0] in FREE or key.split(".")[:2] == ["llm", "params"]:
        key = f"++{key}"
    try:
        OverridesParser.create().parse_override(f"{key}={value}")
        as_it_is = "\\" not in value or value[0] in "'\"[{$"  # Hydra takes a backslash before white space for an escape
    except HydraException:
        as_it_is = False
    if as_it_is and not (key == "warm_start" and "," in value and value[0] not in "'\"["):
        return f"{key}={value}"
    # within quotes only a quote is escaped, and the backslashes right before one
    quoted = re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), value)
    return f"{key}='{quoted}'"


def sweep_values(word: str) -> list[str]:
    """Returns the overrides that a sweep's word stands for: `seed=1,2` is `seed=1` and `seed=2`."""
    override = OverridesParser.create().parse_override(normalise(word))
    if not override.is_sweep_override():
        return [word]
    key = word.partition("=")[0]
    # what it yields has white space escaped, as Hydra's own command line needs it
    return [re.sub(r"\\(?=\s)", "", f"{key}={value}") for value in override.sweep_string_iterator()]


@contextmanager
def translated(words: Sequence[str] = ()) -> Iterator[None]:
    """Turns what Hydra raises for a user's mistake into a UsageError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UsageError(_one_line(error, words)) from None


def _one_line(error: Exception, words: Sequence[str]) -> str:
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        key = match.group(1)
        if re.search(r"key$|secret|password", key, re.I):  # its value is not shown
            return f"{key}: no such key; keys of providers come from the environment only (docs/models.md)"
        word = next((word for word in words if word.partition("=")[0] == key), key)
        return f"{word}: no such key; {_elsewhere(key) or nearest(key, keys())}"
    if match := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, choice = match.group(1).rpartition("/")
        return f"{group}={choice}: no such choice; {nearest(choice, choices(group), 'choices')}"
    if "--multirun" in text or "Sweep parameters" in text:
        return "several values for one key need -m (a sweep): evolve run -m problem=a,b"
    if match := re.search(r"Missing mandatory value: (\S+)", text):
        return f"{match.group(1)} must be set, for example {match.group(1)}=VALUE"
    if "Config group override" in text:
        return f"{' '.join(words)}: a group takes the name of one of its choices"
    return text.strip().splitlines()[0]


def _elsewhere(key: str) -> str | None:
    """Returns the hint for a key that another choice of its group has (llm.model while llm=offline)."""
    group, _, name = key.partition(".")
    having = [
        c for c in choices(group) if re.search(rf"^{re.escape(name)}:", _group_file(group, c).read_text(), re.MULTILINE)
    ]
    return f"{group}={' or '.join(having)} has it" if having else None


def nearest(given: str, known: Sequence[str], what: str = "keys") -> str:
    """Returns the hint that names the nearest known word, or all of a few."""
    alike = [k for k in known if "." in k or "." not in given]
    near = get_close_matches(given, alike, 1, cutoff=0.5) or [k for k in known if k.rpartition(".")[2] == given][:1]
    if near:
        return f"did you mean '{near[0]}'?"
    section = [k for k in alike if k.split(".")[0] == given.split(".")[0]]
    return f"{what}: {', '.join(section or known)}"


def keys() -> list[str]:
    """Returns every key of the default configuration, dotted."""
    return sorted(_flatten(compose([])))


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in config.items():
        if key.startswith("_"):
            continue
        yield prefix + key
        if isinstance(value, list):
            value = {str(place): inner for place, inner in enumerate(value) if isinstance(inner, dict)}
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")


def choices(group: str) -> list[str]:
    """Returns the choices of a group that ship with Evolve."""
    return sorted(path.stem for path in Path(str(resources.files(CONFIGS))).glob(f"{group}/*.yaml"))


def _group_file(group: str, choice: str) -> Path:
    return Path(str(resources.files(CONFIGS))) / group / f"{choice}.yaml"


# ---------------------------------------------------------------- configuration -> objects


def resumed(
    stored: Mapping[str, Any],
    stored_words: Sequence[str],
    words: Sequence[str],
    dirs: Sequence[str],
    sections: Sequence[str] = RESUMABLE,
) -> dict[str, Any]:
    """Returns a stored run's configuration with the sections that new words touch composed anew."""
    for word in words:
        section = word.split("=")[0].split(".")[0]
        if section not in sections:
            allowed = ", ".join(f"{name}.*" for name in sections)
            verb = "resume" if sections == RESUMABLE else "rescore"
            raise UsageError(f"{word}: can't change on {verb}; a {verb} takes {allowed} (or start a new run)")
    config = copy.deepcopy(dict(stored))
    fresh = compose([*stored_words, *words], dirs) if words else {}
    for word in words:
        path = word.split("=")[0].split(".")
        into, made = config, fresh
        for name in path[:-1]:
            into, made = into.setdefault(name, {}), made[name]
        into[path[-1]] = made[path[-1]]
    return config


def build(config: Mapping[str, Any], words: Sequence[str] = ()) -> Setup:
    """Builds a run's objects. Raises UsageError or ProblemError for a value that does not fit, naming its key."""
    _check(config)
    problem = load_problem(str(config["problem"]), config["param"], config["stage"], config.get("foreign"))
    if unset := [name for name, value in problem.env.items() if not value]:
        raise UsageError(f"foreign.allow=[env:{unset[0]}]: {unset[0]} is not set in this environment; export it")
    if problem.trust != SEPARATE:
        config = {**config, "trust": problem.trust}  # every view says so
    if problem.incumbent:
        config = {**config, "incumbent": problem.lending[-1]}  # views show the best output of that stage
    budget: Budget = _make(config, "budget")
    schedule: Schedule = _make(config, "schedule")
    provider, record = _provider(config)
    strategy = _possible(_make(config, "selection"), problem, provider)
    if schedule.window is not None:
        budget.check_repeatable()
        _check_no_reports(problem)
    islands = strategy.count(budget.candidates or 200)
    config = {**config, "selection": {**config["selection"], "islands": islands}}  # a resume keeps it
    _check_no_password(config["database"]["url"])
    artifact_mb = config["database"].get("artifact_mb", 200.0)
    checks.number("database.artifact_mb", artifact_mb, 0)
    settings = {"islands": islands, "strategy": strategy, "rules": rules(problem), "window": schedule.window}
    settings["lending"] = problem.lending
    proposing: Proposing = _make(config, "proposer")
    evaluator: Evaluator = _make(_with_gpu(config, problem), "evaluator")
    if record is not None and record.evaluations == RECORDED:
        evaluator = Recorded(evaluator, record)
    setup = Setup(
        config=config,
        words=words,
        problem=problem,
        search_settings={"seed": int(config["seed"]), **settings},
        provider=provider,
        proposing=proposing,
        evaluator=evaluator,
        budget=budget,
        artifact_mb=artifact_mb,
        record=record,
        embedder=_embedder(proposing, record),
    )
    if record is not None and record.strict:
        checked(setup, record.store.run(record.run_id))
    return setup


def _provider(config: Mapping[str, Any]) -> tuple[Provider, Record | None]:
    """Builds the provider; of llm=replay with the record that answers, like the provider that the record was made with."""
    given, target = config["replay"], config["llm"]["_target_"] if isinstance(config["llm"], dict) else ""
    if target != REPLAY:
        if given["run"] is not None:
            raise UsageError(f"replay.run={given['run']}: needs llm=replay")
        return _make(config, "llm"), None
    store, row = _recorded(config)
    record = Record(store, row["run_id"], strict=given["strict"], evaluations=str(given["evaluations"]))
    return Replay(record, _provider(row["config"])[0]), record


def _recorded(config: Mapping[str, Any]) -> tuple[Store, Row]:
    run = config["replay"]["run"]
    if run is None:
        raise UsageError("llm=replay: say which run, replay.run=RUN")
    ref = find(str(run))
    store = ref.open()
    row = store.run(ref.run_id)
    if row["config"].get("fork"):
        raise UsageError(f"replay.run={run}: is a fork of {row['config']['fork']}, which no replay repeats")
    return store, row


def replaying(config: Mapping[str, Any], words: Sequence[str]) -> Mapping[str, Any]:
    """Returns the configuration of a replay: as the record was made, where the words do not say otherwise."""
    if not isinstance(config["llm"], dict) or config["llm"]["_target_"] != REPLAY:
        return config
    _, row = _recorded(config)
    said = {word.split("=")[0].split(".")[0] for word in words}
    taken = {section: row["config"][section] for section in REPLAYED if section in row["config"].keys() - said}
    if "problem" in taken and Path(row["problem_path"]).exists():
        taken["problem"] = row["problem_path"]
    return {**config, **taken}


def _embedder(proposing: Proposing, record: Record | None) -> Provider | None:
    """Builds what makes embeddings; in a replay the record has them."""
    if proposing.embedding is None:
        return None
    known = list(inspect.signature(Embedder).parameters)
    for key in proposing.embedding:
        if key not in known:
            raise UsageError(f"proposer.embedding.{key}: no such key; {nearest(key, known)}")
    try:
        embedder = Embedder(**{"model": "", **proposing.embedding})
    except UsageError as error:
        raise UsageError(str(error).replace("llm.", "proposer.embedding.", 1)) from None
    return embedder if record is None else Replay(record, embedder)


def _possible(strategy: Strategy, problem: Problem, provider: Provider) -> Strategy:
    """Returns the strategy with the operators that the provider and the problem's language allow."""
    known = set(OPERATORS if provider.converses else MECHANICAL)
    if not any(path.endswith(".py") for path in problem.edit):
        known -= set(PYTHON_ONLY)
    edits = provider.edits if provider.edits in known else "diff"
    operators = strategy.operators.only(known - {"diff"} | {edits}, edits)
    strategy = replace(strategy, operators=operators, tuning=_tuning(strategy, problem))
    if strategy.stagnation is None or provider.converses:
        return strategy
    return replace(strategy, stagnation=strategy.stagnation.only(set(ANSWERS) - {EXPLORE}))


def _tuning(strategy: Strategy, problem: Problem) -> Tuning | None:
    """Returns how constants are tuned: as often as the problem says, and not where an evaluation costs a model's calls."""
    wanted = problem.tune.evaluations
    if strategy.tuning is None or wanted == 0 or asks_a_model(problem):
        return None
    return strategy.tuning if wanted is None else replace(strategy.tuning, evaluations=wanted)


def build_provider(config: Mapping[str, Any]) -> Provider:
    """Builds the provider of a configuration alone."""
    provider: Provider = _make(config, "llm")
    return provider


def _with_gpu(config: Mapping[str, Any], problem: Problem) -> Mapping[str, Any]:
    """Fills in whether a stage needs a GPU, for an evaluator that asks (`gpu: null`)."""
    leaf = config["evaluator"]
    if not isinstance(leaf, dict) or leaf.get("gpu", False) is not None:
        return config
    return {**config, "evaluator": {**leaf, "gpu": any(stage.profile == "gpu" for stage in problem.stages)}}


def _check_no_reports(problem: Problem) -> None:
    for stage in problem.stages:
        if stage.report:
            raise UsageError(
                f"stage.{stage.name}.report=true: measures what arrives when, so schedule=ordered refuses it; "
                f"set stage.{stage.name}.report=false"
            )


def _check(config: Mapping[str, Any]) -> None:
    checks.whole("seed", config["seed"], 0)
    for key in ("fork", "warm_start"):
        if not isinstance(config.get(key), str | list | None) or isinstance(config.get("fork"), list):
            raise UsageError(f"{key}={config[key]}: not a run")
    checks.flag("fork_only", config.get("fork_only", False))
    _check_no_secret(config["llm"], "llm")
    _check_no_secret(config["proposer"], "proposer")
    if config["on_existing"] not in ("error", "resume"):
        raise UsageError(f"on_existing={config['on_existing']}: must be error or resume")
    for section in FREE:
        if not isinstance(config[section], dict):
            raise UsageError(f"{section}={config[section]}: set one of its keys, {section}.NAME=VALUE")


def _make(config: Mapping[str, Any], section: str) -> Any:
    """Instantiates one section; what its constructor refuses is told with the section's name."""
    leaf = config[section]
    if not isinstance(leaf, dict) or "_target_" not in leaf:
        raise UsageError(f"{section}={leaf}: choose one of {', '.join(choices(section))}")
    missing = [name for name, value in leaf.items() if value == "???"]
    if missing:
        raise UsageError(f"{section}.{missing[0]} must be set, for example {section}.{missing[0]}=VALUE")
    try:
        return instantiate(DictConfig(leaf), _convert_="all")
    except HydraException as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, EvolveError):
            raise cause from None
        inner = re.search(r"full_key: (\S+)", str(error))
        text = str(cause or error).strip().splitlines()[0]
        if match := re.search(r"unexpected keyword argument '(\w+)'", text):
            key = f"{section}.{match[1]}"
            raise UsageError(f"{key}: no such key; {_elsewhere(key) or nearest(key, keys())}") from error
        raise UsageError(f"{section}{f'.{inner[1]}' if inner else ''}: {text}") from error


def database_url(config: Mapping[str, Any], run_dir: Path) -> str:
    """Returns the database of a run: `database.url`, or a file in its directory."""
    written = config["database"]["url"]
    if not written:
        return file_url(run_dir / "run.db")
    url = OmegaConf.create({"url": str(written)}).url  # it may name a variable of the environment
    if not url:
        raise UsageError("database.url must be set, for example database.url=postgresql://USER@HOST/NAME")
    return absolute(str(url))


def _check_no_password(url: object) -> None:
    """Raises UsageError for a password that is written out: a configuration is stored."""
    with suppress(ValueError):
        parts = urlsplit(str(url or ""))
        if parts.password or "password=" in parts.query:
            raise UsageError(
                "database.url: its password would be stored; write database=postgres alone, and "
                "export EVOLVE_DATABASE_URL=postgresql://USER:PASSWORD@HOST/NAME"
            )
