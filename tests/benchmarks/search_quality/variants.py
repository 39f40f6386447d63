"""The variants: each is words of a command line; one more line is one more variant."""

VARIANTS = (
    "",  # the default, which the others are compared with
    "selection.islands=1",
    "selection.islands=2",
    "selection.islands=4",
    "selection.islands=8",
    "selection.parent.exponent=0",
    "selection.parent.exponent=0.5",
    "selection.parent.exponent=2",
    "selection.parent.exponent=4",
    "selection.islands=4 selection.migration=null",
    "selection.islands=4 selection.migration.every=10",
    "selection.islands=4 selection.reset=null",
    "selection.islands=4 selection.reset.every=25 selection.reset.minimum=12",
    "schedule=ordered",
    "schedule=ordered schedule.window=8",
    "llm.concurrency=1",
    "llm.concurrency=32",
)
