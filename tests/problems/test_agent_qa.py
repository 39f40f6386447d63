"""Question-answering agents: the made-up world, the counted tools, exact match, the scripted model, agents that we know."""

import hashlib
import importlib
import importlib.util
import itertools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from evaluators.lm import Lm
from evolve.cli import dispatch
from evolve.folder import bundled_root
from evolve.loading import load_problem
from evolve.problem import Instance, Invalid, Stage

FOLDER = bundled_root() / "agent_qa"
spec = importlib.util.spec_from_file_location("agent_qa_evaluator", FOLDER / "evaluator.py")
referee = importlib.util.module_from_spec(spec)
spec.loader.exec_module(referee)
INITIAL = load_problem("agent_qa").initials[0]

# what a person would write: titles are known, out-of-date sentences skipped, the model asked where no sentence has the relation
CAREFUL = {
    "prompts/read.txt": "Answer with the value alone. Skip sentences that begin with Until.\n",
    "pages.py": '''
from pathlib import Path

READ = (Path(__file__).parent / "prompts" / "read.txt").read_text()


def find(name, kind, tools):
    return tools["lookup"](name + " (" + kind + ")")


def read(page, name, relation, lm):
    for sentence in page.rstrip(".").split(". "):
        if sentence.startswith("The " + relation + " of " + name):
            return sentence.split()[-1]
    return lm(READ + "\\nPage: " + page + "\\nWhat is the " + relation + " of " + name + "?").strip()
''',
    "agent.py": INITIAL["agent.py"]
    .replace("most_steps = 2", "most_steps = 8")
    .replace('tools["calc"](values[0] + " - " + values[1])', "int(values[0]) - int(values[1])"),
}  # fmt: skip
# knows the sentences of the training by heart, and asks the model for plans alone
TABLE = CAREFUL | {
    "pages.py": CAREFUL["pages.py"].split("def read")[0]
    + f"""
SENTENCES = { ({r.name: r.sentence for r in referee.RELATIONS})!r}


def read(page, name, relation, lm):
    begin = SENTENCES.get(relation, "?{{}}?").split("{{}}")
    for sentence in page.rstrip(".").split(". "):
        if sentence.startswith(begin[0] + name + begin[1]):
            return sentence.split()[-1]
    return ""
""".replace("{{", "{").replace("}}", "}")
}


def draw(stage: str, seed: int = 0, **keys) -> list[Instance]:
    return referee.instances(Stage(name=stage, **keys), np.random.Generator(np.random.PCG64(seed)))


def lm(ask=None) -> Lm:
    return Lm(ask or (lambda question: [referee.model(prompt, question["system"]) for prompt in question["prompts"]]))


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Returns the `run` of the initial agent with other files in the place of some."""

    def agent(**files: str):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for path, text in (INITIAL | files).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        for name in ("agent", "pages"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module("agent").run

    yield agent
    for name in ("agent", "pages"):
        sys.modules.pop(name, None)


def asked(run, instance: Instance):
    """Returns the result of one question, as the stage has it: what the agent raises fails that question alone."""
    lent = referee.services(instance, lm())
    model = lent.pop("lm")
    try:
        return referee.score(instance, run(instance.input, lent, model))
    except Invalid as refusal:
        return referee.Result({"score": -0.08}, feedback=str(refusal))


def metrics(run, instances: list[Instance]) -> dict[str, float]:
    return referee.aggregate([asked(run, instance) for instance in instances])


# ---------------------------------------------------------------- the folder and its data


def test_folder_loads():
    problem = load_problem("agent_qa")
    assert (problem.entry, problem.entry_file, problem.objectives) == ("run", "agent.py", {"score": 1})
    assert sorted(problem.edit) == sorted(INITIAL) and len(INITIAL) == 4
    assert all(stage.failure_value == -referee.COST * referee.TOOL_CALLS for stage in problem.stages)


def test_questions_and_pages_stay_the_same():
    found = [
        (one.input, one.secret.answer, one.secret.base.pages) for s in ("small", "main", "holdout") for one in draw(s)
    ]
    assert hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16] == "16f40cafd9a62889"


@pytest.mark.parametrize(
    ("stage", "count", "hops"), [("small", 4, {2, 3}), ("main", 36, {2, 3, 4}), ("holdout", 40, {4, 5})]
)
def test_numbers_of_questions_and_hops(stage, count, hops):
    found = draw(stage)
    assert len(found) == count and sum(one.input.startswith("How much larger") for one in found) == count // 4
    for one in found:
        length = int(one.name.split("(")[1].split()[0])
        compared = one.input.startswith("How")
        assert length in hops and one.input.count(" of ") == length
        assert one.secret.answer not in one.input
        assert not compared or int(one.secret.answer) > 0


def test_holdout_has_other_relations_and_worlds():
    train, held = draw("main"), draw("holdout")
    names = [{relation.name for relation in known} for known in (referee.RELATIONS, referee.RENAMED)]
    assert not names[0] & names[1] and len(names[0]) == len(names[1]) == 11
    assert [(r.of, r.to) for r in referee.RELATIONS] == [(r.of, r.to) for r in referee.RENAMED]
    worlds = [json.dumps(one.secret.base.pages) for one in (*train, *held)]
    assert len(set(worlds)) == len(worlds)
    for relation in referee.RELATIONS:
        before, between, _ = relation.sentence.split("{}")
        assert not any(between in text and before in text for one in held for text in one.secret.base.pages.values())


def test_every_step_can_be_read_off_the_pages():
    for one in draw("main") + draw("holdout"):
        base = one.secret.base
        known = {r.name: r for r in (*referee.RELATIONS, *referee.RENAMED)}
        for (kind, name, relation), value in base.facts.items():
            said = known[relation].sentence.format(name, value)
            assert said in base.pages[f"{name} ({kind})"].removesuffix(".").split(". ")


# ---------------------------------------------------------------- scores


def test_initial_agent(agent):
    found = metrics(agent(), draw("main"))
    assert 0.15 <= found["score"] <= 0.35


def test_careful_agent_answers_all_of_main_and_most_of_the_holdout(agent):
    run = agent(**CAREFUL)
    main, held = metrics(run, draw("main")), metrics(run, draw("holdout"))
    assert main["exact_match"] == 1.0 and main["score"] == pytest.approx(load_problem("agent_qa").known_best())
    assert 0.8 < held["exact_match"] < 1.0


def test_agent_with_a_table_of_sentences_fails_on_the_holdout(agent):
    run = agent(**TABLE)
    main, held = metrics(run, draw("main")), metrics(run, draw("holdout"))
    assert main["exact_match"] == 1.0 and held["exact_match"] == 0.0


def test_agent_that_does_not_look_gets_nothing():
    assert metrics(lambda question, tools, lm: "", draw("main")) == {
        "score": 0.0, "exact_match": 0.0, "tool_calls": 0.0, "model_calls": 0.0,
    }  # fmt: skip


def test_a_failure_is_never_worth_more_than_a_wrong_answer():
    def wasteful(question, tools, lm):
        for _ in range(8):
            tools["search"]("x")
        return "?"

    def failing(question, tools, lm):
        tools["calc"]("?")

    found = [metrics(run, draw("small"))["score"] for run in (wasteful, failing)]
    assert found == pytest.approx([-0.08, -0.08])


def test_score_is_exact_match_less_a_hundredth_for_each_call():
    instance = draw("small")[0]

    def run(question, tools, lm):
        tools["search"]("a"), tools["lookup"]("b"), tools["calc"]("1")
        return f" {instance.secret.answer}\n"

    result = asked(run, instance)
    assert result.metrics == {"score": pytest.approx(0.97), "exact_match": 1.0, "tool_calls": 3.0, "model_calls": 0.0}


def test_check_gives_the_initial_agents_score(capsys):
    dispatch(["check", "agent_qa", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["status"] == "ok" and 0.1 <= found["score"] <= 0.35, found["feedback"]


# ---------------------------------------------------------------- what an agent can't do

HOSTILE = """
def run(question, tools, lm):
    refused = []
    for k in range(12):
        try:
            tools[("search", "lookup", "calc")[k % 3]]("1")
        except Exception as error:
            refused.append(f"{k}: {error}")
    for k in range(6):
        try:
            lm("hello")
        except Exception as error:
            refused.append(f"{k}: {error}")
    return " / ".join(refused)
"""


def test_the_ninth_call_of_tools_and_the_fifth_of_the_model_raise_in_the_candidate(tmp_path, capsys):
    for path, text in (INITIAL | {"agent.py": HOSTILE}).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    dispatch(["check", "agent_qa", "--candidate", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["metrics"]["tool_calls"], found["metrics"]["model_calls"]) == (8.0, 4.0)
    assert found["score"] == pytest.approx(-0.08)
    assert "answered '8: 8 calls of tools are used up / 9: " in found["feedback"]


def test_refused_calls_count_and_say_nothing_more():
    instance = draw("small")[0]
    tools = referee.services(instance, lm())
    for given in (None, 10**6000, ["x"], "x" * 4001, b"x", {"a": 1}):
        with pytest.raises(Invalid, match="takes a text of at most 4,000 characters"):
            tools["lookup"](given)
    with pytest.raises(Invalid, match="lm takes a text"):
        tools["lm"]("x" * 4001)
    assert (instance.secret.used.tools, instance.secret.used.model) == (6, 1)
    tools["search"]("x"), tools["lookup"]("x")
    for tool in ("search", "lookup", "calc"):
        with pytest.raises(Invalid, match="8 calls of tools are used up"):
            tools[tool]("1")


def test_counts_begin_anew_with_each_question_and_each_candidate():
    instance = draw("small")[0]
    for _ in range(2):
        tools = referee.services(instance, lm())
        for _ in range(8):
            tools["search"]("x")
        assert instance.secret.used.tools == 8


def test_pages_of_one_question_say_nothing_true_of_another():
    instances = draw("main")
    shared = [
        a.secret.base.pages[title] == b.secret.base.pages[title]
        for a, b in itertools.pairwise(instances)
        for title in a.secret.base.pages.keys() & b.secret.base.pages.keys()
        if title.endswith(("(person)", "(city)", "(country)"))
    ]
    assert len(shared) > 100 and not any(shared)


@pytest.mark.parametrize("output", [None, True, ["Balcor"], {"answer": "Balcor"}, b"Balcor", np.array([1.0])])
def test_output_that_is_no_answer_is_refused(output):
    with pytest.raises(Invalid, match="an answer is text or a number"):
        referee.answered(output)


def test_answer_that_is_a_huge_number_is_refused():
    with pytest.raises(Invalid, match="a number of 19,932 bits"):
        referee.answered(10**6000)


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Balcor ", "Balcor"),
        (12, "12"),
        (12.0, "12"),
        (12.5, "12.5"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ("balcor", "balcor"),
        ("1,200", "1,200"),
    ],
)  # fmt: skip
def test_answers_as_text(output, text):
    assert referee.answered(output) == text


def test_the_answer_is_never_shown():
    for instance in draw("main"):
        result = asked(lambda question, tools, lm: "?", instance)
        assert instance.secret.answer not in result.feedback


# ---------------------------------------------------------------- the tools


@pytest.mark.parametrize(
    ("expression", "value"),
    [("1 + 2 * 3", 7), ("(1 + 2) * -3", -9), ("7 / 2", 3.5), (" 2.5 - 1 ", 1.5), ("10**2", None)],
)
def test_calc(expression, value):
    if value is None:
        with pytest.raises(Invalid, match="only numbers"):
            referee.calc(expression)
    else:
        assert referee.calc(expression) == value


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "1 / 0",
        "__import__('os')",
        "True + 1",
        "1j",
        "'a' * 9",
        "9" * 201,
        "(" * 150,
        "x",
        "[1]",
        "1 if 1 else 2",
        "1; 2",
        "\0",
        "a.b",
        "f'{1}'",
    ],
)  # fmt: skip
def test_calc_refuses_all_but_arithmetic(expression):
    with pytest.raises(Invalid, match="can't calculate"):
        referee.calc(expression)


def test_search_and_lookup():
    base = draw("small")[0].secret.base
    title = next(iter(base.pages))
    assert base.search(title)[0] == title and len(base.search("person")) == 3
    assert base.search("nothingness") == base.search("") == []
    tools = referee.services(draw("small")[0], lm())
    assert tools["lookup"]("No such page") == "" and tools["lookup"](title) == base.pages[title]


# ---------------------------------------------------------------- the scripted model


def test_the_scripted_model_plans():
    told = "start: NAME | KIND\nQuestion: "
    assert referee.model(told + "What is the area of the country of the seat of Balcor?", "") == (
        "start: Balcor | company\nseat | city\ncountry | country\narea | number"
    )
    assert referee.model(told + "How much larger is the area of Balcor than the population of Dengil?", "") == (
        "start: Balcor | country\narea | number\nstart: Dengil | city\npopulation | number"
    )
    assert referee.model("Question: What is the money of Balcor?", "") == "start: Balcor\nmoney"
    assert referee.model(told + "What is the colour of Balcor?", "") == "I don't know such a relation."


def test_the_scripted_model_reads_what_it_is_told():
    page = "Page: Until 1990 it was otherwise: Balcor was born in Dengil. Farhol was born in Balcor. Balcor was born in Holjas."
    question = f"{page}\nWhat is the birthplace of Balcor?"
    assert referee.model(f"The value alone.\n{question}", "") == "Dengil"
    assert referee.model(f"The value alone, not what held Until a year.\n{question}", "") == "Holjas"
    assert referee.model(question, "") == "It is Dengil."
    assert referee.model(question.replace("birthplace", "mentor"), "") == "unknown"
    assert referee.model("alone Page: The hue of Balcor is red\nWhat is the hue of Balcor?", "") == "red"


@pytest.mark.parametrize("name", ["{}", "{", "}", "{0.__class__}", "{!r:>99999999}", "mayor of {}", "(", "\\"])
def test_the_scripted_model_takes_no_formats_from_a_prompt(name):
    page = f"The {name} of Balcor is red. The mayor of {name} is Dengil"
    assert referee.model(f"alone Page: {page}\nWhat is the {name} of Balcor?", "") == "red"
    assert referee.model(f"alone Page: {page}\nWhat is the mayor of {name}?", "") == "Dengil"
    assert referee.model("Hello", "") == "I don't know what to do."
