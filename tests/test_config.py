"""Configuration: words in, one clear line for a mistake, and no key that nothing reads."""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators.machine import missing
from evolve.config import GROUPS, REPLAY, build, choices, compose, database_url, keys, normalise, resumed, sweep_values
from evolve.errors import EvolveError, UsageError
from evolve.population import Store

CONFIGS = Path(str(resources.files("configs")))


def refused(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        compose(words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def unbuilt(*words: str) -> str:
    """Returns the one line in which a configuration that composes is refused."""
    with pytest.raises(EvolveError) as caught:
        build(compose(words))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- words


def test_threads_compose_at_once():
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda seed: compose([f"seed={seed}"])["seed"], range(8))) == list(range(8))


def test_without_words_everything_has_its_default():
    config = compose([])
    assert (config["problem"], config["seed"], config["budget"]["candidates"]) == ("circle_packing", 1, 200)
    assert config["llm"]["_target_"] == "evolve.llm.offline.Offline" and config["schedule"] == {
        "_target_": "evolve.search.Async"
    }


def test_words_set_keys_and_choose_groups():
    config = compose(["problem=./x", "seed=7", "llm=litellm", "llm.model=m", "schedule=ordered", "param.n=3"])
    assert (config["problem"], config["seed"], config["llm"]["model"]) == ("./x", 7, "m")
    assert config["schedule"]["window"] == 16 and config["param"] == {"n": 3}


def test_a_stage_is_the_problems_own():
    assert compose(["stage.main.timeout_s=5", "stage.small.pass_if=>= q25"])["stage"] == {
        "main": {"timeout_s": 5},
        "small": {"pass_if": ">= q25"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "a#b", "a=b", "a b", "é", "a/b.c", "~/runs", "{a}", "a'b", 'a"b', "a\\b", "a\\b#c", "a\\", "(x)", "f(x)", "$HOME",
        "a:b", "a@b", "50%", "a;b", "#", "=", "'#", "\\'#", "a\\'b #",
    ],
)  # fmt: skip
def test_values_need_no_quoting(text):
    assert compose([f"run_dir={text}"])["run_dir"] == text


# Hydra's own syntax keeps its meaning: quotes, lists, choices, interpolations, and what reads as a number or a word of YAML.
PLAIN = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters=",$[]{}()'\""), min_size=1
)


@given(st.lists(PLAIN, min_size=1, max_size=4).map(" ".join).map(lambda text: f"x{text}"))
@settings(max_examples=100, deadline=None)
def test_any_text_comes_through_as_it_is(text):
    override = OverridesParser.create().parse_override(normalise(f"run_dir={text}"))  # composing takes 0.1 s
    assert override.value() == text


@pytest.mark.parametrize("quoted", ["'a, b'", '"a, b"'])
def test_quotes_keep_what_would_mean_something(quoted):
    assert compose([f"run_dir={quoted}"])["run_dir"] == "a, b"


@pytest.mark.parametrize("word", ["seed", "=5", "", "seed 5"])
def test_a_word_without_key_or_value_is_refused(word):
    with pytest.raises(UsageError, match=r"not of the form KEY=VALUE; see 'evolve run --help'"):
        normalise(word)


@pytest.mark.parametrize("word", ["+x=1", "++x=1", "~seed", "~seed=1"])
def test_keys_are_neither_added_nor_removed(word):
    assert refused(word) == f"{word}: keys can't be added or removed; every key there is can be set by KEY=VALUE"


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("sed=1", "no such key; did you mean 'seed'?"),
        ("budget.candidate=5", "no such key; did you mean 'budget.candidates'?"),
        ("candidates=5", "no such key; did you mean 'budget.candidates'?"),
        ("budget.zzz=5", "budget.usd"),
        ("llm.model=m", "no such key; llm=litellm has it"),
        ("selection.parents.0.exponant=2", "no such key; did you mean 'selection.parents.0.exponent'?"),
        ("llm=ofline", "no such choice; did you mean 'offline'?"),
        ("schedule=zzz", "no such choice; choices: async, ordered"),
        ("param.n=1,2", "several values for one key need -m (a sweep): evolve run -m problem=a,b"),
        ("seed=1,2", "several values for one key need -m (a sweep): evolve run -m problem=a,b"),
        ("run_dir=${nothing}", "nothing"),
        ("seed.x=1", "no such key"),
        ("budget.candidates.x=1", "no such key"),
        ("zzz=", "no such key"),
        ("llm@x=offline", "no such key"),
        ("hydra.zzz=1", "no such key"),
    ],
)
def test_a_mistake_is_one_line_with_the_nearest_name(word, hint):
    message = refused(word)
    assert hint in message and "hydra.searchpath" not in message and "full_key" not in message


def test_a_folder_of_groups_that_is_missing_is_named():
    with pytest.raises(UsageError, match="--config-dir /no/where: no such folder"):
        compose([], ["/no/where"])


def test_a_folder_of_groups_adds_choices(tmp_path):
    (tmp_path / "budget").mkdir()
    (tmp_path / "budget" / "tiny.yaml").write_text("_target_: evolve.runner.budget.Budget\ncandidates: 3\n")
    assert compose(["budget=tiny"], [str(tmp_path)])["budget"]["candidates"] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=x"], "seed=x: must be a whole number, 0 or more"),
        (["seed=-1"], "seed=-1: must be a whole number"),
        (["seed=1.5"], "seed=1.5: must be a whole number"),
        (["on_existing=ask"], "on_existing=ask: must be error or resume"),
        (["param=5"], "param=5: set one of its keys, param.NAME=VALUE"),
        (["llm=litellm"], "llm.model must be set, for example llm.model=VALUE"),
        (["budget.candidates=-1"], "budget.candidates=-1: must be a whole number, 0 or more, or null"),
        (["budget.candidates=1.5"], "budget.candidates=1.5: must be a whole number"),
        (["budget.candidates=many"], "budget.candidates=many: must be a whole number"),
        (["budget.usd=much"], "budget.usd=much: must be a number"),
        (
            ["budget.candidates=null"],
            "budget: at least one of candidates, evaluations, usd, tokens, seconds must be set",
        ),
        (
            ["schedule=ordered", "budget.seconds=5"],
            "budget.seconds: measures the machine, so schedule=ordered refuses it",
        ),
        (
            ["schedule=ordered", "stage.alone.report=true"],
            "stage.alone.report=true: measures what arrives when, so schedule=ordered refuses it; set stage.alone.report=false",
        ),
        (["evaluator.queue=0"], "evaluator.queue=0: must be a whole number, 1 or more, or null"),
        (["llm.evaluation_concurrency=4"], "llm.evaluation_concurrency=4: no such key; llm="),
        (
            ["llm=litellm", "llm.model=m", "llm.evaluation_concurrency=0"],
            "llm.evaluation_concurrency=0: must be a whole number, 1 or more, or null",
        ),
        (["schedule=ordered", "schedule.window=0"], "schedule.window=0: must be a whole number, 1 or more"),
        (["selection.islands=0"], "selection.islands=0: must be a whole number from 1 to 1000"),
        (["selection.parents.0.exponent=-1"], "selection.parents.exponent=-1: must be a number, 0 or more"),
        (["selection.parents.0.exponent=x"], "selection.parent"),
        (["selection.migration.every=x"], "selection.migration"),
        (["selection.operators.weights.diff=x"], "selection.operators.weights"),
        (["selection.operators.weights.edit=1"], "selection.operators.weights.edit=1: no such key"),
        (["llm.concurrency=0"], "llm.concurrency=0: must be a whole number, 1 or more"),
        (["evaluator.workers=0"], "evaluator.workers=0: must be"),
        (["evaluator.workers=x"], "evaluator.workers=x: must be"),
        (["evaluator.isolation=none"], "evaluator.isolation=none: must be one of auto, strict, guarded, bare"),
        (["evaluator.gpu=maybe"], "evaluator.gpu=maybe: must be true or false, or null"),
        (["problem=circle_paking"], "did you mean 'circle_packing'?"),
        (["budget=5"], "budget"),
    ],
)
def test_a_value_that_does_not_fit_is_one_line_that_names_its_key(words, message):
    try:
        assert message in unbuilt(*words)
    except UsageError as error:  # told while composing
        assert message in str(error) and "\n" not in str(error)


@pytest.mark.parametrize(
    ("stage", "words", "pool"),
    [
        ("{}", [], "LocalPool"),
        ("{profile: gpu, gpus: 1}", [], "RayPool"),
        ("{profile: gpu, gpus: 1}", ["evaluator.gpu=false"], "LocalPool"),
        ("{profile: gpu, gpus: 1}", ["evaluator=local"], "LocalPool"),
        ("{}", ["evaluator.address=10.0.0.1:6379"], "RayPool"),
    ],
)
def test_auto_is_ray_for_an_address_and_for_a_stage_that_needs_a_gpu(tmp_path, stage, words, pool):
    (tmp_path / "initial.py").write_text("def f(): return 1\n")
    (tmp_path / "evaluator.py").write_text("def score(instance, output): return output\n")
    (tmp_path / "problem.yaml").write_text(f"stages: {{main: {stage}}}\n")
    setup = build(compose([f"problem={tmp_path}", *words]))
    assert type(setup.evaluator._pool).__name__ == pool
    assert words or setup.evaluator.missing(setup.problem) == missing(setup.problem)  # of this machine, on either


@pytest.mark.parametrize("name", ["a b", "a#b", "a=b", "a%20b", "a?b=c", "é'\"", "a;b", "100%"])
def test_a_run_directory_of_any_name_can_hold_the_database(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    Store(database_url({"database": {"url": None}}, folder), create=True).close()
    assert (folder / "run.db").is_file()


# ---------------------------------------------------------------- every key is read


def group_files() -> list[Path]:
    return sorted(path for group in GROUPS for path in (CONFIGS / group).glob("*.yaml"))


def parameters(target: str) -> set[str]:
    module, _, name = target.rpartition(".")
    return set(inspect.signature(getattr(import_module(module), name)).parameters)


def leaves(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns every mapping with a `_target_`, the outer first."""
    inner = [leaf for value in content.values() if isinstance(value, dict) for leaf in leaves(value)]
    return [content, *inner] if "_target_" in content else inner


@pytest.mark.parametrize("path", group_files(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_leafs_keys_are_its_constructors(path):
    for leaf in leaves(yaml.safe_load(path.read_text())):
        if leaf["_target_"] == REPLAY:  # made of the section `replay`
            continue
        assert set(leaf) - {"_target_"} == parameters(leaf["_target_"])


def test_the_keys_at_the_top_are_those_that_are_read():
    known = {"problem", "param", "stage", "foreign", "seed", "run_dir", "on_existing", "replay", "warm_start", "fork"}
    known |= {"fork_only"}
    assert set(compose([])) == known | set(GROUPS)


def test_every_folder_of_configs_is_a_group_with_choices():
    folders = {path.name for path in CONFIGS.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == set(GROUPS) and all(choices(group) for group in GROUPS)


def test_keys_are_dotted_and_hold_no_internals():
    assert {"seed", "budget.candidates", "selection.parents.0.exponent"} <= set(keys())
    assert not [key for key in keys() if "_target_" in key]


# ---------------------------------------------------------------- sweeps


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("seed=1,2", ["seed=1", "seed=2"]),
        ("problem=./a,./b", ["problem=./a", "problem=./b"]),
        ("param.n=3,4", ["param.n=3", "param.n=4"]),
        ("seed=range(1,4)", ["seed=1", "seed=2", "seed=3"]),
        ("seed=1", ["seed=1"]),
        ("run_dir='a,b'", ["run_dir='a,b'"]),
        ("problem=a#b", ["problem=a#b"]),
    ],
)
def test_the_values_of_a_sweep(word, values):
    assert sweep_values(word) == values


def test_each_value_of_a_sweep_composes_to_itself():
    assert [compose([word])["run_dir"] for word in sweep_values("run_dir=a b,c d")] == ["a b", "c d"]


# ---------------------------------------------------------------- objects


def test_a_configuration_becomes_a_runs_objects():
    setup = build(compose(["budget.candidates=500", "schedule=ordered", "schedule.window=4", "param.n=7"]), ["a=b"])
    assert (setup.problem.name, setup.problem.params["n"], setup.budget.candidates) == ("circle_packing", 7, 500)
    assert (setup.search_settings["islands"], setup.search_settings["window"], setup.search_settings["seed"]) == (
        5,
        4,
        1,
    )
    assert setup.provider.concurrency == 2 and setup.words == ["a=b"]


@pytest.mark.parametrize(
    ("words", "islands"),
    [
        (["budget.candidates=5"], 1),
        (["budget.candidates=200"], 2),
        (["budget.candidates=5000"], 8),
        (["budget.candidates=null", "budget.usd=1"], 2),
        (["selection.islands=3"], 3),
    ],
)
def test_there_is_an_island_per_100_candidates_one_to_eight(words, islands):
    assert build(compose(words)).search_settings["islands"] == islands


def test_migration_and_reset_can_be_turned_off():
    strategy = build(compose(["selection.migration=null", "selection.reset=null"])).search_settings["strategy"]
    assert strategy.migration is None and strategy.reset is None


# ---------------------------------------------------------------- resuming

STORED_WORDS = ["budget.candidates=50", "seed=3", "llm.concurrency=4"]


def test_resuming_without_words_keeps_everything():
    stored = compose(STORED_WORDS)
    assert resumed(stored, STORED_WORDS, [], []) == stored


def test_resuming_changes_the_sections_that_words_touch():
    stored = compose(STORED_WORDS)
    config = resumed(stored, STORED_WORDS, ["budget.usd=2"], [])
    assert config == {**stored, "budget": {**stored["budget"], "usd": 2}}


def test_resuming_may_choose_another_model():
    config = resumed(compose(["seed=3"]), ["seed=3"], ["llm=litellm", "llm.model=m"], [])
    assert config["llm"]["model"] == "m" and config["seed"] == 3


def test_resuming_keeps_what_an_earlier_resume_changed():
    stored = compose(STORED_WORDS)
    once = resumed(stored, STORED_WORDS, ["budget.usd=2"], [])
    twice = resumed(once, STORED_WORDS, ["budget.candidates=80"], [])
    assert (twice["budget"]["usd"], twice["budget"]["candidates"]) == (2, 80)


@pytest.mark.parametrize(
    "word", ["seed=2", "problem=x", "selection.islands=2", "schedule=ordered", "param.n=3", "zzz=1"]
)
def test_what_can_not_change_on_resume_is_refused(word):
    with pytest.raises(UsageError, match=r"can't change on resume; a resume takes budget\.\*, llm\.\*, evaluator\.\*"):
        resumed(compose([]), [], [word], [])


def test_a_resume_with_another_budget_keeps_the_islands():
    first = build(compose(["budget.candidates=300"]))
    again = build(resumed(first.config, ["budget.candidates=300"], ["budget.candidates=800"], []))
    assert first.search_settings["islands"] == again.search_settings["islands"] == 3


def test_further_parameters_of_a_model_can_be_set():
    words = ["llm=litellm", "llm.model=openai/x", "llm.params={top_p: 0.9}", "llm.params.seed=3"]
    assert compose(words)["llm"]["params"] == {"top_p": 0.9, "seed": 3}


@pytest.mark.parametrize(
    ("word", "said"),
    [("llm.params.top_p=0.9", "llm.params: no such key; llm=litellm has it"), ("llm.api_key=hunter2", "from the env")],
)
def test_what_is_no_key_is_told_without_its_value(word, said):
    with pytest.raises(UsageError, match=said) as caught:
        build(compose([word]))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("llm.params={extra_headers: {X-Api-Key: abc12345}}", "llm.params.extra_headers.X-Api-Key"),
        ("llm.api_base=http://user:pw@host/v1", "llm.api_base"),
        ("llm.api_base=http://host/v1?key=abcdefgh", "llm.api_base"),
    ],
)
def test_a_secret_that_would_be_stored_is_refused(word, path):
    said = unbuilt("llm=litellm", "llm.model=openai/m", word)
    assert said.startswith(f"{path}: looks like a secret") and "abc" not in said and "pw" not in said


def test_what_comes_from_the_environment_is_stored_as_a_reference(monkeypatch):
    monkeypatch.setenv("GATE", "abc12345")
    words = ["llm=litellm", "llm.model=openai/m", "llm.params={extra_headers: {X-Api-Key: '${oc.env:GATE}'}}"]
    composed = compose(words)
    assert composed["llm"]["params"] == {"extra_headers": {"X-Api-Key": "${oc.env:GATE}"}}
    assert build(composed).provider._params == {"extra_headers": {"X-Api-Key": "abc12345"}}


@pytest.mark.parametrize("url", ["postgresql://me:hidden@host/db", "postgresql://host/db?user=me&password=hidden"])
def test_a_databases_password_is_refused_where_it_would_be_stored(url):
    with pytest.raises(UsageError, match="export EVOLVE_DATABASE_URL") as caught:
        build(compose(["database=postgres", f"database.url={url}"]))
    assert "hidden" not in str(caught.value)


def test_a_database_of_the_environment_stays_a_reference(monkeypatch, tmp_path):
    monkeypatch.setenv("EVOLVE_DATABASE_URL", "postgresql://me:hidden@host/db")
    composed = compose(["database=postgres"])
    assert "hidden" not in str(composed)
    assert database_url(composed, tmp_path) == "postgresql://me:hidden@host/db"
    monkeypatch.delenv("EVOLVE_DATABASE_URL")
    with pytest.raises(UsageError, match=r"database\.url must be set, for example"):
        database_url(compose(["database=postgres"]), tmp_path)
