"""`python -m pynenc.testing.simulation`: play seeds by hand."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import AbstractContextManager, nullcontext

from pynenc.testing.simulation.explore import Options, Run, examine, report, shrink


def main(arguments: list[str] | None = None) -> int:
    """Play what the command line says; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m pynenc.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the (first) seed")
    parser.add_argument("--count", type=int, default=1, help="play so many seeds from there on")
    parser.add_argument("--mutant", help="break the engine in this way first (tests/simulation/mutants.py)")
    parser.add_argument("--trace", action="store_true", help="print everything that happens")
    parser.add_argument("--shrink", action="store_true", help="make a failing run small before printing it")
    parser.add_argument("--without", default="", help="kinds of faults to leave out")
    parser.add_argument("--drop", default="", help="numbers of single faults to leave out")
    parser.add_argument("--actions", type=int, help="most actions of each client")
    parser.add_argument("--runners", type=int, help="most runners")
    parser.add_argument("--gated", action="store_true", help="with limits, rates and shares")
    given = parser.parse_args(arguments)
    options = Options(
        gated=given.gated,
        without=tuple(filter(None, given.without.split(","))),
        dropped=tuple(int(number) for number in filter(None, given.drop.split(","))),
        most_actions=given.actions,
        runners=given.runners,
    )
    with _broken(given.mutant):
        return _play(given, options)


def _broken(mutant: str | None) -> AbstractContextManager[object]:
    if mutant is None:
        return nullcontext()
    # Mutants belong to the tests: they exist in a checkout only.
    from tests.simulation.gate_mutants import GATE_MUTANTS
    from tests.simulation.mutants import MUTANTS

    return {**MUTANTS, **GATE_MUTANTS}[mutant].applied()


def _play(given: argparse.Namespace, options: Options) -> int:
    began_s = time.perf_counter()
    failures = 0
    for seed in range(given.seed, given.seed + given.count):
        run = examine(seed, options, trace=given.trace and not given.shrink)
        if run.findings:
            failures += 1
            if given.shrink:
                run = examine(seed, shrink(run).options, trace=given.trace)
        if run.findings or given.trace:
            _print(run, given.mutant)
    took_s = time.perf_counter() - began_s
    print(f"{given.count} seeds, {failures} failing, {took_s:.1f} s, {given.count / took_s:.0f} seeds/s")
    return 1 if failures else 0


def _print(run: Run, mutant: str | None) -> None:
    for line in run.played.trace:
        print(line)
    print(report(run, mutant=mutant))


if __name__ == "__main__":
    sys.exit(main())
