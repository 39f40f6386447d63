"""The variants: each is words of a command line; one more line is one more variant."""

VARIANTS = (
    "",  # the default, which the others are compared with
    # strategies
    "selection=best_of_n",
    "selection=clusters",
    "selection=lexicase",
    "selection=map_elites",
    "selection=nondominated",
    "selection=novelty",
    "selection=pareto",
    "selection=portfolio",
    "selection=random",
    "selection=refinement",
    "selection=tournament",
    # constants tuned
    "selection.tuning={_target_:evolve.search.tuning.Tuning,evaluations:10}",
    "selection.tuning={_target_:evolve.search.tuning.Tuning,evaluations:30}",
    # how greedy
    "selection.parents.0.exponent=0",
    "selection.parents.0.exponent=0.5",
    "selection.parents.0.exponent=1",
    "selection.parents.0.exponent=4",
    "selection=tournament selection.parents.0.size=8",
    # islands
    "selection.islands=1",
    "selection.islands=2",
    "selection.islands=4",
    "selection.islands=8",
    # migration, resets
    "selection.islands=4 selection.migration=null",
    "selection.islands=4 selection.migration.every=10",
    "selection.islands=4 selection.migration.topology=full",
    "selection.islands=4 selection.migration.topology=star",
    "selection.islands=4 selection.migration.topology=random",
    "selection.islands=4 selection.reset.every=25 selection.reset.minimum=12",
    "selection.islands=4 selection.portfolio={_target_:evolve.search.portfolio.Portfolio}",
    # stagnation
    "selection.stagnation=null",
    # what is known when a proposal is made
    "schedule=ordered",
    "schedule=ordered schedule.window=8",
    "llm.concurrency=1",
    "llm.concurrency=32",
)
