"""The simulator catches every mistake on the list, and its reports let one see it again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from pynenc.testing.simulation.explore import command, examine, report, shrink
from tests.simulation.mutants import MUTANTS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_MOST_SEEDS = 3_000


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_killed(name: str, record_property: Callable[[str, object], None]) -> None:
    with MUTANTS[name].applied():
        needed = next((seed for seed in range(_MOST_SEEDS) if examine(seed).findings), None)

    assert needed is not None, f"{name} survives {_MOST_SEEDS} seeds"
    record_property("seeds", needed + 1)
    print(f"{name}: seed {needed}")


def test_a_failing_run_is_made_smaller_and_still_fails_the_same_way() -> None:
    """Smaller is what leaves something out: actions, runners, kinds of faults, or single ones."""
    with MUTANTS["recovery_forgets_suspended"].applied():
        found = next(run for run in map(examine, range(100)) if run.findings and any(run.played.faults))

        small = shrink(found, most_runs=30)

    assert {finding.check for finding in small.findings} & {finding.check for finding in found.findings}
    assert small.options != found.options


def test_the_printed_command_shows_the_failure_again() -> None:
    name = "recovery_never"
    with MUTANTS[name].applied():
        found = next(run for run in map(examine, range(100)) if run.findings)
    line = command(found, mutant=name)

    again = subprocess.run([sys.executable, *line.split()[1:]], capture_output=True, text=True, check=False)

    assert again.returncode == 1
    assert report(found, mutant=name) in again.stdout
    assert "exchange(Exchange(" in again.stdout
