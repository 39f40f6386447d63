"""What a machine is and has."""

from __future__ import annotations

import platform
from collections.abc import Callable

import evaluators
from evaluators import machine
from evolve.problem import Problem
from evolve.types import StageOutcome

X86 = "processor\t: 0\nmodel name\t: AMD EPYC 7763\n\nprocessor\t: 1\nmodel name\t: another\n"
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


def test_a_cpu_has_a_name_or_else_numbers() -> None:
    assert machine.cpu_model(X86) == "AMD EPYC 7763"
    assert machine.cpu_model(ARM) == f"{platform.machine()} 0x41 0xd40"
    assert machine.cpu_model("") == platform.machine()


def test_what_is_missing_is_named(make_problem: Callable[..., Problem]) -> None:
    problem = make_problem(yaml="requires: [sh, no-such-compiler]")
    assert machine.missing(problem) == ["no-such-compiler"] == evaluators.local(workers=1).missing(problem)


async def test_an_outcome_says_where_it_was_measured(run: Callable[..., StageOutcome]) -> None:
    outcome = await run()
    assert outcome.node_class == machine.node_class() and outcome.node_class["cpu_model"]
