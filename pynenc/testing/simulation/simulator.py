"""One run of the engine in virtual time: a seed decides about everything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from msgspec import Struct

from pynenc.errors import StoreError, StoreUnavailable
from pynenc.io import run
from pynenc.model.records import ListFilter, SessionInfo, SessionKind
from pynenc.model.status import InvocationStatus
from pynenc.ports.backend import Backend, ClockUs
from pynenc.runners.control_loop import ControlLoop
from pynenc.runners.loop_config import LoopConfig
from pynenc.runners.wait_bound import ParkLimits
from pynenc.runners.waiting import Wait
from pynenc.testing.simulation.actors import Client, ticker
from pynenc.testing.simulation.bells import Bells, SimulatedBell
from pynenc.testing.simulation.executor import SimulatedExecutor
from pynenc.testing.simulation.faults import CrashPoint, Fate, Faults
from pynenc.testing.simulation.gate_view import GateView
from pynenc.testing.simulation.history import Applied, Evidence, Finding, History
from pynenc.testing.simulation.link import Link, Park, Sleep, StoreCall
from pynenc.testing.simulation.probes import broken_structure, left_behind, left_waiting, passed_over, unserved
from pynenc.testing.simulation.scenario import RunnerPlan, Scenario, Timed
from pynenc.testing.simulation.trace import describe
from pynenc.testing.simulation.world import Process, Signal, Thread, World

_EPOCH_US = 1_700_000_000_000_000
_FAULTS_END_US = 4_000_000
_GIVE_UP_US = 60_000_000
_MOST_EVENTS = 200_000
_LOOK_EVERY_US = 25_000
_LOOKS = 4
_LONGEST_PAUSE_US = 1_100_000
_PROBED = 0.1
_MOST_NAPS = 200
"""So many waits of no length in a row mean that a loop does nothing but go round."""
_LEVELS = 4
"""Each slot may add so many to the bodies that wait: one that ran when the bound was reached, and those below it."""
_LAST_RESORTS = 5
"""So many more may come while everything stands still."""
_LIVE = tuple(status for status in InvocationStatus if not status.is_final())


StoreFactory: TypeAlias = Callable[[ClockUs], Backend]
"""Opens an empty store that lives by this clock."""


class Played(Struct, kw_only=True):
    """What came of one run."""

    scenario: Scenario
    evidence: Evidence
    faults: list[str]
    """What went wrong, by number."""
    requests: dict[str, int]
    """How many requests each process made."""
    trace: list[str]
    events: int
    ended_us: int


class Simulator:
    """Plays a scenario once; use a new one for each run."""

    def __init__(
        self,
        seed: int,
        scenario: Scenario,
        store: StoreFactory,
        *,
        dropped: frozenset[int] = frozenset(),
        crash: CrashPoint | None = None,
        trace: bool = False,
    ) -> None:
        self._seed = seed
        self._scenario = scenario
        self._world = World()
        self._faults = Faults(seed, scenario, dropped)
        self._crash = crash
        self._chaos = Random(f"chaos {seed}")
        self._jump_us = 0
        self._outage = False
        self._backend = store(self.store_us)
        self._history = History(complete=True)
        self._findings: list[Finding] = []
        self._signals: dict[int, Signal] = {}
        self._bells = Bells(self._backend.orchestrator)
        self._processes: dict[str, Process] = {}
        self._loops: list[tuple[Process, ControlLoop, SimulatedExecutor, RunnerPlan]] = []
        self._clients: list[Client] = []
        self._trace: list[str] | None = [] if trace else None
        self._last_runner = False
        self._paused: set[str] = set()
        self._set: set[str] = set()
        self._lying: dict[Finding, list[int]] = {}
        """What lies there, and at which looks without a break."""
        self._given: dict[SimulatedExecutor, int] = {}
        self._probes = Random(f"probes {seed}")

    # --- the run ---

    def play(self) -> Played:
        """Play the scenario until everything is over, or for too long."""
        log = logging.getLogger("pynenc.runners")
        level = log.level
        log.setLevel(logging.CRITICAL)
        try:
            return self._play()
        finally:
            log.setLevel(level)
            self._bells.close()
            self._backend.close()

    def _play(self) -> Played:
        self._set_up()
        events = 0
        settled = False
        look_us = _LOOK_EVERY_US
        while events < _MOST_EVENTS and self._world.now_us < _GIVE_UP_US and self._world.step():
            events += 1
            if self._world.now_us >= look_us:
                look_us = self._world.now_us + _LOOK_EVERY_US
                settled = self._look()
                if settled:
                    break
        return self._result(events, settled)

    def _look(self) -> bool:
        """End the faults when it is time; True once everything is over."""
        if self._scenario_is_calm:
            self._look_for_idleness()
        if self._chaos_over():
            if not self._last_runner:
                self._calm_down()
            self._resume_for_the_dead()
            return self._is_over()
        return False

    def _resume_for_the_dead(self) -> None:
        """Undo what clients that died left paused or set; a last message may even come after a death."""
        if not all(client.process.alive for client in self._clients):
            for queue in sorted(self._paused):
                self._apply("simulator", StoreCall("resume", queue))
            for name in sorted(self._set):
                self._apply("simulator", StoreCall("clear_gate", name))

    def _look_for_idleness(self) -> None:
        """Find work that lies there although somebody could do it: a wake-up was lost."""
        # One that was given something since the last look is no idler: it was between two of its bodies then.
        idle = [
            (executor, plan)
            for _, _, executor, plan in self._loops
            if executor.spare() > 0 and executor.given == self._given.get(executor)
        ]
        self._given = {executor: executor.given for _, _, executor, _ in self._loops}
        free = {plan.queues for executor, plan in idle if executor.parked < plan.max_parked}
        snapshots = run(self._backend.state_backend.listing(ListFilter(limit=1_000_000)))
        # What time opened just now is not lying there yet.
        gates = GateView(run(self._backend.dump()), self.store_us() - _LOOK_EVERY_US)
        lying = [*unserved(snapshots, free, self._paused, self.store_us(), gates)]
        for executor, plan in idle:
            if executor.spare() == executor.slots and executor.parked >= plan.max_parked:
                lying += left_waiting(snapshots, executor.awaited, plan.queues, self._paused, gates)
        before = self._lying
        self._lying = {found: [*before.get(found, []), self._world.now_us] for found in lying}
        # A gate that opens rings for no runner at its bound: that one looks again within its longest pause.
        patience_us = _LONGEST_PAUSE_US if any(snapshot.call.gates for snapshot in snapshots) else 0
        for found, looks in self._lying.items():
            waits_us = patience_us if found.check == "C13" else 0
            # Long enough for a doorbell, too short for a heartbeat to make it good.
            if len(looks) >= _LOOKS and looks[-1] - looks[0] >= waits_us and found not in self._findings:
                self._findings.append(found)

    def _look_for_crowds(self) -> None:
        """Find runners in which more bodies wait than may."""
        for process, _, executor, plan in self._loops:
            # What was claimed ahead may begin before it is taken back; nobody knows how much that is.
            most = plan.max_parked + plan.slots * _LEVELS + _LAST_RESORTS
            if not plan.prefetch and executor.most_parked > most:
                detail = f"{executor.most_parked} bodies of {process.name} waited, at most {plan.max_parked} should"
                self._findings.append(Finding("C13", None, detail))

    def _chaos_over(self) -> bool:
        done = all(client.done or not client.process.alive for client in self._clients)
        return done or self._world.now_us >= _FAULTS_END_US

    def _calm_down(self) -> None:
        self._faults.active = False
        self._outage = False
        self._last_runner = True
        self._note("---- faults end")
        if not self._scenario_is_calm:
            self._start_runner("runner-last", RunnerPlan(slots=2, queues=(), by_force=False, prefetch=False))

    @property
    def _scenario_is_calm(self) -> bool:
        return not self._scenario.faults and self._crash is None and self._serves_all

    @property
    def _serves_all(self) -> bool:
        return any(not plan.queues or "other" in plan.queues for plan in self._scenario.runners)

    def _is_over(self) -> bool:
        if not all(client.done or not client.process.alive for client in self._clients):
            return False
        return run(self._backend.state_backend.count(statuses=_LIVE)) == 0

    def _result(self, events: int, settled: bool) -> Played:
        self._look_for_crowds()
        backend = self._backend
        evidence = Evidence(
            history=self._history,
            snapshots=run(backend.state_backend.listing(ListFilter(limit=1_000_000))),
            dump=run(backend.dump()),
            violations=run(backend.orchestrator.verify()),
            findings=self._findings,
            results=[outcome for client in self._clients for outcome in client.results.values()],
            acknowledged=[i for client in self._clients for i in client.acknowledged],
            settled=settled,
        )
        return Played(
            scenario=self._scenario,
            evidence=evidence,
            faults=self._faults.happened,
            requests={name: process.requests for name, process in self._processes.items()},
            trace=self._trace or [],
            events=events,
            ended_us=self._world.now_us,
        )

    # --- who takes part ---

    def _set_up(self) -> None:
        for number, plan in enumerate(self._scenario.runners):
            self._start_runner(f"runner-{number}", plan)
        for number, script in enumerate(self._scenario.clients):
            self._start_client(f"client-{number}", script)
        for number in range(self._scenario.tickers):
            process = self._process(f"ticker-{number}")
            link = Link(self._bell(process))
            self.start(Thread(process, process.name, ticker(link, Random(f"{process.name} {self._seed}"))))
        self._next_disaster()

    def _process(self, name: str) -> Process:
        skewed = "clock_rate" in self._scenario.faults and not name.startswith("runner-last")
        rate = self._chaos.choice((0.7, 1.0, 1.5)) if skewed else 1.0
        process = Process(name, self._world, clock_rate=rate, clock_offset_s=float(self._chaos.randint(0, 10**6)))
        self._processes[name] = process
        return process

    def _bell(self, process: Process) -> SimulatedBell:
        number = len(self._signals)
        bell = self._bells.new(number)
        self._signals[number] = bell.signal
        return bell

    def _start_client(self, name: str, script: tuple[Timed, ...]) -> None:
        process = self._process(name)
        bell = self._bell(process)
        rng = Random(f"{name} {self._seed}")
        client = Client(process, Link(bell), bell, script, rng, lease_us=self._scenario.lease_us)
        self._clients.append(client)
        self.start(Thread(process, name, client.main(), self._ended_well))

    def _start_runner(self, name: str, plan: RunnerPlan) -> None:
        process = self._process(name)
        bell = self._bell(process)
        link = Link(bell)
        number = len(self._signals)
        executor = SimulatedExecutor(
            self,
            process,
            link,
            self._scenario.programs,
            Random(f"{name} bodies {self._seed}"),
            self._history.executions,
            slots=plan.slots,
            by_force=plan.by_force,
            children_first=self._scenario.children_first,
            number=number,
        )
        self._signals[number] = executor.signal
        config = LoopConfig(
            lease_s=self._scenario.lease_us / 1e6,
            queues=plan.queues,
            prefetch=plan.prefetch,
            tick_budget=self._scenario.tick_budget,
            park_limits=ParkLimits(bodies=plan.max_parked, stacks=plan.max_parked),
            stop_grace_s=0.05,
            backoff_most_s=self._scenario.lease_us / 4e6,
            inherits=lambda _: self._scenario.inherits,
        )
        info = SessionInfo(
            kind=SessionKind.RUNNER,
            name=name,
            host="sim",
            pid=number,
            queues=plan.queues,
            slots=plan.slots,
            doorbell=bell.address,
        )
        loop = ControlLoop(link, executor, bell, config, process.clock_s, info, rng=Random(f"{name} loop {self._seed}"))
        self._loops.append((process, loop, executor, plan))
        self.start(Thread(process, name, loop.main(), lambda _, error: self._runner_ended(process, error)))

    def _runner_ended(self, process: Process, error: BaseException | None) -> None:
        """A runner was drained: its process ends, and another one comes in its place."""
        self._ended_well(None, error)
        if process.alive:
            self._kill(process)

    def _ended_well(self, result: object, error: BaseException | None) -> None:
        if error is not None:
            self._findings.append(Finding("crash", None, f"a process died of its own: {error!r}"))

    # --- disasters ---

    def _next_disaster(self) -> None:
        kinds = [
            kind
            for kind in ("kill", "freeze", "worker_crash", "worker_crash", "drain", "outage", "clock_jump")
            if kind in self._scenario.faults
        ]
        if kinds:
            delay_us = self._chaos.choice((5_000, 30_000, 100_000, 500_000))
            kind = self._chaos.choice(kinds)
            self._world.after(self._chaos.randint(1, delay_us), lambda: self._disaster(kind))

    def _disaster(self, kind: str) -> None:
        if not self._faults.active:
            return
        victims = [process for process in self._processes.values() if process.alive and process.requests]
        victim = self._chaos.choice(victims) if victims else None
        size = self._chaos.random()
        if victim is not None and self._faults.allow(f"{kind} {victim.name}"):
            self._strike(kind, victim, size)
        self._next_disaster()

    def _strike(self, kind: str, victim: Process, size: float) -> None:
        lease_us = self._scenario.lease_us
        self._note(f"!!!! {kind} {victim.name}")
        if kind == "kill" and not victim.name.startswith("ticker"):
            self._kill(victim)
        elif kind == "freeze":
            victim.frozen_until_us = self._world.now_us + int(size * 3 * lease_us)
        elif kind in ("worker_crash", "drain"):
            self._strike_runner(kind, victim, size)
        elif kind == "outage":
            self._outage = True
            self._world.after(int(size * 2 * lease_us), self._end_outage)
        elif kind == "clock_jump":
            self._jump_us += int(size * size * 4 * lease_us)

    def _strike_runner(self, kind: str, victim: Process, size: float) -> None:
        for process, loop, executor, _ in self._loops:
            if process is victim and kind == "worker_crash":
                executor.crash_worker()
            elif process is victim and size < 0.3:
                loop.kill()
            elif process is victim:
                loop.drain(size * 0.3)

    def _end_outage(self) -> None:
        self._outage = False

    def _kill(self, victim: Process) -> None:
        victim.alive = False
        for process, _, executor, _ in self._loops:
            if process is victim:
                executor.close(0.0)
        name, _, life = victim.name.partition("+")
        if name.startswith("runner-") and self._faults.active:
            plan = self._scenario.runners[int(name.split("-")[1])]
            again = f"{name}+{int(life or 0) + 1}"
            self._world.after(self._chaos.randint(1_000, 300_000), lambda: self._start_runner(again, plan))

    # --- threads ---

    def store_us(self) -> int:
        """The store's time."""
        return _EPOCH_US + self._world.now_us + self._jump_us

    def start(self, thread: Thread) -> None:
        """Carry out a thread, from now on."""
        self._world.after(0, lambda: self._resume(thread, 0, None, None))

    def wake(self, thread: Thread, value: object = None) -> None:
        """Answer what a thread waits in."""
        generation = thread.generation
        self._world.after(self._chaos.randint(1, 50), lambda: self._resume(thread, generation, value, None))

    def later(self, process: Process, delay_us: int, action: Callable[[], None]) -> None:
        """Call `action` in `process` unless it is dead by then."""
        self._world.after(delay_us, lambda: action() if process.alive else None)

    def _resume(self, thread: Thread, generation: int, value: Any, error: Exception | None) -> None:
        process = thread.process
        if not process.alive or thread.finished or thread.generation != generation:
            return
        if process.frozen_until_us > self._world.now_us:
            wait_us = process.frozen_until_us - self._world.now_us
            self._world.after(wait_us, lambda: self._resume(thread, generation, value, error))
            return
        thread.generation += 1
        try:
            request = thread.op.throw(error) if error is not None else thread.op.send(value)
        except StopIteration as finished:
            self._finish(thread, finished.value, None)
        except Exception as died:  # noqa: BLE001 - whatever ends a process is a finding of the run
            self._finish(thread, None, died)
        else:
            self._perform(thread, request)

    def _finish(self, thread: Thread, value: Any, error: Exception | None) -> None:
        thread.finished = True
        if thread.on_end is not None:
            thread.on_end(value, error)

    def _perform(self, thread: Thread, request: object) -> None:
        generation = thread.generation
        if isinstance(request, StoreCall):
            thread.naps = 0
            self._send(thread, request)
        elif isinstance(request, Wait):
            self._wait(thread, request)
        elif isinstance(request, Sleep):
            self._world.after(request.duration_us, lambda: self._resume(thread, generation, None, None))
        elif not isinstance(request, Park):
            raise TypeError(f"nobody can simulate {request!r}")

    def _wait(self, thread: Thread, request: Wait) -> None:
        generation = thread.generation
        thread.naps = thread.naps + 1 if request.timeout_s <= 0 else 0
        if thread.naps == _MOST_NAPS:
            self._findings.append(Finding("idle", None, f"{thread.name} spins: it waits again and again without end"))
            return
        signals = {number: self._signals[number] for number in request.descriptors}

        def over() -> None:
            if thread.generation != generation:
                return
            for signal in signals.values():
                signal.on_set = None
            ready = frozenset(number for number, signal in signals.items() if signal.is_set)
            self._resume(thread, generation, ready, None)

        def soon() -> None:
            self._world.after(self._chaos.randint(1, 200), over)

        if any(signal.is_set for signal in signals.values()):
            soon()
            return
        for signal in signals.values():
            signal.on_set = soon
        self._world.after(int(request.timeout_s * 1e6 / thread.process.clock_rate) + 1, over)

    # --- the network ---

    def _send(self, thread: Thread, call: StoreCall) -> None:
        process = thread.process
        process.requests += 1
        crash = self._crash
        doomed = crash is not None and crash.process == process.name and crash.request == process.requests
        if doomed and crash is not None and not crash.applied:
            self._note(f"!!!! kill {process.name} before {call.operation}")
            self._kill(process)
            return
        fate = self._faults.fate(call, thread.name, outage=self._outage)
        if doomed:
            fate.there_us = 0
        generation = thread.generation
        if fate.arrives:
            self._world.after(fate.there_us, lambda: self._deliver(thread, generation, call, fate, doomed))
        else:
            self._world.after(fate.there_us + fate.back_us, lambda: self._unanswered(thread, generation, call))

    def _unanswered(self, thread: Thread, generation: int, call: StoreCall) -> None:
        self._note(f"{thread.name}: {call.operation} got no answer")
        self._resume(thread, generation, None, StoreUnavailable("simulated"))

    def _deliver(self, thread: Thread, generation: int, call: StoreCall, fate: Fate, doomed: bool) -> None:
        if not thread.process.alive and self._chaos.random() < 0.5:
            return
        record, error = self._apply(thread.name, call)
        if fate.again_us is not None:
            self._world.after(fate.again_us, lambda: self._again(thread.name, call))
        if doomed:
            self._note(f"!!!! kill {thread.process.name} after {call.operation}")
            self._kill(thread.process)
        elif fate.answers:
            self._world.after(fate.back_us, lambda: self._answer(thread, generation, record, error))
        else:
            self._world.after(fate.back_us, lambda: self._unanswered(thread, generation, call))

    def _answer(self, thread: Thread, generation: int, record: Applied, error: Exception | None) -> None:
        record.seen = thread.process.alive
        self._resume(thread, generation, record.reply, error)

    def _again(self, who: str, call: StoreCall) -> None:
        self._apply(f"{who} (repeated)", call)

    def _apply(self, who: str, call: StoreCall) -> tuple[Applied, Exception | None]:
        record = Applied(
            who=who,
            operation=call.operation,
            arguments=call.arguments,
            options=call.options,
            at_us=self.store_us(),
        )
        error: Exception | None = None
        try:
            record.reply = run(call.perform(self._backend))
        except StoreError as refused:
            error = refused
            record.error = type(refused).__name__
        except Exception as broken:  # noqa: BLE001 - a store that breaks is a finding, not the end of the run
            error = StoreUnavailable("the store broke")
            record.error = type(broken).__name__
            self._findings.append(Finding("crash", None, f"{call.operation} raised {broken!r}"))
        self._history.applied.append(record)
        self._note_applied(record)
        for bell in self._bells.rung():
            self._ring(bell)
        self._probe(record)
        return record, error

    # --- looking ---

    def _probe(self, record: Applied) -> None:
        """Look into the store after some of the operations."""
        if record.operation == "pause":
            self._paused.add(record.arguments[0])
        elif record.operation == "resume":
            self._paused.discard(record.arguments[0])
        elif record.operation == "put_gate":
            self._set.add(record.arguments[0].name)
        elif record.operation == "clear_gate":
            self._set.discard(record.arguments[0])
        elif record.operation == "exchange" and record.error is None and self._probes.random() < _PROBED:
            try:
                self._look_after(record)
            except Exception as broken:  # noqa: BLE001 - a store that breaks is a finding, not the end of the run
                self._findings.append(Finding("crash", None, f"a look into the store raised {broken!r}"))

    def _look_after(self, record: Applied) -> None:
        snapshots = run(self._backend.state_backend.listing(ListFilter(limit=1_000_000)))
        gates = GateView(run(self._backend.dump()), self.store_us())
        self._findings += passed_over(record, snapshots, self._paused, gates)
        self._findings += left_behind(record, snapshots)
        self._findings += broken_structure(run(self._backend.orchestrator.verify()))

    def _note(self, line: str) -> None:
        if self._trace is not None:
            self._trace.append(f"{self._world.now_us:>9}  {line}")

    def _note_applied(self, record: Applied) -> None:
        if self._trace is not None:
            self._note(describe(record))

    def _ring(self, bell: SimulatedBell) -> None:
        lost = self._faults.active and "lost_ring" in self._scenario.faults and self._chaos.random() < 0.1
        if not lost or not self._faults.allow(f"lost_ring {bell.fileno()}"):
            self._world.after(self._chaos.randint(1, 300), bell.ring)
