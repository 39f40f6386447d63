"""DSPy modules as problems, offline: scripted models answer what a module asks, in an evaluation and in a run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from evolve.errors import ProblemError, UsageError
from evolve.problem import Invalid

dspy = pytest.importorskip("dspy", reason="dspy is not installed (the extra `dspy`)")

from dspy.utils import DummyLM  # noqa: E402

from evaluators.dspy import answer, counted, problem  # noqa: E402
from evolve.lineage import Run  # noqa: E402

pytestmark = pytest.mark.integration

CAPITALS = {"France": "Paris", "Peru": "Lima", "Kenya": "Nairobi"}
FORM = "[[ ## capital ## ]]\n{}\n\n[[ ## completed ## ]]"
EXAMPLES = [
    dspy.Example(country=country, capital=capital).with_inputs("country") for country, capital in CAPITALS.items()
]
AGENT = """# one model for both: a proposer that finds the word, and a module's model that needs it
import sys
text = sys.stdin.read()
if "## country ##" not in text:
    print("TITLE: ask for the city\\nHYPOTHESIS: plainer\\n\\nask.md\\n```\\nName the city, try EVOLVE.\\n```")
else:
    name = {capitals}[text.rpartition("## country ##")[2].split()[1]]
    print("[[ ## capital ## ]]\\n" + (name if "Name the city" in text else name.upper()) + "\\n\\n[[ ## completed ## ]]")
"""


class Ask(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("country -> capital")

    def forward(self, country: str) -> Any:
        return self.ask(country=country)


def exact(example: Any, prediction: Any, trace: Any = None) -> Any:
    right = example.capital == prediction.capital
    return dspy.Prediction(score=float(right), feedback="right" if right else f"not {prediction.capital}")


def model(prompt: str, system: str) -> str:
    """Answers in capitals unless the instructions or a demonstration ask for better; to the Moon with nonsense."""
    country = prompt.rpartition("## country ##")[2].split()[1]
    name = CAPITALS[country]
    if "nonsense" in system:
        return "I don't know."
    return FORM.format(name if "city" in system or "Madrid" in prompt else name.upper())


@pytest.fixture(scope="module")
def capitals() -> Any:
    return problem(Ask, exact, EXAMPLES[:2], parts=["instructions", "demos"], devset=EXAMPLES[2:], model=model)


def test_a_module_s_instructions_and_demonstrations_are_the_candidate(capitals):
    files = {name: text.decode() for name, text in capitals.files.items()}
    assert files["initial/ask.md"] == "Given the fields `country`, produce the fields `capital`."
    assert json.loads(files["initial/demos.json"]) == {"ask": []}
    first = capitals.evaluate()
    assert first["metrics"] == {"score": 0.0} and "not PARIS" in first["feedback"]
    assert capitals.evaluate({"ask.md": "Name the city."})["metrics"] == {"score": 1.0}
    demos = {"ask": [{"country": "Spain", "capital": "Madrid"}]}
    assert capitals.evaluate({"demos.json": json.dumps(demos)})["metrics"] == {"score": 1.0}


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"demos.json": '{"ask": ['}, "demos.json: Expecting value"),
        ({"demos.json": "[1]"}, "demos.json: "),
        ({"demos.json": '{"ask": [1]}'}, "demos.json: must map each predictor to a list of demonstrations"),
        ({"ask.md": "Talk nonsense."}, "the model's answer has no such fields"),
    ],
)
def test_what_cannot_be_read_is_invalid(capitals, files, reason):
    found = capitals.evaluate(files, debug=True)
    assert found["status"] == "invalid" and reason in found["feedback"]


def test_a_module_s_source_is_the_candidate_and_runs_in_the_sandbox():
    made = problem(Ask, exact, EXAMPLES[:2], parts=["source"], devset=EXAMPLES[2:], model=model)
    source = made.files["initial/program.py"].decode()
    assert "class Ask(dspy.Module):" in source and made.check()["status"] == "ok"
    first = made.evaluate()
    assert first["metrics"] == {"score": 0.0} and "not PARIS" in first["feedback"]
    better = source.replace('"country -> capital"', 'dspy.Signature("country -> capital", "Name the city.")')
    assert made.evaluate({"program.py": better})["metrics"] == {"score": 1.0}
    often = "for _ in range(30):\n            self.ask(country=country)\n        return self.ask("
    asking = source.replace("return self.ask(", often)
    found = made.evaluate({"program.py": asking})
    assert found["status"] == "crash" and "more than 20 times for one example" in found["feedback"]
    other = source.replace("return self.ask(country=country)", "return {'town': self.ask(country=country).capital}")
    renamed = made.evaluate({"program.py": other})
    assert renamed["status"] == "invalid" and "the metric can't judge" in renamed["feedback"]
    spying = source.replace("return self.ask(", "__import__('evaluators')\n        return self.ask(")
    assert "No module named 'evaluators'" in made.evaluate({"program.py": spying})["feedback"]
    with pytest.raises(UsageError, match=r"parts=\['source', 'demos'\]"):
        problem(Ask, exact, EXAMPLES, parts=["source", "demos"])
    with pytest.raises(ProblemError, match="is a lambda; write it as a def"):
        problem(lambda: Ask(), exact, EXAMPLES, parts=["source"])
    with pytest.raises(TypeError, match="'n'"):
        counted(lambda prompt, **settings: "")("x", n=1000)


def test_a_module_says_what_it_says_with_a_model_of_dspy_s_own():
    scripted = DummyLM({country: {"capital": capital} for country, capital in CAPITALS.items()})
    with dspy.context(lm=scripted):
        own = Ask()(country="Peru")
    asked: list[tuple[str, dict[str, Any]]] = []

    def lm(prompt: str, **settings: Any) -> str:
        asked.append((prompt, settings))
        return FORM.format("Lima")

    assert dict(answer(Ask(), {}, {"country": "Peru"}, lm)) == dict(own) == {"capital": "Lima"}
    system, user = scripted.history[-1]["messages"]
    assert asked[0][0] == user["content"] and asked[0][1]["system"] == system["content"]


def test_what_the_run_s_model_raises_is_raised_as_it_is():
    def lm(prompt: str, **settings: Any) -> str:
        raise ConnectionError("no answer")

    with pytest.raises(ConnectionError, match="no answer"):
        answer(Ask(), {}, {"country": "Peru"}, lm)


def test_tools_are_refused():
    class Calls(dspy.Module):
        def forward(self, country: str) -> Any:
            tool = {
                "type": "function",
                "function": {"name": "search", "parameters": {"type": "object", "properties": {}}},
            }
            return dspy.settings.lm(country, tools=[tool])

    with pytest.raises(Invalid, match="the module calls tools"):
        answer(Calls(), {}, {"country": "Peru"}, lambda prompt, **settings: "")


def test_a_run_asks_its_model_and_keeps_the_hold_out_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("agent.py").write_text(AGENT.replace("{capitals}", repr(CAPITALS)))
    asked = problem(Ask, exact, EXAMPLES[:2], devset=EXAMPLES[2:], name="capitals")
    words = ["llm=command", f"llm.command={sys.executable} {tmp_path / 'agent.py'}", "budget.candidates=2"]
    run: Run = asked.run(words, background=False)
    assert run.best().files == {"ask.md": "Name the city, try EVOLVE.\n"} and run.best().metrics == {"score": 1.0}
    calls = run.store.call_rows(run.run_id)
    assert {row["purpose"] for row in calls} == {"propose", "evaluate"}
    held = run.holdout()
    assert held is not None and (held["metrics"], held["instances"]) == ({"score": 1.0}, 1)
    assert not any("Kenya" in (row["prompt"] or "") for row in calls if row["purpose"] == "propose")
