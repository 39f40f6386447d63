"""An agent: the model plans the steps of a question, each step looks one page up. The entry is run(question, tools, lm)."""

from pathlib import Path

from pages import find, read

PROMPTS = Path(__file__).parent / "prompts"
PLAN = (PROMPTS / "plan.txt").read_text()


def run(question, tools, lm):
    """Returns the answer as text or a number. `tools` has search(query), lookup(title) and calc(expression)."""
    chains = parse(lm(PLAN + "\nQuestion: " + question))
    values = [follow(name, kind, steps, tools, lm) for name, kind, steps in chains]
    if len(values) == 2 and values[0].isdigit() and values[1].isdigit():
        return tools["calc"](values[0] + " - " + values[1])
    return values[0] if values else ""


def parse(plan):
    """Returns the chains of a plan: (name, kind, [(relation, kind of what it leads to), ...])."""
    chains = []
    for line in plan.splitlines():
        words = [word.strip() for word in line.removeprefix("start:").split("|")]
        if len(words) != 2:
            continue
        if line.startswith("start:"):
            chains.append((words[0], words[1], []))
        elif chains:
            chains[-1][2].append((words[0], words[1]))
    return chains


def follow(name, kind, steps, tools, lm):
    """Returns what is at the end of a chain of relations."""
    most_steps = 2  # so that the tools suffice: 8 calls for a question
    for relation, kind_of_value in steps[:most_steps]:
        page = find(name, kind, tools)
        name = read(page, name, relation, lm)
        kind = kind_of_value
    return name
