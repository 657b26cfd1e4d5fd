"""Gates: who is inside, who may pass, who is let out to try when one opens.

`protocol/SEMANTICS.md`, "Lanes and gates", says to the letter what happens here; names are the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pynenc.backends.memory.lanes import Lane, Lanes, Lenders
from pynenc.backends.memory.ordered import Ordered
from pynenc.model.gates import BreakerGate, Gate, GateSetting, RateGate, RateSetting, SlotGate, SlotSetting
from pynenc.model.ids import InvocationId
from pynenc.model.status import State

if TYPE_CHECKING:
    from pynenc.backends.memory.state import MemoryState, Record

MOST_TRIALS = 32
"""So many lanes of a queue, and so many resume tokens, try one gate at a time."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A place inside a gate, held by an invocation."""

    since_us: int
    lenders: tuple[InvocationId, ...]
    """Who gets it back: the first of them that still waits."""
    limit: int
    """The limit that was in force when it was taken."""


@dataclass(slots=True)
class Breaker:
    """What is known of a task that fails."""

    failures: int = 0
    open_since_us: int | None = None
    open_until_us: int | None = None


class Gating:
    """Every gate of a store.

    Args:
        state: the records, and the indexes of what is not gated.
    """

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self.lanes = Lanes(state)
        self.clear()

    def clear(self) -> None:
        """Forget everything but what was set."""
        self.lanes.clear()
        self.holders: dict[str, dict[InvocationId, Unit]] = {}
        self.rates: Ordered[str] = Ordered()
        """Gates by their theoretical arrival time (GCRA)."""
        self.breakers: dict[str, Breaker] = {}
        self.forget_trials()

    def forget_trials(self) -> None:
        """Forget who waits for which gate, or tries one."""
        self.trials: dict[tuple[str, str], set[Lane]] = {}
        """Lanes let out to try a gate: by gate and queue."""
        self.resumes: dict[str, Ordered[InvocationId]] = {}
        """Resumable invocations parked before a gate."""
        self.resume_trials: dict[str, set[InvocationId]] = {}
        """Resumable invocations for which a unit of a gate is kept."""
        self.timers: Ordered[bytes] = Ordered()
        """Names of gates by when they open."""

    # --- how a gate stands ---

    def room(self, gate: Gate, now_us: int) -> int:
        """Return how many more may pass now, were nobody waiting."""
        if isinstance(gate, SlotGate):
            return self.limit(gate) - len(self.holders.get(gate.name, ()))
        if isinstance(gate, RateGate):
            interval_us, burst = self.rate(gate)
            return (now_us + burst * interval_us - max(self.arrival_us(gate.name), now_us)) // interval_us
        opened = self.breakers.get(gate.name)
        if opened is None or opened.open_until_us is None:
            return MOST_TRIALS
        return 0 if now_us < opened.open_until_us else 1 - len(self.holders.get(gate.name, ()))

    def limit(self, gate: SlotGate) -> int:
        setting = self.lanes.settings.get(gate.name)
        return setting.limit if isinstance(setting, SlotSetting) else gate.limit

    def rate(self, gate: RateGate) -> tuple[int, int]:
        setting = self.lanes.settings.get(gate.name)
        return (
            (setting.interval_us, setting.burst) if isinstance(setting, RateSetting) else (gate.interval_us, gate.burst)
        )

    def arrival_us(self, name: str) -> int:
        """Return the theoretical arrival time of a rate gate, 0 if nothing passed it lately."""
        return self.rates.order_of(name)[0] if name in self.rates else 0

    def put_arrival(self, name: str, arrival_us: int) -> None:
        self.rates.put(name, (arrival_us, InvocationId(name.encode())))

    def opens_at_us(self, gate: Gate) -> int | None:
        """Return when time alone opens a gate; None: time has no part in it."""
        if isinstance(gate, RateGate):
            interval_us, burst = self.rate(gate)
            return self.arrival_us(gate.name) - (burst - 1) * interval_us
        opened = self.breakers.get(gate.name)
        return opened.open_until_us if opened is not None and isinstance(gate, BreakerGate) else None

    def closed(self, record: Record, now_us: int) -> Gate | None:
        """Return the first gate that stops a READY invocation without an owner; None: it may start."""
        lenders = () if record.lane is None else record.lane.lenders
        return next((gate for gate in record.call.gates if self._stops(record, gate, lenders, now_us)), None)

    def stops(self, record: Record, gate: Gate, now_us: int) -> bool:
        """Return whether a gate would stop an invocation, in whatever state; slots do not stop who is inside."""
        if record.lane is None and isinstance(gate, SlotGate) and not self.misses(record, gate):
            return False
        lenders = self.lanes.lenders_of(record) if record.lane is None else record.lane.lenders
        return self._stops(record, gate, lenders, now_us)

    def _stops(self, record: Record, gate: Gate, lenders: Lenders, now_us: int) -> bool:
        return self.room(gate, now_us) <= self.kept_for_others(gate, record) and not self._lender(gate, lenders)

    def kept_for_others(self, gate: Gate, record: Record) -> int:
        """Return how many units are kept for resumable invocations other than this one."""
        trying = self.resume_trials.get(gate.name)
        return len(trying) - (record.id in trying) if trying else 0

    def _lender(self, gate: Gate, lenders: Lenders) -> InvocationId | None:
        """Return the nearest ancestor on whose unit a gate can be passed."""
        if not lenders:
            return None
        for ancestor in dict(lenders).get(gate.name, ()):
            if self._lends(ancestor, gate.name):
                return ancestor
        return None

    def _lends(self, ancestor: InvocationId, gate: str) -> bool:
        record = self._state.records.get(ancestor)
        return record is not None and record.state is State.SUSPENDED and ancestor in self.holders.get(gate, ())

    # --- passing ---

    def enter(self, record: Record, now_us: int) -> bool:
        """Queue a READY invocation in its lane; return whether that is claimable as far as anybody knows."""
        lane = self.lanes.enter(record)
        if lane.parked is None:
            return True
        if lane.members.first() == record.id:
            # It may come before those that try the gate now.
            self.activate(lane.parked, now_us)
        return False

    def start(self, record: Record, now_us: int) -> None:
        """Let an invocation pass its gates, which are open, and take it out of its lane."""
        lane = record.lane
        assert lane is not None
        self._pass(record, record.call.gates, lane.lenders, now_us)
        trial = self._end_trial(lane)
        self._left(self.lanes.start(record), now_us)
        if trial is not None:
            self.activate(trial, now_us)

    def _pass(self, record: Record, gates: Iterable[Gate], lenders: Lenders, now_us: int) -> None:
        for gate in gates:
            if isinstance(gate, SlotGate):
                self._take_unit(record, gate, lenders, now_us)
            elif isinstance(gate, RateGate):
                self.put_arrival(gate.name, max(self.arrival_us(gate.name), now_us) + self.rate(gate)[0])
            elif (opened := self.breakers.get(gate.name)) is not None and opened.open_until_us is not None:
                self.holders.setdefault(gate.name, {})[record.id] = Unit(now_us, (), 1)

    def _take_unit(self, record: Record, gate: SlotGate, lenders: Lenders, now_us: int) -> None:
        if self.room(gate, now_us) > self.kept_for_others(gate, record):
            self.holders.setdefault(gate.name, {})[record.id] = Unit(now_us, (), self.limit(gate))
            return
        lender = self._lender(gate, lenders)
        assert lender is not None
        lent = self.holders[gate.name].pop(lender)
        self.holders[gate.name][record.id] = Unit(now_us, (lender, *lent.lenders), lent.limit)

    def park(self, record: Record, gate: Gate, now_us: int) -> None:
        """Park the lane of an invocation that a gate stops, and let others try what its lane was let out for."""
        lane = record.lane
        assert lane is not None
        trial = self._end_trial(lane)
        self.lanes.move(lane, gate.name, None)
        if trial is not None and trial != gate.name:
            self.activate(trial, now_us)
        self.activate(gate.name, now_us)

    def _end_trial(self, lane: Lane) -> str | None:
        trial = lane.trial
        if trial is not None:
            self.trials[trial, lane.queue].discard(lane)
            if not self.trials[trial, lane.queue]:
                del self.trials[trial, lane.queue]
            lane.trial = None
        return trial

    # --- opening ---

    def activate(self, gate: str, now_us: int) -> None:
        """Let out as many as may pass now, resumable invocations first, then lanes of each queue; set the timer."""
        self._activate_resumes(gate, now_us)
        for queue in sorted(self.lanes.blocked.get(gate, ())):
            self._activate_lanes(gate, queue, now_us)
        self._set_timer(gate, now_us)

    def _activate_resumes(self, gate: str, now_us: int) -> None:
        waiting = self.resumes.get(gate, Ordered())
        while (first := waiting.first()) is not None:
            kept = self.resume_trials.get(gate, set())
            if min(self._room_for(first, gate, now_us), MOST_TRIALS) <= len(kept):
                break
            self.resume_trials.setdefault(gate, kept).add(first)
            self._let_go_on(self._state.records[first], trial=gate)

    def _activate_lanes(self, gate: str, queue: str, now_us: int) -> None:
        while (lane := self.lanes.first_parked(gate, queue)) is not None:
            trying = len(self.resume_trials.get(gate, ())) + self.trying_before(lane, gate)
            first = lane.members.first()
            assert first is not None
            if min(self._room_for(first, gate, now_us), MOST_TRIALS) <= trying:
                break
            self.trials.setdefault((gate, queue), set()).add(lane)
            self._let_out(lane, trial=gate)

    def trying_before(self, lane: Lane, gate: str) -> int:
        """Return how many lanes of its queue try a gate that come before this one."""
        others = self.trials.get((gate, lane.queue), ())
        return sum(_placed(other) < _placed(lane) for other in others)

    def _room_for(self, invocation_id: InvocationId, name: str, now_us: int) -> int:
        return self.room(self._gate_of(invocation_id, name), now_us)

    def _gate_of(self, invocation_id: InvocationId, name: str) -> Gate:
        gates = self._state.records[invocation_id].call.gates
        return next(gate for gate in gates if gate.name == name)

    def _let_out(self, lane: Lane, *, trial: str | None) -> None:
        self.lanes.move(lane, None, trial)
        self._state.wake_for(lane.queue)

    def _set_timer(self, gate: str, now_us: int) -> None:
        moments = []
        for lanes in self.lanes.blocked.get(gate, {}).values():
            lane = lanes.first()
            first = None if lane is None else lane.members.first()
            opens_us = None if first is None else self.opens_at_us(self._gate_of(first, gate))
            if opens_us is not None and opens_us > now_us:
                moments.append(opens_us)
        if moments:
            self.put_timer(gate, min(moments))
        else:
            self.timers.drop(gate.encode())

    def put_timer(self, gate: str, due_us: int) -> None:
        first = self._state.first_due_us()
        self.timers.put(gate.encode(), (due_us, InvocationId(gate.encode())))
        if first is None or due_us < first:
            self._state.wake_for(None)

    # --- resumable invocations ---

    def may_go_on(self, record: Record, now_us: int) -> bool:
        """Give a resumable invocation back the units it gave up, or park it before the first gate that is closed."""
        missing = [gate for gate in record.call.gates if self.misses(record, gate)]
        lenders = self.lanes.lenders_of(record) if missing else ()
        for gate in missing:
            if self._stops(record, gate, lenders, now_us):
                self._park_resume(record, gate.name, lenders, now_us)
                return False
        self._pass(record, missing, lenders, now_us)
        self._end_resume_trial(record, now_us)
        return True

    def misses(self, record: Record, gate: Gate) -> bool:
        """Whether an invocation that runs has to be inside this gate, and is not."""
        return isinstance(gate, SlotGate) and record.id not in self.holders.get(gate.name, ())

    def _park_resume(self, record: Record, gate: str, lenders: Lenders, now_us: int) -> None:
        record.parked = gate
        record.lenders = lenders
        self.resumes.setdefault(gate, Ordered()).put(record.id, (record.rank, record.id))
        self.lanes.note_kin(record.id, gate, lenders)
        self._end_resume_trial(record, now_us)

    def _let_go_on(self, record: Record, *, trial: str | None) -> None:
        assert record.parked is not None
        self._unpark_resume(record)
        record.trial = trial
        self._state.put_resumable(record)

    def _unpark_resume(self, record: Record) -> None:
        gate = record.parked
        if gate is None:
            return
        record.parked = None
        self.resumes[gate].drop(record.id)
        if not self.resumes[gate]:
            del self.resumes[gate]
        self.lanes.forget_kin(record.id, gate, record.lenders)

    def _end_resume_trial(self, record: Record, now_us: int) -> None:
        trial, record.trial = record.trial, None
        if trial is None:
            return
        self.resume_trials[trial].discard(record.id)
        if not self.resume_trials[trial]:
            del self.resume_trials[trial]
        self.activate(trial, now_us)

    # --- leaving ---

    def withdraw(self, record: Record, now_us: int) -> None:
        """Take the token of an invocation, or its place in its lane, away."""
        if record.lane is not None:
            self._left(self.lanes.leave(record), now_us)
        self._unpark_resume(record)
        self._end_resume_trial(record, now_us)

    def _left(self, lane: Lane, now_us: int) -> None:
        """Give up what a lane that lost a member was trying or waiting for."""
        if lane.members:
            if lane.trial is not None:
                # It comes later now than it did, perhaps later than one that is parked.
                self.activate(lane.trial, now_us)
            return
        trial = self._end_trial(lane)
        for gate in (trial, lane.parked):
            if gate is not None:
                self.activate(gate, now_us)

    def give_up(self, record: Record, now_us: int, *, keep_blocking: bool = False) -> None:
        """Give all units of an invocation back.

        Args:
            keep_blocking: all but those that stay with it while its retry is delayed.
        """
        for gate in record.call.gates:
            if not (keep_blocking and isinstance(gate, SlotGate) and gate.block_lane_on_retry):
                self._give_unit_up(record.id, gate.name, now_us)

    def suspend(self, record: Record, now_us: int) -> None:
        """Give the units of a run that waits back, and lend those that it keeps.

        A trial run gives its unit back too: what it waits for may stand before the same breaker.
        """
        for gate in record.call.gates:
            if isinstance(gate, SlotGate) and gate.hold_while_waiting:
                self._lend(record.id, gate.name)
            else:
                self._give_unit_up(record.id, gate.name, now_us)

    def _give_unit_up(self, invocation_id: InvocationId, gate: str, now_us: int) -> None:
        holders = self.holders.get(gate, {})
        unit = holders.pop(invocation_id, None)
        if unit is None:
            return
        for number, lender in enumerate(unit.lenders):
            if self._wants_back(lender, gate):
                holders[lender] = Unit(now_us, unit.lenders[number + 1 :], unit.limit)
                self._came_back(self._state.records[lender], gate, now_us)
                return
        if not holders:
            del self.holders[gate]
        self.activate(gate, now_us)

    def _came_back(self, lender: Record, gate: str, now_us: int) -> None:
        if lender.parked == gate:
            self._let_go_on(lender, trial=None)
        elif lender.trial == gate:
            self._end_resume_trial(lender, now_us)
        self._lend(lender.id, gate)

    def _wants_back(self, lender: InvocationId, gate: str) -> bool:
        record = self._state.records.get(lender)
        if record is None or record.owner is None or lender in self.holders.get(gate, ()):
            return False
        return record.state in (State.SUSPENDED, State.READY)

    def _lend(self, lender: InvocationId, gate: str) -> None:
        """Let out whoever could pass a gate on the unit of this holder, if that waits for others."""
        if not self._lends(lender, gate):
            return
        tokens = self.lanes.kin.get((lender, gate), set())
        for record in sorted((self._state.records[each] for each in tokens if not isinstance(each, Lane)), key=_order):
            self._let_go_on(record, trial=None)
        for lane in sorted((each for each in tokens if isinstance(each, Lane)), key=_placed):
            self._let_out(lane, trial=None)

    # --- breakers ---

    def report(self, record: Record, *, failed: bool, now_us: int) -> None:
        """Tell the breakers of an invocation how its attempt ended, before its units are given up."""
        for gate in record.call.gates:
            if isinstance(gate, BreakerGate):
                self._report(record.id, gate, failed, now_us)

    def _report(self, invocation_id: InvocationId, gate: BreakerGate, failed: bool, now_us: int) -> None:
        known = self.breakers.get(gate.name)
        is_open = known is not None and known.open_until_us is not None
        if is_open and invocation_id not in self.holders.get(gate.name, ()):
            return
        if not failed:
            self.breakers.pop(gate.name, None)
            return
        known = self.breakers.setdefault(gate.name, Breaker())
        known.failures += 1
        if is_open or known.failures >= gate.failures:
            known.open_until_us = now_us + gate.open_for_us
            if known.open_since_us is None:
                known.open_since_us = now_us

    # --- changing gates ---

    def put(self, setting: GateSetting, now_us: int) -> None:
        """Let a setting hold instead of what submissions say."""
        self.lanes.settings[setting.name] = setting
        self.activate(setting.name, now_us)

    def take_away(self, name: str, now_us: int) -> bool:
        """Let submissions decide again; return whether there was a setting."""
        known = self.lanes.settings.pop(name, None) is not None
        if known:
            self.activate(name, now_us)
        return known

    def set_by_hand(self) -> list[GateSetting]:
        """Return every setting, by name."""
        return [setting for _, setting in sorted(self.lanes.settings.items())]

    def drop_idle_rates(self, most: int, now_us: int) -> None:
        """Forget theoretical arrival times that have passed: they say nothing any more."""
        for _ in range(most):
            order = self.rates.first_order()
            if order is None or order[0] > now_us:
                break
            self.rates.drop(order[1].decode())


def _order(record: Record) -> tuple[int, InvocationId]:
    return record.rank, record.id


def _placed(lane: Lane) -> tuple[int, InvocationId]:
    assert lane.placed is not None
    return lane.placed
