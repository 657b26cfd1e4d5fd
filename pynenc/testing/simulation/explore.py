"""Playing seeds, making failures small, and saying how to see them again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from pynenc.ports.backend import Backend, ClockUs
from pynenc.testing.simulation.checker import check
from pynenc.testing.simulation.faults import CrashPoint
from pynenc.testing.simulation.gated import with_gates
from pynenc.testing.simulation.history import Finding
from pynenc.testing.simulation.scenario import FAULTS, Scenario, draw
from pynenc.testing.simulation.simulator import Played, Simulator, StoreFactory


class Options(Struct, frozen=True, kw_only=True):
    """What is left out of the run of a seed. With nothing set it is the whole run."""

    without: tuple[str, ...] = ()
    """Kinds of faults."""
    dropped: tuple[int, ...] = ()
    """Single faults, by number."""
    most_actions: int | None = None
    """Actions of each client beyond so many."""
    runners: int | None = None
    """Runners beyond so many."""
    gated: bool = False
    """Whether limits, rates and shares are added to what the seed plays (not left out of it)."""


WHOLE = Options()
GATED = Options(gated=True)


class Run(Struct, frozen=True, kw_only=True):
    """A seed, how it was played, and what the checker says."""

    seed: int
    options: Options
    findings: list[Finding]
    played: Played


def memory_store(clock: ClockUs) -> Backend:
    """Open the memory store for one run."""
    from pynenc.backends.memory import MemoryBackend

    return MemoryBackend(clock=clock)


def examine(
    seed: int,
    options: Options = WHOLE,
    *,
    store: StoreFactory = memory_store,
    crash: CrashPoint | None = None,
    scenario: Scenario | None = None,
    trace: bool = False,
) -> Run:
    """Play a seed and check what came of it.

    Args:
        scenario: play this instead of what the seed says; the seed still decides about chance on the way.
    """
    if scenario is None:
        scenario = draw(seed, without=frozenset(options.without), most_items=options.most_actions)
        if options.runners is not None:
            scenario = msgspec.structs.replace(scenario, runners=scenario.runners[: options.runners])
        if options.gated:
            scenario = with_gates(scenario, seed)
    simulator = Simulator(seed, scenario, store, dropped=frozenset(options.dropped), crash=crash, trace=trace)
    played = simulator.play()
    return Run(seed=seed, options=options, findings=check(played.evidence), played=played)


def shrink(run: Run, *, store: StoreFactory = memory_store, most_runs: int = 300) -> Run:
    """Return a smaller run of the same seed that breaks one of the same promises."""
    wanted = {finding.check for finding in run.findings}
    smallest = run
    for _ in range(most_runs):
        for candidate in _smaller(smallest):
            tried = examine(run.seed, candidate, store=store)
            most_runs -= 1
            if any(finding.check in wanted for finding in tried.findings):
                smallest = tried
                break
            if most_runs <= 0:
                return smallest
        else:
            return smallest
    return smallest


def _smaller(run: Run) -> Iterator[Options]:
    options = run.options
    longest = max(len(script) for script in run.played.scenario.clients)
    for most in range(1, longest):
        yield msgspec.structs.replace(options, most_actions=most)
    for runners in range(1, len(run.played.scenario.runners)):
        yield msgspec.structs.replace(options, runners=runners)
    for kind in FAULTS:
        if kind in run.played.scenario.faults and kind not in options.without:
            yield msgspec.structs.replace(options, without=(*options.without, kind))
    left = [number for number, what in enumerate(run.played.faults) if what]
    half = len(left) // 2
    chunks = [left[half:], left[:half]] if half > 1 else []
    for chunk in (*chunks, *([number] for number in left)):
        yield msgspec.structs.replace(options, dropped=(*options.dropped, *chunk))


def command(run: Run, *, mutant: str | None = None) -> str:
    """Return the command that plays this run again."""
    parts = [f"python -m pynenc.testing.simulation --seed {run.seed}"]
    options = run.options
    if options.gated:
        parts.append("--gated")
    if mutant is not None:
        parts.append(f"--mutant {mutant}")
    if options.without:
        parts.append(f"--without {','.join(options.without)}")
    if options.dropped:
        parts.append(f"--drop {','.join(map(str, options.dropped))}")
    if options.most_actions is not None:
        parts.append(f"--actions {options.most_actions}")
    if options.runners is not None:
        parts.append(f"--runners {options.runners}")
    return " ".join(parts) + " --trace"


def report(run: Run, *, mutant: str | None = None) -> str:
    """Return what is wrong with a run and how to see it again."""
    lines = [f"seed {run.seed}: {len(run.findings)} findings"]
    lines += [f"  {finding}" for finding in run.findings[:10]]
    lines += [f"  after: {what}" for what in run.played.faults if what][:20]
    return "\n".join([*lines, command(run, mutant=mutant)])
