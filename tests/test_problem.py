"""Problem folders: what is read, and one clear line for everything that is wrong in one."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from evolve.errors import EvolveError, ProblemError, UsageError
from evolve.finding import find_problem, problem_names
from evolve.loading import load_problem
from evolve.problem import Problem, Stage

INITIAL = "def pack(n):\n    return n\n"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a problem folder of texts by path; `initial.py` and `evaluator.py` are there unless given as None."""

    def make(yaml: str | None = None, files: Mapping[str, str | None] = MappingProxyType({})) -> Path:
        folder = tmp_path / "tiny"
        defaults = {"evaluator.py": "def score(instance, output): return 1.0\n", "initial.py": INITIAL}
        for path, text in {**defaults, "problem.yaml": yaml, **files}.items():
            if text is not None:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text)
        return folder

    return make


def load(folder: Path, **given: Any) -> Problem:
    return load_problem(str(folder), **given)


def refused(folder: Path, **given: Any) -> str:
    """Returns the one line in which a folder is refused."""
    with pytest.raises((ProblemError, UsageError)) as caught:
        load(folder, **given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- defaults


def test_two_files_are_a_problem(make):
    problem = load(make())
    assert (problem.name, problem.entry, problem.edit, problem.objectives) == (
        "tiny",
        "pack",
        ("initial.py",),
        {"score": 1},
    )
    assert problem.initials == ({"initial.py": INITIAL},) and problem.stages == (Stage(name="main"),)
    assert problem.known_best() is None and problem.description == ""


@pytest.mark.parametrize("yaml", ["", "# nothing yet\n", "{}\n", "stages:\nparams:\nobjectives:\nknown:\n"])
def test_an_empty_problem_yaml_is_as_none(make, yaml):
    assert load(make(yaml)).stages == (Stage(name="main"),)


def test_the_bundled_problems_load():
    assert set(problem_names()) >= {"circle_packing", "online_bin_packing"}
    for name in problem_names():
        assert load_problem(name).initials


def test_a_description_is_filled_with_the_parameters(make):
    folder = make("params: {n: 26}\n", {"problem.md": "Pack {n} discs of {kind}.\n"})
    assert load(folder, params={"n": 32}).description == "Pack 32 discs of {kind}."


def test_knowledge_is_joined_in_the_order_of_names(make):
    assert load(make(None, {"knowledge/b.md": "two", "knowledge/a.md": "one", "knowledge/c.txt": "x"})).knowledge == (
        "one\n\ntwo"
    )


# ---------------------------------------------------------------- initial programs


def test_a_folder_is_one_program_of_several_files(make):
    folder = make("entry: f\n", {"initial.py": None, "initial/a.py": "x\n", "initial/lib/b.py": "y\n"})
    problem = load(folder)
    assert problem.initials == ({"a.py": "x\n", "lib/b.py": "y\n"},) and problem.edit == ("a.py", "lib/b.py")


def test_several_formulations_answer_to_one_path(make):
    folder = make(None, {"initial.py": None, "initials/b.py": INITIAL, "initials/a.py": INITIAL + "\n"})
    assert load(folder).initials == ({"initial.py": INITIAL + "\n"}, {"initial.py": INITIAL})


def test_caches_are_no_part_of_a_program(make):
    folder = make("entry: f\n", {"initial.py": None, "initial/a.py": "x\n", "initial/__pycache__/a.pyc": "!"})
    assert list(load(folder).initials[0]) == ["a.py"]


def test_without_an_initial_program_the_entry_must_be_said(make):
    folder = make(None, {"initial.py": None})
    assert "without an initial program, 'entry' must name the function to write" in refused(folder)
    assert load(make("entry: f\n", {"initial.py": None})).initials == ()


def test_a_program_that_is_no_text_is_named(make):
    folder = make()
    (folder / "initial.py").write_bytes(b"\xff\xfe")
    assert refused(folder) == f"{folder}/initial.py: must be UTF-8 text"


def test_an_empty_folder_of_programs_is_refused(make):
    folder = make("entry: f\n", {"initial.py": None})
    (folder / "initial").mkdir()
    assert "initial" in refused(folder)


# ---------------------------------------------------------------- entry and edit


def test_the_entry_is_the_only_public_function(make):
    assert load(make(None, {"initial.py": "def _helper(): pass\n" + INITIAL})).entry == "pack"


@pytest.mark.parametrize(
    ("source", "names"), [("def f(): pass\ndef g(): pass\n", "f, g"), ("x = 1\ndef _f(): pass\n", "none")]
)
def test_an_entry_that_is_not_clear_must_be_said(make, source, names):
    message = refused(make(None, {"initial.py": source}))
    assert f"'entry' must say which function is called; public functions of initial.py: {names}" in message
    assert load(make("entry: g\n", {"initial.py": source})).entry == "g"


def test_a_program_that_does_not_parse_is_named_with_its_line(make):
    folder = make(None, {"initial.py": "x = 1\ndef f(:\n"})
    assert refused(folder).startswith(f"{folder}/initial.py, line 2: ")


def test_an_entry_is_a_function_text_or_a_command(make):
    assert load(make("entry: text\n")).entry == "text"
    assert load(make("entry: [./run, 5]\n")).command == ("./run", "5")
    for nothing in ("5", "[]"):
        assert "entry must be a function's name, 'text', or a command" in refused(make(f"entry: {nothing}\n"))


def test_a_file_to_edit_must_exist(make):
    assert "edit names 'other.py', which no initial program has" in refused(make("edit: [other.py]\n"))


# ---------------------------------------------------------------- problem.yaml


def test_bad_yaml_is_named_with_its_line(make):
    folder = make("entry: f\nstages: {main: [\n")
    assert refused(folder).startswith(f"{folder}/problem.yaml, line 3: not valid YAML: ")


@pytest.mark.parametrize(
    ("yaml", "name"), [("stages: {1: {timeout_s: 2}}", "1"), ("objectives: {on: maximize}", "True")]
)
def test_a_name_that_yaml_takes_for_a_number_is_told(make, yaml, name):
    assert f"the name {name} is no text; quote it" in refused(make(f"entry: pack\n{yaml}\n"))


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("- a\n", "must be a mapping of keys, not list"),
        ("objectivs: {a: maximize}\n", "unknown key 'objectivs'; did you mean 'objectives'?"),
        ("zzz: 1\n", "unknown key 'zzz'; known: description, entry"),
        ("stages: {main: {timeout: 5}}\n", "unknown key 'stages.main.timeout'; did you mean 'stages.main.timeout_s'?"),
        ("incumbent: true\n", "incumbent: true needs a function as entry and two stages or more"),
        ("incumbent: true\nentry: text\nstages: {a: {}, b: {}}\n", "incumbent: true needs a function as entry"),
        ("incumbent: true\nstages: {a: {}, b: {}}\ntune: {stage: a}\n", "constants are tuned in the last stage, 'b'"),
        ("incumbent: true\nstages: {a: {draw: fresh}, b: {}}\n", "before the last stage; not so in stages.a"),
        ("incumbent: true\nstages: {a: {pass_if: '>= 1'}, b: {}}\n", "no partial, pass_if or report"),
        ("incumbent: true\nstages: {a: {}, b: {}}\nconstraints: {w: {at_most: 0}}\n", "does not go with constraints"),
        ("incumbent: true\nstages: {a: {}, b: {}}\nknown: {score: {best: 1, bound: 2}}\n", "with known.score.bound"),
        ("tune: {evaluations: -1}\n", "tune.evaluations must be a whole number, 0 or more, not -1"),
        ("tune: {stage: man}\n", "tune.stage: no stage 'man'; did you mean 'main'?"),
        ("tune: {trials: 3}\n", "unknown key 'tune.trials'; known: evaluations, stage"),
        ("holdout: {instances: none}\n", "holdout.instances must be a whole number, not 'none'"),
        ("build: {run: g++}\n", "build.run must be a command [PROGRAM, ARGUMENT, ...], not 'g++'"),
        ("mounts: {/nowhere: ro}\n", "mounts./nowhere: no such file or folder"),
        ("comparable_on: cpu\n", "comparable_on is any, cpu_model or gpu_model, not 'cpu'"),
        ("isolation: none\n", "isolation is bare, guarded or strict, not 'none'"),
        ("stages: {main: {replicates: 0}}\n", "replicates must be a whole number, 1 or more, not 0"),
        ("stages: {main: {gpus: 1}}\n", "gpus and exclusive_gpu need profile: gpu, not python"),
        ("objectives: {a: up}\n", "objectives.a is maximize or minimize, not 'up'"),
        ("known: {score: 5}\n", "known.score must be {best: NUMBER, source: TEXT}, not 5"),
        ("known: {score: {best: .nan}}\n", "known.score must be {best: NUMBER"),
        ("stages: {main: {timeout_s: 0}}\n", "stage 'main': timeout_s must be positive, not 0"),
        ("stages: {main: {timeout_s: fast}}\n", "stage 'main': timeout_s must be a number, 0 or more, not 'fast'"),
        ("stages: {main: {memory_mb: 1}}\n", "stage 'main': memory_mb must be at least 64, not 1"),
        ("stages: {main: {draw: often}}\n", "stage 'main': draw is fixed, paired or fresh, not 'often'"),
        ("stages: {main: {partial: true}}\n", "stage 'main': partial: true needs a failure_value to count"),
        ("stages: {main: {pass_if: good}}\n", "stage 'main': pass_if is '>= NUMBER' or '>= qNN', not 'good'"),
    ],
)  # fmt: skip
def test_what_a_problem_yaml_says_wrongly_is_one_clear_line(make, yaml, message):
    assert message in refused(make(yaml))


@pytest.mark.parametrize(
    "yaml",
    [
        "stages: [main]\n", "stages: {main: 5}\n", "stages: {main: {pass_if: 5}}\n", "stages: {main: {instances: many}}\n",
        "stages: {main: {pass_if: '>= 1.2.3'}}\n", "stages: {main: {partial: maybe}}\n",
        "stages: {main: {resources: 5}}\n", "stages: {main: {instances: 0}}\n", "stages: {main: {failure_value: low}}\n",
        "objectives: [score]\n", "objectives: {score: [maximize]}\n", "params: 5\n", "known: [5]\n", "edit: 5\n",
        "preload: 5\n", "1: 2\n", "known: {score: {best: true}}\n",
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused_with_its_place(make, yaml):
    assert "problem.yaml" in refused(make(yaml)) or "stage 'main'" in refused(make(yaml))


def test_a_text_that_is_not_utf8_is_refused_with_its_place(make):
    folder = make()
    (folder / "problem.md").write_bytes(b"\xff")
    assert "problem.md" in refused(folder)


def test_a_stages_wall_time_follows_from_its_time_limit(make):
    assert load(make("stages: {main: {timeout_s: 10}}\n")).stages[0].wall_s == 50.0


def test_objectives_keep_their_order_and_the_first_ranks(make):
    problem = load(make("objectives: {b: minimize, a: maximize}\n"))
    assert (problem.objective, problem.objectives) == ("b", {"b": -1, "a": 1})
    assert problem.score_of({"a": 1.0, "b": 2.0}) == -2.0


# ---------------------------------------------------------------- parameters and overrides

PARAMS = "params: {n: 26, ratio: 0.5, kind: weibull, fast: false}\n"


def test_parameters_are_overridden(make):
    given = {"n": 32, "ratio": 1, "kind": "uniform", "fast": True}
    assert load(make(PARAMS), params=given).params == given


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": "many"}, "param.n=many: must be int like the default 26"),
        ({"n": 2.5}, "param.n=2.5: must be int like the default 26"),
        ({"n": True}, "param.n=True: must be int like the default 26"),
        ({"kind": 5}, "param.kind=5: must be str like the default 'weibull'"),
        ({"fast": 1}, "param.fast=1: must be bool like the default False"),
        ({"ration": 1.0}, "declares no such parameter; did you mean 'param.ratio'?"),
        ({"zzz": 1.0}, "declares no such parameter; declared: n, ratio, kind, fast"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(make, given, message):
    assert message in refused(make(PARAMS), params=given)


def test_stages_are_overridden(make):
    stage = load(make("stages: {main: {cpus: 2}}\n"), stages={"main": {"timeout_s": 3}}).stages[0]
    assert (stage.cpus, stage.timeout_s) == (2, 3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mian": {"timeout_s": 3}}, "stage.mian: tiny has no such stage; did you mean 'stage.main'?"),
        ({"main": {"timeouts": 3}}, "did you mean 'stage.main.timeout_s'?"),
        ({"main": {"timeout_s": "long"}}, "timeout_s must be a number, 0 or more, not 'long'"),
        ({"main": 5}, "stage.main"),
    ],
)
def test_stage_overrides_that_do_not_fit_are_refused(make, given, message):
    assert message in refused(make(), stages=given)


def test_a_known_best_holds_for_the_declared_parameters_alone(make):
    folder = make("params: {n: 26}\nknown: {score: {best: 2.5, source: s}}\n")
    assert load(folder).known_best() == load(folder, params={"n": 26}).known_best() == 2.5
    assert load(folder, params={"n": 27}).known_best() is None


# ---------------------------------------------------------------- the hash


def test_the_hash_is_of_content_not_of_place(make, tmp_path):
    folder = make()
    shutil.copytree(folder, tmp_path / "copy")
    assert load(tmp_path / "copy").hash == load(folder).hash


@pytest.mark.parametrize("path", ["evaluator.py", "initial.py", "hidden/labels.txt", "data/x.csv"])
def test_the_hash_changes_with_any_file(make, path):
    folder = make()
    before = load(folder).hash
    (folder / path).parent.mkdir(exist_ok=True)
    with (folder / path).open("a") as file:
        file.write("# more\n")
    assert load(folder).hash != before


def test_the_hash_changes_with_parameters_and_stages(make):
    folder = make("params: {n: 26}\n")
    variants = [{}, {"params": {"n": 27}}, {"stages": {"main": {"timeout_s": 3}}}]
    assert len({load(folder, **given).hash for given in variants}) == 3


def test_the_hash_ignores_caches(make):
    folder = make()
    before = load(folder).hash
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "evaluator.pyc").write_bytes(b"x")
    assert load(folder).hash == before


# ---------------------------------------------------------------- finding


def test_a_name_and_a_path_are_found(make):
    assert find_problem("circle_packing").name == "circle_packing"
    assert find_problem(str(make())) == make()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("circle_paking", "no problem of that name and no such folder; did you mean 'circle_packing'?"),
        ("zzz", "no problem of that name and no such folder; known: .*autocorrelation, cap_set"),
        ("./nowhere", "no such folder; give a folder that holds evaluator.py"),
        ("", "problem"),
    ],
)
def test_what_is_not_there_is_named_with_the_remedy(name, message):
    with pytest.raises(EvolveError, match=message.replace("?", r"\?")):
        find_problem(name)


def test_a_folder_without_an_evaluator_is_no_problem(make):
    folder = make(None, {"evaluator.py": None})
    assert refused(folder) == f"{folder}: no evaluator.py in this folder; a problem needs one"


# ---------------------------------------------------------------- where things lie


def test_runs_and_caches_inside_the_folder_do_not_change_the_hash(make):
    folder = make()
    before = load(folder).hash
    for place in ("runs/a/run.db", ".mypy_cache/x", "mine/run.json"):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_text("x")
    assert load(folder).hash == before


def test_the_entry_may_be_in_any_file(make):
    folder = make(
        "entry: main\n", {"initial.py": None, "initial/helpers.py": "x = 1\n", "initial/z.py": "def main(): return 1\n"}
    )
    assert (load(folder).entry, load(folder).entry_file) == ("main", "z.py")
