"""Scores orders of jobs. This side is trusted: it sees data only, and no candidate's code ever runs here."""

from evolve.problem import Instance, Invalid, Result


def instances(stage, rng, slack):
    """Yields what candidates are tried on. Take all randomness from `rng`: each stage has its own, and the hold-out too."""
    sizes = (80, 120) if stage.name == "holdout" else (20, 40, 60)  # a hold-out that differs shows what generalises
    for number in range(stage.instances):
        size = sizes[number % len(sizes)]
        duration = rng.uniform(1, 20, size).round(1)
        due = rng.uniform(0, slack * duration.sum(), size).round(1)
        weight = rng.uniform(1, 10, size).round(1)
        jobs = [list(job) for job in zip(duration.tolist(), due.tolist(), weight.tolist(), strict=True)]
        # only `input` reaches the candidate; `secret` would be for answers and labels
        yield Instance(input=jobs, name=f"{size} jobs, no. {number}")


def score(instance, output):
    """Returns the metrics of one output. It recomputes them: what a candidate says of itself counts for nothing."""
    jobs = instance.input
    if not isinstance(output, list) or any(type(index) is not int for index in output):
        raise Invalid("order() must return a list of whole numbers")  # the candidate fails; the text goes into a prompt
    if sorted(output) != list(range(len(jobs))):
        raise Invalid(f"every index from 0 to {len(jobs) - 1} must be there once; got {len(output)} numbers")
    time, costs = 0.0, []
    for index in output:
        duration, due, weight = jobs[index]
        time += duration
        costs.append(weight * max(0.0, time - due))
    late, worst = sum(cost > 0 for cost in costs), max(costs)
    place = costs.index(worst)
    return Result(
        metrics={"lateness": sum(costs) / len(jobs) / time, "late": late / len(jobs)},
        # what the next proposal should know: not only how good, but what went wrong where
        feedback=f"{late} of {len(jobs)} late; worst: place {place}, job {jobs[output[place]]}, weight * lateness {worst:.0f}",
    )
