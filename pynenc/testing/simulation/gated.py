"""Gates for what a seed plays: limits, rates, ordering keys and shares, and changes to them on the way."""

from __future__ import annotations

from random import Random

from msgspec import structs

from pynenc.model.gates import (
    BreakerGate,
    Flow,
    Gate,
    GateMode,
    GateSetting,
    RateGate,
    RateSetting,
    SlotGate,
    SlotSetting,
)
from pynenc.model.records import Submission
from pynenc.testing.simulation.programs import Program, Spawn, Step, WaitFor
from pynenc.testing.simulation.scenario import Scenario, SetGate, Submit, Timed

HELD = SlotGate(key="held", limit=1, hold_while_waiting=True)
"""Only for what waits for nobody but its own descendants: else it could wait for somebody it keeps out."""
ORDERED = SlotGate(key="ordered", limit=1, block_lane_on_retry=True)


def with_gates(scenario: Scenario, seed: int) -> Scenario:
    """Return the scenario with gates in front of much of what it submits."""
    rng = Random(f"gates {seed}")
    writer = _Writer(scenario, rng)
    programs = tuple(writer.program(program) for program in scenario.programs)
    clients = tuple(writer.client(script) for script in scenario.clients)
    return structs.replace(scenario, programs=programs, clients=clients)


class _Writer:
    def __init__(self, scenario: Scenario, rng: Random) -> None:
        self._rng = rng
        self._strays = _strays(scenario.programs)
        self._one = SlotGate(key="one", limit=1)
        self._few = SlotGate(key="few", limit=rng.choice((1, 2, 3)))
        self._rate = RateGate(key="rate", interval_us=rng.choice((5_000, 40_000)), burst=rng.choice((1, 2, 3)))
        self._breaker = BreakerGate(key="task", failures=rng.choice((1, 2)), open_for_us=rng.choice((20_000, 150_000)))
        self._crowded = rng.random() < 0.5
        self._kinds: tuple[Gate, ...] = (
            self._one,
            self._one,
            self._few,
            self._few,
            ORDERED,
            ORDERED,
            HELD,
            HELD,
            self._rate,
            self._breaker,
            structs.replace(self._few, mode=GateMode.REJECT),
        )

    def client(self, script: tuple[Timed, ...]) -> tuple[Timed, ...]:
        steps = []
        for timed in script:
            if isinstance(timed.action, Submit):
                items = tuple(self._item(item) for item in timed.action.items)
                timed = Timed(timed.after_us, Submit(items))
            steps.append(timed)
            if self._rng.random() < 0.25:
                change = SetGate(setting=self._setting(), for_us=self._rng.choice((1_000, 50_000, 400_000)))
                steps.append(Timed(self._rng.choice((0, 10_000)), change))
        return tuple(steps)

    def program(self, program: Program) -> Program:
        return structs.replace(program, steps=tuple(self._step(step) for step in program.steps))

    def _step(self, step: Step) -> Step:
        if not isinstance(step, Spawn):
            return step
        gates = self._gates(any(program in self._strays for program in step.programs))
        return structs.replace(step, gates=gates)

    def _item(self, item: Submission) -> Submission:
        flow = Flow(self._rng.choice("ab"), self._rng.choice((1, 3))) if self._rng.random() < 0.2 else None
        return structs.replace(item, gates=self._gates(int(item.arguments) in self._strays), flow=flow)

    def _gates(self, stray: bool) -> tuple[Gate, ...]:
        number = self._rng.choice((1, 1, 2, 3) if self._crowded else (0, 1, 1, 2))
        chosen: dict[str, Gate] = {}
        for gate in self._rng.sample(self._kinds, number):
            if not (stray and gate is HELD):
                chosen.setdefault(gate.name, gate)
        return tuple(chosen.values())

    def _setting(self) -> GateSetting:
        kind = self._rng.randrange(3)
        if kind == 2:
            return RateSetting("rate", self._rng.choice((5_000, 20_000)), self._rng.choice((1, 4)))
        return SlotSetting(("one", "few")[kind], self._rng.choice((0, 1, 2, 4)))


def _strays(programs: tuple[Program, ...]) -> frozenset[int]:
    """Return the programs that wait, themselves or below them, for what others submit."""
    found: set[int] = set()
    # Programs name only earlier ones.
    for number, program in enumerate(programs):
        for step in program.steps:
            below = isinstance(step, Spawn) and any(each in found for each in step.programs)
            if isinstance(step, WaitFor) or below:
                found.add(number)
    return frozenset(found)
